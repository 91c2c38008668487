"""One thing is spoiled in each test, and the tour must notice; else it would say nothing."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
from tests.demo.tours import list_failures, list_unnoticed, take_tour

from msys_track.demo import stage as staging
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.errors import HeaderRefusedError, InvalidTokenError
from msys_track.eventlog.hits import HitLog
from msys_track.events import Event
from msys_track.keys.ring import Claims, KeyRing
from msys_track.options.resolve import Origin, resolve
from msys_track.options.tracking import TrackingOptions
from msys_track.sinks.delivery import EventBatch
from msys_track.sinks.store.sink import SqliteSink
from msys_track.smtpapi import header
from msys_track.testing import sender
from msys_track.testing.sender import Answer
from msys_track.testing.sink import Arrival, open_mailboxes
from msys_track.tracking import server as tracking
from msys_track.tracking.routes import Outcome, Routes
from msys_track.tracking.server import Tracker
from msys_track.tracking.settings import TrackerSettings

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("option", "noticed"),
    [
        (
            "click_tracking",
            [
                "newsletter.eml: https://shop.example.com/mail/7f3a?lang=en in",
                "receipt.eml: an event in the store: click by books@example.org",
                "booking.eml: unique tracked links",
                "booking.eml: what stood where lea.martin@example.net's copy has tracked",
            ],
        ),
        (
            "open_tracking",
            [
                "booking.eml: open pixels of",
                "booking.eml: an event in the store: open by lea.martin@example.net",
            ],
        ),
    ],
)
async def test_what_is_not_tracked_is_noticed(
    monkeypatch: pytest.MonkeyPatch, option: str, noticed: list[str]
) -> None:
    def make_rewriter(*, keys: KeyRing, options: TrackingOptions, source: str) -> Dispatcher:
        off: dict[str, Any] = {option: False}
        return Dispatcher(keys=keys, options=replace(options, **off), source=source)

    monkeypatch.setattr(staging, "Dispatcher", make_rewriter)
    assert list_unnoticed(noticed, await list_failures()) == []


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
    assert list_unnoticed([f"newsletter.eml: {noticed}"], await list_failures()) == []


def change(spoil: Callable[[bytes], bytes]) -> Callable[[Arrival], list[Arrival]]:
    return lambda arrival: [replace(arrival, message=spoil(arrival.message))]


class SendsAllTheSame:
    subject = message = b""

    def __call__(self, message: bytes) -> bytes:
        if message[:200] != self.subject:
            self.subject, self.message = message[:200], message
        return self.message


@pytest.mark.parametrize(
    ("spoil", "noticed"),
    [
        (
            change(lambda message: message.replace(b"Spring is here", b"Spring is near")),
            ["newsletter.eml: what differs in ana.silva@example.net's copy beyond"],
        ),
        (
            change(lambda message: message + b"\r\n"),
            [
                "alert.eml: oncall@example.net's copy is, byte for byte, what was sent",
                "contract.eml: partner@example.org's copy is, byte for byte, what was sent",
                "booking.eml: what differs in lea.martin@example.net's copy beyond",
            ],
        ),
        (
            change(lambda message: b"x-msys-api: {}\r\n" + message),
            ["password-reset.eml: X-MSYS-API in maria@example.net's copy"],
        ),
        (
            change(SendsAllTheSame()),
            [
                "invitation.eml: unique tracked links",
                "invitation.eml: an event in the store: open by pat@example.org",
            ],
        ),
        (
            lambda arrival: [] if "ola@example.net" in arrival.recipients else [arrival],
            ["invitation.eml: who received it"],
        ),
        (lambda arrival: [arrival, arrival], ["alert.eml: who received it"]),
    ],
)
async def test_a_spoiled_copy_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Arrival], list[Arrival]],
    noticed: list[str],
) -> None:
    def spoiled(
        host: str, on_arrival: Callable[[Arrival], None]
    ) -> AbstractAsyncContextManager[int]:
        def hand_on(arrival: Arrival) -> None:
            for each in spoil(arrival):
                on_arrival(each)

        return open_mailboxes(host, hand_on)

    monkeypatch.setattr("msys_track.demo.stage.open_mailboxes", spoiled)
    assert list_unnoticed(noticed, await list_failures()) == []


@pytest.mark.parametrize(
    ("spoil", "noticed"),
    [
        (
            lambda _: [],
            "booking.eml: an event in the store: open by lea.martin@example.net",
        ),
        (
            lambda event: [event, replace(event, event_id=f"{event.event_id[:-4]}0000")],
            "booking.eml: other events",
        ),
        (
            lambda event: [replace(event, campaign_id=None)],
            "invitation.eml: an event in the store: open by ola@example.net",
        ),
        (
            lambda event: [replace(event, target_link_url="http://x/")],
            "booking.eml: an event in the store: click by lea.martin",
        ),
    ],
)
async def test_a_spoiled_event_is_noticed(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Event], list[Event]], noticed: str
) -> None:
    class Spoiled(SqliteSink):
        async def write(self, batch: EventBatch) -> None:
            events = [Event.from_json(line.decode()) for line in batch.lines]
            spoiled = [it.as_json().encode() for each in events for it in spoil(each)]
            await super().write(EventBatch(tuple(spoiled), batch.first_sequence))

    monkeypatch.setattr(staging, "SqliteSink", Spoiled)
    assert list_unnoticed([noticed], await list_failures()) == []


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
    # The core opens tokens itself.
    monkeypatch.setattr("msys_track.tracking.connection.make_click_path", lambda *_, **__: None)
    monkeypatch.setattr(KeyRing, "open", opens_everything)
    noticed = await list_failures()
    for begin in ("a link with any one", "a link that was cut", "a link that was sealed"):
        assert any(begin in each for each in noticed)
    assert any("none of these attempts left an event" in each for each in noticed)


async def test_a_tracker_without_pixels_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(routes: Routes, _path: str, _now: float = 0) -> Outcome:
        return Outcome(routes._replies.not_found)  # noqa: SLF001

    # The core would answer them.
    monkeypatch.setattr("msys_track.tracking.connection.make_click_path", lambda *_, **__: None)
    monkeypatch.setattr(Routes, "_open", refuse)
    monkeypatch.setattr(Routes, "_refuse", refuse)
    noticed = await list_failures()
    assert "booking.eml: open pixels of lea.martin@example.net's copy" in noticed
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
    noticed = await list_failures()
    (only,) = noticed
    assert "a mail whose X-MSYS-API is not JSON is refused with 550" in only


async def test_a_sound_header_that_is_refused_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def strict(values: Sequence[bytes]) -> None:
        if values:
            raise HeaderRefusedError(550, "5.6.0 X-MSYS-API is not wanted")

    monkeypatch.setattr(header, "parse_header", strict)
    noticed = await list_failures()
    assert "newsletter.eml: the answer to the mail" in noticed
    assert "newsletter.eml: who received it" in noticed
    assert not any(each.startswith("receipt.eml") for each in noticed)


async def test_a_header_that_is_not_obeyed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    on = Origin(value=True, source="header")
    monkeypatch.setattr(
        "msys_track.dispatch.prepared.resolve",
        lambda *told: resolve(*told)._replace(click_tracking=on),
    )
    noticed = await list_failures()
    assert any(each.startswith("password-reset.eml: https://accounts") for each in noticed)
    assert any(each.startswith("password-reset.eml: reasons for") for each in noticed)


async def test_a_tracker_that_is_gone_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    serve = tracking.serve

    async def closed(settings: TrackerSettings, keys: KeyRing, hits: HitLog) -> Tracker:
        tracker = await serve(settings, keys, hits)
        await tracker.close()
        return tracker

    monkeypatch.setattr(tracking, "serve", closed)
    _, page = await take_tour()
    assert "   clicked      NO REDIRECT: 0" in page
    assert page[-1].endswith("expectations failed")
