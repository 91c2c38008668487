"""One received message with its SMTP transaction."""

from dataclasses import dataclass

from msys_track.policy.changes import Changes
from msys_track.policy.context import Contexts
from msys_track.policy.hooks import Transaction
from msys_track.relay.upstream import NextHop
from msys_track.relay.upstream import Transaction as HeldTransaction
from msys_track.smtp.path import Recipient


@dataclass(slots=True)
class Envelope:
    """One received message; later commands of its client change nothing of it.

    Nobody changes one. It is not frozen, as there is one for every message, and a frozen one costs
    four times as much to make.
    """

    peer: str
    """Address and port of the client, as `10.0.0.7:51234`."""
    listen: str
    """Address and port that the client connected to."""
    contexts: Contexts
    """Policy's variables."""
    sender: str
    """The reverse-path without angle brackets; empty for the null reverse-path."""
    recipients: tuple[Recipient, ...]
    """In the order of RCPT, each once: a second copy with its own links would be a second mail."""
    message: bytes
    """Unstuffed, without the final dot; every line ends in CRLF."""
    received_at: float
    """Unix seconds."""
    mail_parameters: tuple[str, ...] = ()
    """As given: `BODY=8BITMIME`, `SIZE=4711`, `SMTPUTF8`."""
    helo: str = ""
    user: str | None = None
    """Who has authenticated; None if nobody has."""
    exchange: HeldTransaction | None = None
    """The transaction in which the upstream has taken the recipients, if it was asked already."""
    upstream: NextHop | None = None
    """Where the mail of this client goes on to; None: where all mail does."""
    receive_seconds: float = 0.0
    """From the reply to DATA to the final dot."""
    is_extended: bool = True
    """Whether the client said EHLO."""
    is_encrypted: bool = False
    """Whether it speaks TLS."""
    changes: Changes | None = None
    """What policy wants changed; None if it was not asked yet."""
    id: str = ""
    """The transmission id in decimal."""
    connection_id: str = ""
    can_relay: bool = True
    """Whether the client may send to any recipient."""
    connection_messages: int = 0
    """Messages of the connection that were accepted before."""
    connection_recipients: int = 0
    """Recipients of the connection that were accepted, those of this message included."""

    def as_transaction(self) -> Transaction:
        """Return what policy sees of it, and changes."""
        if self.changes is None:
            self.changes = Changes()
        return Transaction(
            contexts=self.contexts,
            peer=self.peer,
            listen=self.listen,
            helo=self.helo,
            user=self.user,
            sender=self.sender,
            recipients=tuple(each.path for each in self.recipients),
            message=self.message,
            changes=self.changes,
            id=self.id,
            connection_id=self.connection_id,
            is_encrypted=self.is_encrypted,
            can_relay=self.can_relay,
            connection_messages=self.connection_messages,
            connection_recipients=self.connection_recipients,
        )
