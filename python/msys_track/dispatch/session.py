"""Policy's part in one client's session: what it knows at each command, and its answer.

It has no socket, so that the SMTP session and `msys-track explain` both use it to call policy.
"""

from collections.abc import Mapping, Sequence

from msys_track.dispatch.inputs import draw_message_id, draw_transmission_id
from msys_track.errors import PolicyRefusedError
from msys_track.options.scopes import Scopes, address_of
from msys_track.policy.changes import Changes
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
        is_extended: Whether it said so by EHLO.
        is_encrypted: Whether it speaks TLS.
        user: Who has authenticated; None if nobody has.
        contexts: The variables now.
        can_relay: Whether the client may send to any recipient.
        connection_id: Identifies the connection.
        id: Identifies the message, as its transmission id in decimal; empty before MAIL.
        changes: What policy wants changed in the message; None before it is asked.
        messages: How many of the connection's messages were accepted.
        recipient_count: How many recipients of them were, those of this message included.

    Args:
        scopes: set the connection's first variables.
        peer: address and port of the client.
        listen: name of the listening address.
        is_encrypted: whether the client speaks TLS.
        can_relay: whether the client may send to any recipient.
    """

    __slots__ = (
        "_recipients",
        "_sender",
        "can_relay",
        "changes",
        "connection_id",
        "contexts",
        "helo",
        "id",
        "is_encrypted",
        "is_extended",
        "listen",
        "messages",
        "peer",
        "recipient_count",
        "user",
    )

    def __init__(
        self,
        scopes: Scopes,
        *,
        peer: str,
        listen: str,
        is_encrypted: bool = False,
        can_relay: bool = True,
    ) -> None:
        variables = scopes.context(scopes.layers(listen, address_of(peer)))
        self.contexts = Contexts(connection=Context(variables), message=Context())
        self.peer = peer
        self.listen = listen
        self.helo = ""
        self.is_extended = False
        self.is_encrypted = is_encrypted
        self.can_relay = can_relay
        self.connection_id = draw_message_id()
        self.id = ""
        self.changes: Changes | None = None
        self.messages = self.recipient_count = 0
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
        if self.changes is None:
            self.changes = Changes()
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
            changes=self.changes,
            id=self.id,
            connection_id=self.connection_id,
            is_encrypted=self.is_encrypted,
            can_relay=self.can_relay,
            connection_messages=self.messages,
            connection_recipients=self.recipient_count,
        )

    def begin_message(self) -> None:
        """Forget the last message: its variables end with it, the connection's stay."""
        self._sender, self._recipients = None, {}
        self.id, self.changes = "", None
        contexts = self.contexts
        if len(contexts.message):
            self.contexts = Contexts(connection=contexts.connection, message=Context())

    def connect(self, policy: Guard | None) -> Reply | None:
        """Call policy for a new connection; here and below, None lets the session go on."""
        return self._ask(policy, Hook.CONNECT)

    def greet(self, policy: Guard | None, helo: str, *, is_extended: bool = True) -> Reply | None:
        """Call policy after EHLO, or after HELO, which is not extended."""
        self.helo = helo
        self.is_extended = is_extended
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
        self.id = str(draw_transmission_id())
        if policy is None:
            return None
        refusal = self._ask(policy, Hook.MAILFROM)
        if refusal is not None:
            self.begin_message()
        return refusal

    def add_recipient(self, policy: Guard | None, recipient: str) -> Reply | None:
        """Call policy after RCPT; a recipient counts once, however often it is named."""
        if policy is not None and Hook.RCPTTO in policy.hooks:
            before = None if self.changes is None else self.changes.save()
            answer = self._ask(policy, Hook.RCPTTO, recipient=recipient)
            if answer is not None:  # with the recipient goes what was to be changed for its sake
                if self.changes is not None and before is not None:
                    self.changes.restore(before)
                else:
                    self.changes = None
                return answer
            if self.changes is not None and self.changes.is_discarded:
                self.changes.discard_recipient(recipient)
        if recipient not in self._recipients:
            self._recipients[recipient] = None
            self.recipient_count += 1
        return None

    def is_discarded(self, recipient: str) -> bool:
        """Whether policy has accepted a recipient who gets nothing."""
        return self.changes is not None and recipient in self.changes.discarded

    def drop_recipient(self, recipient: str) -> None:
        """Forget a recipient whom the upstream has refused."""
        if recipient in self._recipients:
            del self._recipients[recipient]
            self.recipient_count -= 1

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
