"""A mail that becomes copies, upstreams that take not all of them, a spool that shows its own."""

from collections.abc import Iterable
from typing import Any

from tests.upstreams import ScriptedUpstream

from msys_track.errors import PartlyTakenError, SpoolError, UpstreamError
from msys_track.relay.identity import Identity
from msys_track.relay.upstream import Delivery, Row
from msys_track.smtp.capabilities import Capabilities
from msys_track.smtp.reply import Reply
from msys_track.spool.settings import Mode, SpoolSettings
from msys_track.spool.spool import Spool

HTML = (
    b"Subject: x\r\nContent-Type: text/html\r\n\r\n"
    b"<body>\r\n.<a href='http://e.com/?a=1'>x</a>\r\n..\r\n</body>\r\n"
)
HTML_WIRE = HTML.replace(b"\r\n.", b"\r\n..")
LARGE = HTML_WIRE + (b"x" * 998 + b"\r\n") * 300
THREE = ("a@example.com", "b@example.com", "c@example.com")
ALL_THREE = "250 2.0.0 Ok: 3 copies relayed: 4711"
IMPATIENT = {"reply_timeout_seconds": 0.3, "data_timeout_seconds": 0.3}
PASSING = "452 4.3.1 Disk full"
FOR_GOOD = "550 5.7.1 Spam"


class RecordingSpool(Spool):
    """A spool that shows what it was given; it has neither file nor thread."""

    def __init__(self, mode: Mode = "partial", error: SpoolError | None = None) -> None:
        self.settings = SpoolSettings(mode=mode)
        self.error = error
        self.kept: list[tuple[str, str, Delivery]] = []
        """What was done, why, and for each copy what is to be sent."""

    async def keep(
        self, _: Any, deliveries: Iterable[Delivery], *, envelope_id: str, why: str
    ) -> str:
        return self._take("keep", deliveries, envelope_id, why)

    async def report(
        self, _: Any, deliveries: Iterable[Delivery], *, envelope_id: str, why: str
    ) -> str:
        return self._take("report", deliveries, envelope_id, why)

    def _take(self, done: str, deliveries: Iterable[Delivery], envelope_id: str, why: str) -> str:
        assert envelope_id
        taken = [(done, why, each) for each in deliveries]
        if self.error is not None:  # as a spool whose limits the last copy exceeds
            raise self.error
        self.kept += taken
        assert {each.sender for _, _, each in self.kept} == {"from@example.com"}
        return "Q1"


def say_to(**replies: str) -> ScriptedUpstream:
    """Make an upstream that answers a message by the letter that its recipient begins with."""
    return ScriptedUpstream(
        {f"DOT TO:<{letter}@example.com>": reply for letter, reply in replies.items()}
    )


class HalfTakingUpstream:
    """An upstream over LMTP, where each recipient has a reply of their own."""

    identity = Identity()
    offered = Capabilities()

    async def capabilities(self) -> Capabilities:
        return self.offered

    async def verify(self, *_: Any) -> None:
        return

    async def deliver(self, delivery: Delivery) -> Reply:
        first, *others = [each.path for each in delivery.recipients]
        refused = UpstreamError(550, "5.2.2 Mailbox full", outcome="refused")
        if others:
            raise PartlyTakenError((first,), dict.fromkeys(others, refused))
        return Reply(250, "2.0.0 Ok")

    async def deliver_row(self, row: Row) -> None:
        while row.delivery is not None:
            row.move_on(await self.deliver(row.delivery))

    def begin(self, *_: Any) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        return
