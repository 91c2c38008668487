"""A spool in a test's folder, an upstream whose answers a test dictates, a clock that it sets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from msys_track.errors import UpstreamError
from msys_track.metrics import Counters
from msys_track.relay.transaction import Delivery
from msys_track.smtp import data
from msys_track.smtp.capabilities import Capabilities
from msys_track.smtp.path import Recipient
from msys_track.smtp.reply import Reply
from msys_track.spool.clock import Clock
from msys_track.spool.settings import SpoolSettings
from msys_track.spool.spool import Spool

MESSAGE = b"From: jo@example.com\r\nSubject: x\r\n\r\n.a line with a dot\r\n"
POLL_SECONDS = 0.01

MakeSpool: TypeAlias = Callable[..., Any]


def delivery(*paths: str, message: bytes = MESSAGE, **fields: Any) -> Delivery:
    """One copy, by default to one recipient."""
    recipients = tuple(Recipient(path=path) for path in paths or ("to@example.com",))
    return Delivery(
        **{
            "sender": "from@example.com",
            "recipients": recipients,
            "wire": data.stuff(message),
            "size": len(message),
            "is_seven_bit": message.isascii(),
            **fields,
        }
    )


def refused(answer: str) -> UpstreamError:
    code, _, text = answer.partition(" ")
    return UpstreamError(int(code), text, outcome="refused")


DOWN = UpstreamError(451, "4.4.1 The upstream can't be used", outcome="not_sent")
LOST = UpstreamError(451, "4.4.2 The answer was lost", outcome="unknown")


@dataclass
class FakeUpstream:
    """Takes everything, but where `answers` has an error for a recipient."""

    taken: list[Delivery] = field(default_factory=list)
    tried: list[Delivery] = field(default_factory=list)
    answers: dict[str, UpstreamError] = field(default_factory=dict)
    down: Exception | None = None
    offered: Capabilities | None = None
    opened: asyncio.Event | None = None
    """No answer comes before it is set."""

    async def deliver(self, delivery: Delivery) -> Reply:
        self.tried.append(delivery)
        if self.opened is not None:
            await self.opened.wait()
        if self.down is not None:
            raise self.down
        for recipient in delivery.recipients:
            if recipient.path in self.answers:
                raise self.answers[recipient.path]
        self.taken.append(delivery)
        return Reply(250, "2.0.0 Ok: queued as 4711")

    @property
    def reached(self) -> list[str]:
        return [each.path for delivery in self.taken for each in delivery.recipients]


@dataclass
class SetClock:
    """A machine's clock, at the test's will."""

    uptime: float = 1_000.0
    wall: float = 1_800_000_000.0
    boot_id: str = "first"

    @property
    def clock(self) -> Clock:
        return Clock(boot_id=self.boot_id, uptime=lambda: self.uptime, wall=lambda: self.wall)

    def pass_time(self, seconds: float) -> None:
        self.uptime += seconds
        self.wall += seconds


@pytest.fixture
def upstream() -> FakeUpstream:
    return FakeUpstream()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def make_spool(
    tmp_path: Path, upstream: FakeUpstream, clock: SetClock
) -> AsyncIterator[MakeSpool]:
    """Start a spool, one worker's; it ends with the test."""
    async with contextlib.AsyncExitStack() as ends:

        async def make(counters: Counters | None = None, **settings: Any) -> Spool:
            spool = Spool(
                SpoolSettings(**{"mode": "partial", "path": tmp_path / "spool", **settings}),
                upstream,
                counters or Counters(),
                hostname="proxy.example.com",
                clock=clock.clock,
                poll_seconds=POLL_SECONDS,
            )
            ends.push_async_callback(spool.close)
            await spool.start()
            return spool

        yield make
