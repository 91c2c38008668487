"""One message on its way: what was received, what was decided, and what came of each copy."""

from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

from msys_track.dispatch.decide import CopyDecision, Decision
from msys_track.dispatch.outgoing import OutgoingCopy
from msys_track.errors import PartlyTakenError, UpstreamError
from msys_track.injection.budget import Hold
from msys_track.injection.envelope import Envelope
from msys_track.injection.record import Made, SentCopy
from msys_track.relay.upstream import Delivery, NextHop
from msys_track.smtp.path import Recipient
from msys_track.smtp.received import Way, write_received
from msys_track.smtp.reply import Reply


class Failure(NamedTuple):
    """A copy that the upstream did not take, or took for others than these."""

    place: int
    """Of its account in `Passage.sent`."""
    copy: CopyDecision
    recipients: tuple[Recipient, ...]
    error: UpstreamError


class Passage:
    """One message on its way.

    Attributes:
        upstream: Takes its copies.
        decision: Who gets what; there once it was decided.
        received: The field of that name, which every copy has; empty: there is none.
        made: What was done to make the copies.
        sent: What came of each copy.
        stages: How many seconds each step took.
    """

    __slots__ = (
        "_by_path",
        "decision",
        "envelope",
        "hold",
        "is_gone",
        "made",
        "received",
        "sent",
        "stages",
        "upstream",
    )

    def __init__(
        self, envelope: Envelope, upstream: NextHop, hold: Hold, is_gone: Callable[[], bool]
    ) -> None:
        self.envelope = envelope
        self.upstream = envelope.upstream or upstream
        self.hold = hold
        self.is_gone = is_gone
        self.decision: Decision
        self.received = b""
        self._by_path: dict[str, Recipient] = {}
        self.made = Made()
        self.sent: list[SentCopy] = []
        self.stages = {"receive": envelope.receive_seconds}

    @property
    def mail_parameters(self) -> tuple[str, ...]:
        """The client's, and SMTPUTF8 where another than it names an address beyond ASCII."""
        given = self.envelope.mail_parameters
        if not self.decision.needs_smtp_utf8 or "SMTPUTF8" in given:
            return given
        return (*given, "SMTPUTF8")

    @property
    def envelope_id(self) -> str:
        """The name that the log has for the mail."""
        return f"{self.decision.transmission_id:x}"

    @property
    def is_out(self) -> bool:
        """Whether anybody has the mail."""
        return any(each.outcome == "relayed" for each in self.sent)

    def find_recipients(self, copy: CopyDecision) -> tuple[Recipient, ...]:
        """Return the RCPTs of a copy, those of the client with their parameters."""
        given = self.envelope.recipients
        if len(given) == 1 and len(copy.readers) == 1 and copy.readers[0].address == given[0].path:
            return given
        if not self._by_path:
            self._by_path = {each.path: each for each in given}
            for new, old in self.decision.renamed.items():
                if (known := self._by_path.get(old)) is not None:
                    self._by_path[new] = known._replace(path=new)
        return tuple(
            self._by_path.get(reader.address) or Recipient(path=reader.address)
            for reader in copy.readers
        )

    def find_sender(self, copy: CopyDecision) -> str:
        """Return the reverse-path of a copy: the client's, or what policy has made of it."""
        return self.envelope.sender if copy.sender is None else copy.sender

    def make_delivery(
        self, copy: CopyDecision, made: OutgoingCopy, recipients: tuple[Recipient, ...]
    ) -> Delivery:
        """Make what the upstream takes of a copy for these recipients of it."""
        return Delivery(
            self.find_sender(copy),
            recipients,
            made.wire,
            made.size,
            made.is_seven_bit,
            self.mail_parameters,
        )

    def write_received(self, hostname: str) -> bytes:
        """Write the `Received` field of every copy; `hostname` is our name in it."""
        envelope, copies = self.envelope, self.decision.copies
        # Who is not alone is not named: others would read of a blind copy (RFC 5321 section 7.2).
        is_alone = len(copies) == 1 and len(copies[0].readers) == 1
        way = Way(
            envelope.helo,
            envelope.peer,
            hostname,
            envelope.is_extended,
            envelope.is_encrypted,
            envelope.user is not None,
            "SMTPUTF8" in envelope.mail_parameters,
        )
        return write_received(
            way,
            self.decision.transmission_id,
            copies[0].readers[0].address if is_alone else None,
            envelope.received_at,
        )

    def note_relayed(
        self, copy: CopyDecision, message_id: str | None, reply: Reply, begun: float
    ) -> None:
        """Note that the upstream took a copy."""
        names = tuple(reader.address for reader in copy.readers)
        self.sent.append(SentCopy(names, message_id, reply, perf_counter() - begun))

    def note_failure(
        self, copy: CopyDecision, message_id: str | None, error: UpstreamError, begun: float
    ) -> list[Failure]:
        """Note that the upstream did not take a copy; over LMTP, for which of its recipients."""
        seconds = perf_counter() - begun
        recipients = self.find_recipients(copy)
        parts = [(recipients, error)]
        if isinstance(error, PartlyTakenError):
            parts = [
                ((each,), error.refused[each.path])
                for each in recipients
                if each.path in error.refused
            ]
            relayed = SentCopy(error.taken, message_id, Reply(250, "taken"), seconds)
            self.sent.append(relayed)
        failed = []
        for to, why in parts:
            failed.append(Failure(len(self.sent), copy, to, why))
            names, reply = tuple(each.path for each in to), Reply(why.code, why.text)
            self.sent.append(SentCopy(names, message_id, reply, seconds, outcome=why.outcome))
        return failed
