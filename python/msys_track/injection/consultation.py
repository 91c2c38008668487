"""Policy's part in one client's session: what it knows at each command, and its answer.

Kept apart from the session, which speaks SMTP: here its commands become the transaction that
policy sees, and the variables that policy sets are kept for as long as they live.
"""

from dataclasses import replace
from typing import Any

from msys_track.options.policy.context import Context, Contexts
from msys_track.options.policy.guard import Guard
from msys_track.options.policy.hooks import Hook, Transaction
from msys_track.options.scopes import Scopes, address_of
from msys_track.relay.reply import Reply


class Consultation:
    """One connection's variables, and what has been said on it so far.

    Args:
        scopes: set the connection's first variables.
        peer: address and port of the client.
        listen: name of the listening address.
    """

    __slots__ = ("_transaction",)

    def __init__(self, scopes: Scopes, *, peer: str, listen: str) -> None:
        variables = scopes.context(scopes.layers(listen, address_of(peer)))
        contexts = Contexts(connection=Context(variables), message=Context())
        self._transaction = Transaction(contexts=contexts, peer=peer, listen=listen)

    @property
    def transaction(self) -> Transaction:
        """What is known now."""
        return self._transaction

    def begin_message(self) -> None:
        """Forget the last message: its variables end with it, the connection's stay."""
        known = self._transaction
        contexts = Contexts(connection=known.contexts.connection, message=Context())
        self._transaction = Transaction(
            contexts=contexts, peer=known.peer, listen=known.listen, helo=known.helo
        )

    def connected(self, policy: Guard | None) -> Reply | None:
        """Ask whether the client may speak; None means yes, here and below."""
        return self._asked(policy, Hook.CONNECT)

    def introduced(self, policy: Guard | None, helo: str) -> Reply | None:
        """Ask after EHLO or HELO."""
        return self._asked(policy, Hook.EHLO, helo=helo)

    def from_sender(self, policy: Guard | None, sender: str) -> Reply | None:
        """Ask after MAIL; an empty sender is the null reverse-path."""
        return self._asked(policy, Hook.MAILFROM, sender=sender)

    def to_recipient(self, policy: Guard | None, recipient: str) -> Reply | None:
        """Ask after RCPT."""
        before = self._transaction
        answer = self._asked(policy, Hook.RCPTTO, recipient=recipient)
        recipients = before.recipients if answer else (*before.recipients, recipient)
        self._transaction = replace(before, recipients=recipients)
        return answer

    def _asked(self, policy: Guard | None, hook: Hook, **news: Any) -> Reply | None:
        known = self._transaction = replace(self._transaction, **news)
        rejection = policy.call(hook, known) if policy is not None else None
        return None if rejection is None else Reply(rejection.code, rejection.text)
