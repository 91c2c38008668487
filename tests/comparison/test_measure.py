"""Everybody on one mail: judged first, then timed."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from msys_track.comparison import contenders, measure
from msys_track.comparison.contenders import Contender
from msys_track.comparison.damage import Damage
from msys_track.comparison.mail import Mail, UnfitMailError, list_bundled, read_mail
from msys_track.comparison.peers import Links, Peer, find_peers

ORDER = list_bundled()[-1]
PAGE = b"<p><a href='http://e.com/1'>x</a> <a href='mailto:a@b.c'>y</a></p>"
OURS = ["msys-track", "msys-track, next recipient", "msys-track, pure Python"]


def peer(rewrite: Callable[[bytes, Links], bytes]) -> Peer:
    """Make a peer of a function."""
    return Peer(
        name="peer",
        version="1",
        needs="",
        seals=False,
        start=lambda html, links: lambda: rewrite(html, links),
    )


def wrap(html: bytes, links: Links) -> bytes:
    return html.replace(b"http://e.com/1", links.click_url)


@pytest.fixture
def page(tmp_path: Path) -> Mail:
    file = tmp_path / "page.html"
    file.write_bytes(PAGE)
    return read_mail(file)


def test_ours_and_every_installed_peer_wrap_what_we_wrap() -> None:
    found = measure.compare(ORDER, find_peers(), seconds=0.01)
    assert [each.name for each in found.results] == [*OURS, *[p.name for p in find_peers()]]
    assert [each.work and each.work.wrapped for each in found.results] == [12] * len(found.results)
    assert found.links == 12
    assert found.title == "order confirmation: 3.2 kB of HTML, 12 links"


def test_ours_change_nothing_else_and_seal_every_link() -> None:
    found = measure.compare(ORDER, [], seconds=0.01)
    for each in found.results:
        assert each.work == Damage(wrapped=12, pixels=1)
        assert each.seals
        assert each.is_ours


def test_who_damages_the_mail_is_counted_and_still_timed(page: Mail) -> None:
    damaging = peer(lambda html, links: wrap(html, links).replace(b"<p>", b"<div>"))
    *_, found = measure.compare(page, [damaging], seconds=0.01).results
    assert found.work is not None
    assert found.work.is_damaged
    assert found.work.structures > 0
    assert found.times is not None


def test_a_link_that_is_missed_or_broken_is_counted(page: Mail) -> None:
    lazy = peer(lambda html, _: html)
    wrong = peer(lambda html, _: html.replace(b"http://e.com/1", b"http://e.com/2"))
    *_, missing, breaking = measure.compare(page, [lazy, wrong], seconds=0.01).results
    assert missing.work is not None
    assert breaking.work is not None
    assert (missing.work.missed, missing.work.broken) == (1, 0)
    assert (breaking.work.missed, breaking.work.broken) == (0, 1)


def test_who_raises_is_not_timed_and_its_error_is_kept(page: Mail) -> None:
    def fail(html: bytes, _: Links) -> bytes:
        raise ValueError(f"{len(html)} bytes")

    *_, found = measure.compare(page, [peer(fail)], seconds=0.01).results
    assert found.failure == f"ValueError: {len(PAGE)} bytes"
    assert (found.work, found.times, found.slower) == (None, None, None)


def test_who_takes_too_long_for_the_rounds_is_not_raced(page: Mail) -> None:
    def dawdle(html: bytes, links: Links) -> bytes:
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass
        return wrap(html, links)

    found = measure.compare(page, [peer(dawdle)], seconds=0.01)
    *_, slow = found.results
    assert slow.times is not None
    assert slow.slower is not None
    assert (slow.times.rounds, slow.slower.rounds) == (1, 1)
    assert found.results[0].times is not None
    assert found.results[0].times.rounds == found.rounds >= 3


def test_a_round_s_ratio_is_that_of_its_two_times(page: Mail) -> None:
    ours, following, *_ = measure.compare(page, [], seconds=0.01).results
    assert ours.times is not None
    assert ours.slower is not None
    assert following.times is not None
    assert following.slower is not None
    assert set(ours.slower.data) == {1}
    pairs = zip(following.times.data, ours.times.data, strict=True)
    assert following.slower.data == [later / first for later, first in pairs]


def test_a_mail_of_which_no_link_is_tracked_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_bytes(b"<a href='mailto:a@b.c'>x</a>")
    with pytest.raises(UnfitMailError, match=r"page\.html: no link in its HTML is tracked"):
        measure.compare(read_mail(file), [], seconds=0.01)


def test_a_link_that_we_leave_with_a_reason_is_no_defect(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    left = b"<a href='http://e.com/2' data-msys-clicktrack='0'>x</a>"
    file.write_bytes(PAGE + left)
    ours, *_ = measure.compare(read_mail(file), [], seconds=0.01).results
    assert ours.work is not None
    assert (ours.work.wrapped, ours.work.missed) == (1, 0)


def test_every_part_of_html_is_rewritten_and_judged(tmp_path: Path) -> None:
    part = b"--x\r\nContent-Type: text/html\r\n\r\n" + PAGE + b"\r\n"
    file = tmp_path / "two.eml"
    head = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    file.write_bytes(head + part * 2 + b"--x--\r\n")
    found = measure.compare(read_mail(file), [peer(wrap)], seconds=0.01)
    assert [each.work and each.work.wrapped for each in found.results] == [2] * 4


def test_without_its_packages_our_python_engine_is_left_out(page: Mail) -> None:
    found = measure.compare(page, [], seconds=0.01, with_reference=False)
    assert [each.name for each in found.results] == OURS[:2]


def test_an_error_of_ours_is_no_result_but_ends_it(
    page: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No mail is known over which we fail, so one of ours is made to.
    def line_up(*arguments: object, **named: object) -> list[Contender]:
        first, *others = contenders.line_up(*arguments, **named)  # type: ignore[arg-type]
        return [replace(first, run=fail), *others]

    def fail() -> list[bytes]:
        raise ValueError("a defect")

    monkeypatch.setattr(measure, "line_up", line_up)
    with pytest.raises(ValueError, match="a defect"):
        measure.compare(page, [], seconds=0.01)


def test_our_own_damage_ends_it(page: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    # No mail is known that we damage, so one of ours is made to lose a tag.
    def line_up(*arguments: object, **named: object) -> list[Contender]:
        first, *others = real(*arguments, **named)  # type: ignore[arg-type]
        damaging = replace(first, run=lambda: [first.run()[0].replace(b"<p>", b"")])
        return [damaging, *others]

    real = contenders.line_up
    monkeypatch.setattr(measure, "line_up", line_up)
    with pytest.raises(measure.DamagedError, match=r"msys-track: .* structures changed"):
        measure.compare(page, [], seconds=0.01)
