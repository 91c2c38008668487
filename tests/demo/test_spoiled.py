"""One thing is spoiled in each test, and the tour must notice; else it would say nothing."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from tests.demo.tours import failed, toured, unnoticed

from msys_track.demo import stage as staging
from msys_track.dispatch.rewriter import Rewriter
from msys_track.errors import HeaderRefusedError, InvalidTokenError
from msys_track.events import Event
from msys_track.keys.ring import Claims, KeyRing
from msys_track.options.resolve import Origin, resolve
from msys_track.options.tracking import TrackingOptions
from msys_track.sinks.sqlite import SqliteSink
from msys_track.sinks.writer import EventWriter
from msys_track.smtpapi import header
from msys_track.testing import sender
from msys_track.testing.sender import Answer
from msys_track.testing.sink import Arrival, open_mailboxes
from msys_track.tracking import server as tracking
from msys_track.tracking.routes import Routes
from msys_track.tracking.server import Tracker
from msys_track.tracking.settings import TrackerSettings

pytestmark = pytest.mark.anyio


class WrapsNothing(Rewriter):
    def __init__(self, *, keys: KeyRing, options: TrackingOptions, source: str) -> None:
        super().__init__(keys=keys, options=replace(options, click_tracking=False), source=source)


class AddsNoPixel(Rewriter):
    def __init__(self, *, keys: KeyRing, options: TrackingOptions, source: str) -> None:
        super().__init__(keys=keys, options=replace(options, open_tracking=False), source=source)


@pytest.mark.parametrize(
    ("rewriter", "noticed"),
    [
        (
            WrapsNothing,
            [
                "newsletter.eml: https://shop.example.com/mail/7f3a?lang=en in",
                "receipt.eml: an event in the store: click by books@example.org",
                "booking.eml: tracked links that are no other's",
                "booking.eml: what stood where lea.martin@example.net's copy has tracked",
            ],
        ),
        (
            AddsNoPixel,
            [
                "booking.eml: images that tell of opening",
                "booking.eml: an event in the store: open by lea.martin@example.net",
            ],
        ),
    ],
)
async def test_what_is_not_tracked_is_noticed(
    monkeypatch: pytest.MonkeyPatch, rewriter: type[Rewriter], noticed: list[str]
) -> None:
    monkeypatch.setattr(staging, "Rewriter", rewriter)
    assert unnoticed(noticed, await failed()) == []


@pytest.mark.parametrize(
    ("was", "sent", "noticed"),
    [
        (b"lang=3Den", b"lang=3Dde", "where a click on https://shop.example.com/mail/7f3a"),
        (b'track=3D"0"', b'track=3D"1"', "https://shop.example.com/unsubscribe?u=7Qx in"),
    ],
)
async def test_a_link_that_is_treated_wrongly_is_noticed(
    monkeypatch: pytest.MonkeyPatch, was: bytes, sent: bytes, noticed: str
) -> None:
    send = sender.send

    def other(port: int, from_: str, recipients: Sequence[str], message: bytes) -> Answer:
        return send(port, from_, recipients, message.replace(was, sent))

    monkeypatch.setattr(sender, "send", other)
    assert unnoticed([f"newsletter.eml: {noticed}"], await failed()) == []


class Spoiler:
    """Stands before the mailboxes and changes what arrives."""

    def __init__(self, on_arrival: Callable[[Arrival], None]) -> None:
        self.hand_on = on_arrival

    def __call__(self, arrival: Arrival) -> None:
        self.hand_on(replace(arrival, message=self.spoiled(arrival.message)))

    def spoiled(self, message: bytes) -> bytes:
        return message


class ChangesALetter(Spoiler):
    def spoiled(self, message: bytes) -> bytes:
        return message.replace(b"Spring is here", b"Spring is near")


class AddsALine(Spoiler):
    def spoiled(self, message: bytes) -> bytes:
        return message + b"\r\n"


class LeavesTheHeader(Spoiler):
    def spoiled(self, message: bytes) -> bytes:
        return b"x-msys-api: {}\r\n" + message


class SendsAllTheSame(Spoiler):
    subject = message = b""

    def spoiled(self, message: bytes) -> bytes:
        if message[:200] != self.subject:
            self.subject, self.message = message[:200], message
        return self.message


class ForgetsTheChoir(Spoiler):
    def __call__(self, arrival: Arrival) -> None:
        if "ola@example.net" not in arrival.recipients:
            self.hand_on(arrival)


class SendsTwice(Spoiler):
    def __call__(self, arrival: Arrival) -> None:
        self.hand_on(arrival)
        self.hand_on(arrival)


@pytest.mark.parametrize(
    ("spoiler", "noticed"),
    [
        (
            ChangesALetter,
            ["newsletter.eml: what differs in ana.silva@example.net's copy beyond"],
        ),
        (
            AddsALine,
            [
                "alert.eml: oncall@example.net's copy is, byte for byte, what was sent",
                "contract.eml: partner@example.org's copy is, byte for byte, what was sent",
                "booking.eml: what differs in lea.martin@example.net's copy beyond",
            ],
        ),
        (LeavesTheHeader, ["password-reset.eml: X-MSYS-API in maria@example.net's copy"]),
        (
            SendsAllTheSame,
            [
                "invitation.eml: tracked links that are no other's",
                "invitation.eml: an event in the store: open by pat@example.org",
            ],
        ),
        (ForgetsTheChoir, ["invitation.eml: who has got it"]),
        (SendsTwice, ["alert.eml: who has got it"]),
    ],
)
async def test_a_spoiled_copy_is_noticed(
    monkeypatch: pytest.MonkeyPatch, spoiler: type[Spoiler], noticed: list[str]
) -> None:
    monkeypatch.setattr(
        "msys_track.demo.stage.open_mailboxes",
        lambda host, on_arrival: open_mailboxes(host, spoiler(on_arrival)),
    )
    assert unnoticed(noticed, await failed()) == []


class Loses(SqliteSink):
    async def write(self, events: Sequence[Event]) -> None:
        pass


class Doubles(SqliteSink):
    async def write(self, events: Sequence[Event]) -> None:
        again = [replace(event, event_id=f"{event.event_id}-2") for event in events]
        await super().write([*events, *again])


class ForgetsTheCampaign(SqliteSink):
    async def write(self, events: Sequence[Event]) -> None:
        await super().write([replace(event, campaign_id=None) for event in events])


class ForgetsTheTarget(SqliteSink):
    async def write(self, events: Sequence[Event]) -> None:
        await super().write([replace(event, target_link_url="http://x/") for event in events])


@pytest.mark.parametrize(
    ("sink", "noticed"),
    [
        (Loses, "booking.eml: an event in the store: open by lea.martin@example.net"),
        (Doubles, "booking.eml: other events"),
        (ForgetsTheCampaign, "invitation.eml: an event in the store: open by ola@example.net"),
        (ForgetsTheTarget, "booking.eml: an event in the store: click by lea.martin"),
    ],
)
async def test_a_spoiled_event_is_noticed(
    monkeypatch: pytest.MonkeyPatch, sink: type[SqliteSink], noticed: str
) -> None:
    monkeypatch.setattr(staging, "SqliteSink", sink)
    assert unnoticed([noticed], await failed()) == []


def opens_everything(keys: KeyRing, path: str) -> Claims:
    """Take what a key ring refuses for the last link that it has opened."""
    try:
        opened.append(real_open(keys, path))
    except InvalidTokenError:
        if not opened:
            raise
    return opened[-1]


opened: list[Claims] = []
real_open: Callable[[KeyRing, str], Claims] = KeyRing.open


async def test_a_tracker_that_takes_any_token_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened.clear()
    monkeypatch.setattr(KeyRing, "open", opens_everything)
    noticed = await failed()
    for begin in ("a link with any one", "so is one that was cut", "so is one that was sealed"):
        assert any(begin in each for each in noticed)
    assert any("nothing of this has left an event" in each for each in noticed)


async def test_a_tracker_without_pixels_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Routes, "_open", Routes._click)  # noqa: SLF001
    noticed = await failed()
    assert "booking.eml: images that tell of opening lea.martin@example.net's copy" in noticed
    assert any("is a GIF nevertheless" in each for each in noticed)


async def test_a_header_that_is_taken_though_malformed_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parse = header.parse_header

    def lenient(values: Sequence[bytes]) -> header.ApiHeader | None:
        try:
            return parse(values)
        except HeaderRefusedError:
            return None

    monkeypatch.setattr(header, "parse_header", lenient)
    noticed = await failed()
    (only,) = noticed
    assert "a mail whose X-MSYS-API is no JSON is refused with 550" in only


async def test_a_sound_header_that_is_refused_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def strict(values: Sequence[bytes]) -> None:
        if values:
            raise HeaderRefusedError(550, "5.6.0 X-MSYS-API is not wanted")

    monkeypatch.setattr(header, "parse_header", strict)
    noticed = await failed()
    assert "newsletter.eml: the answer to the mail" in noticed
    assert "newsletter.eml: who has got it" in noticed
    assert not any(each.startswith("receipt.eml") for each in noticed)


async def test_a_header_that_is_not_obeyed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    on = Origin(value=True, source="header")
    monkeypatch.setattr(
        "msys_track.dispatch.message.resolve",
        lambda *told: resolve(*told)._replace(click_tracking=on),
    )
    noticed = await failed()
    assert any(each.startswith("password-reset.eml: https://accounts") for each in noticed)
    assert any(each.startswith("password-reset.eml: reasons told") for each in noticed)


async def test_a_tracker_that_is_gone_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    serve = tracking.serve

    async def closed(settings: TrackerSettings, keys: KeyRing, writer: EventWriter) -> Tracker:
        tracker = await serve(settings, keys, writer)
        await tracker.close()
        return tracker

    monkeypatch.setattr(tracking, "serve", closed)
    _, page = await toured()
    assert "   clicked      NO REDIRECT: 0" in page
    assert page[-1].endswith("expectations failed")
