"""Policy's part in one client's session: what it knows at each command, and its answer.

It has no socket, so that the SMTP session and `msys-track explain` both use it to call policy.
"""

from collections.abc import Mapping, Sequence

from msys_track.errors import PolicyRefusedError
from msys_track.options.scopes import Scopes, address_of
from msys_track.policy.context import Context, Contexts
from msys_track.policy.guard import Guard
from msys_track.policy.hooks import Hook, Transaction
from msys_track.smtp.reply import Reply


class PolicySession:
    """One connection's variables, and the commands on it so far.

    Attributes:
        peer: Address and port of the client.
        listen: Name of the listening address.
        helo: What the client calls itself.
        user: Who has authenticated; None if nobody has.
        contexts: The variables now.

    Args:
        scopes: set the connection's first variables.
        peer: address and port of the client.
        listen: name of the listening address.
    """

    __slots__ = ("_recipients", "_sender", "contexts", "helo", "listen", "peer", "user")

    def __init__(self, scopes: Scopes, *, peer: str, listen: str) -> None:
        variables = scopes.context(scopes.layers(listen, address_of(peer)))
        self.contexts = Contexts(connection=Context(variables), message=Context())
        self.peer = peer
        self.listen = listen
        self.helo = ""
        self.user: str | None = None
        self._sender: str | None = None
        self._recipients: dict[str, None] = {}

    @property
    def sender(self) -> str:
        """The reverse-path; empty for the null reverse-path, and before MAIL."""
        return self._sender or ""

    @property
    def recipients(self) -> tuple[str, ...]:
        """The recipients in the order of RCPT, each once."""
        return tuple(self._recipients)

    def transaction(
        self, message: bytes | None = None, *, recipient: str | None = None
    ) -> Transaction:
        """Return what policy sees now, with the message once it has arrived."""
        return Transaction(
            contexts=self.contexts,
            peer=self.peer,
            listen=self.listen,
            helo=self.helo,
            user=self.user,
            sender=self._sender,
            recipients=tuple(self._recipients),
            recipient=recipient,
            message=message,
        )

    def begin_message(self) -> None:
        """Forget the last message: its variables end with it, the connection's stay."""
        self._sender, self._recipients = None, {}
        contexts = self.contexts
        if len(contexts.message):
            self.contexts = Contexts(connection=contexts.connection, message=Context())

    def connect(self, policy: Guard | None) -> Reply | None:
        """Call policy for a new connection; here and below, None lets the session go on."""
        return self._ask(policy, Hook.CONNECT)

    def greet(self, policy: Guard | None, helo: str) -> Reply | None:
        """Call policy after EHLO or HELO."""
        self.helo = helo
        return self._ask(policy, Hook.EHLO)

    def authenticate(
        self, policy: Guard | None, user: str, variables: Mapping[str, str]
    ) -> Reply | None:
        """Call policy after AUTH, once the password was right; a refusal leaves no trace.

        Args:
            policy: what to call.
            user: who authenticated.
            variables: what the login says, for the connection's context.
        """
        connection = self.contexts.connection
        before = connection.save()
        for name, value in variables.items():
            connection.set(name, value)
        self.user = user
        refusal = self._ask(policy, Hook.AUTH)
        if refusal is not None:
            self.user = None
            connection.restore(before)
        return refusal

    def set_sender(self, policy: Guard | None, sender: str) -> Reply | None:
        """Call policy after MAIL; an empty sender is the null reverse-path.

        A refused MAIL begins no message: what policy has set for it ends with it.
        """
        self._sender = sender
        if policy is None:
            return None
        refusal = self._ask(policy, Hook.MAILFROM)
        if refusal is not None:
            self.begin_message()
        return refusal

    def add_recipient(self, policy: Guard | None, recipient: str) -> Reply | None:
        """Call policy after RCPT; a recipient counts once, however often it is named."""
        answer = None if policy is None else self._ask(policy, Hook.RCPTTO, recipient=recipient)
        if answer is None:
            self._recipients[recipient] = None
        return answer

    def drop_recipient(self, recipient: str) -> None:
        """Forget a recipient whom the upstream has refused."""
        self._recipients.pop(recipient, None)

    def inject(
        self,
        policy: Guard | None,
        *,
        helo: str,
        sender: str,
        recipients: Sequence[str],
        message: bytes,
    ) -> Transaction:
        """Go through the commands of a whole session, and return what is known at its end.

        Raises:
            PolicyRefusedError: policy refuses one of them.
        """
        refusal = (
            self.connect(policy) or self.greet(policy, helo) or self.set_sender(policy, sender)
        )
        for recipient in recipients:
            refusal = refusal or self.add_recipient(policy, recipient)
        if refusal is not None:
            raise PolicyRefusedError(refusal.code, refusal.text)
        return self.transaction(message)

    def _ask(
        self, policy: Guard | None, hook: Hook, *, recipient: str | None = None
    ) -> Reply | None:
        if policy is None or hook not in policy.hooks:
            return None
        rejection = policy.call(hook, self.transaction(recipient=recipient))
        return None if rejection is None else Reply(rejection.code, rejection.text)
