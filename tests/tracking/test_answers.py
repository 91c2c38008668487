"""What else the tracker answers: leaving a list, changed targets, who has withdrawn, app links."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tracking.test_routes import (
    EXPIRES_AT,
    KEYS,
    NOW,
    REPLIES,
    TARGET,
    location_of,
    seal_path,
)

from msys_track.errors import SettingsError
from msys_track.metrics import Counters
from msys_track.tracking.app_links import ANDROID_PATH, APPLE_PATH, write_app_files
from msys_track.tracking.facts import find_facts, find_hostile_suffix, find_purpose, write_facts
from msys_track.tracking.forms import read_form
from msys_track.tracking.overrides import read_overrides
from msys_track.tracking.routes import Outcome, Routes
from msys_track.tracking.settings import TrackerSettings
from msys_track.tracking.withdrawal import Withdrawal

LEAVE = seal_path("list_unsubscribe")
LINK = seal_path("link_unsubscribe", TARGET)
CLICK = seal_path("click", TARGET)
URLENCODED = b"application/x-www-form-urlencoded"
ONE_CLICK = b"List-Unsubscribe=One-Click"


def routes(**options: Any) -> Routes:
    return Routes(KEYS, REPLIES, Counters(), **options)


def get(where: Routes, path: str, now: float = NOW) -> Outcome:
    return where.outcome(path.encode(), now)


def post(
    where: Routes,
    path: str,
    body: bytes = ONE_CLICK,
    content_type: bytes = URLENCODED,
    now: float = NOW,
) -> Outcome | None:
    return where.submit(path.encode(), content_type, body, now)


def status(outcome: Outcome | None) -> bytes:
    assert outcome is not None
    return outcome.reply.head.split(b" ", 2)[1]


# Unsubscribing


def test_a_get_of_an_unsubscribe_link_asks_and_changes_nothing() -> None:
    outcome = get(routes(), LEAVE)
    assert status(outcome) == b"200"
    assert outcome.claims is None
    assert b'<form method="post">' in outcome.reply.body
    assert b"<script" not in outcome.reply.body
    assert b"Content-Security-Policy: default-src 'none'" in outcome.reply.head
    assert b"a@b.test" not in outcome.reply.body


MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (URLENCODED, ONE_CLICK),
        (URLENCODED + b"; charset=utf-8", b"a=1&" + ONE_CLICK),
        (b"", ONE_CLICK),
        (b"multipart/form-data; boundary=b", MULTIPART),
    ],
)
def test_a_one_click_post_unsubscribes(content_type: bytes, body: bytes) -> None:
    outcome = post(routes(), LEAVE, body, content_type)
    assert status(outcome) == b"200"
    assert outcome is not None
    assert outcome.claims is not None
    assert outcome.claims.kind == "list_unsubscribe"
    assert b"Location" not in outcome.reply.head
    assert "confirmed" not in outcome.facts


def test_the_button_of_the_page_unsubscribes_and_is_told_apart() -> None:
    outcome = post(routes(), LEAVE, ONE_CLICK + b"&confirmed=yes")
    assert outcome is not None
    assert outcome.claims is not None
    assert outcome.facts["confirmed"] is True
    assert b"You are unsubscribed" in outcome.reply.body


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (URLENCODED, b""),
        (URLENCODED, b"List-Unsubscribe=Two-Clicks"),
        (URLENCODED, b"list-unsubscribe=One-Click"),
        (b"application/json", b'{"List-Unsubscribe": "One-Click"}'),
        (b"multipart/form-data", MULTIPART),
        (b"multipart/form-data; boundary=other", MULTIPART),
        (b"multipart/form-data; boundary=b", b"\xff\x00--b"),
        (b"multipart/form-data; boundary=b", MULTIPART.replace(b"; name=", b"; filename=")),
        (URLENCODED, b"&".join([b"a=b"] * 50)),
    ],
)
def test_a_post_without_the_form_changes_nothing(content_type: bytes, body: bytes) -> None:
    outcome = post(routes(), LEAVE, body, content_type)
    assert status(outcome) == b"400"
    assert outcome is not None
    assert outcome.claims is None


def test_a_forged_or_foreign_unsubscribe_link_changes_nothing() -> None:
    forged = LEAVE[:-4] + ("AAAA" if not LEAVE.endswith("AAAA") else "BBBB")
    assert status(get(routes(), forged)) == b"404"
    assert status(post(routes(), forged)) == b"404"
    old = routes(unknown_links="https://old.test")
    assert location_of(get(old, "/u/abc~~/AAAA~/x~~")) == "https://old.test/u/abc~~/AAAA~/x~~"
    assert post(old, "/u/abc~~/AAAA~/x~~") is None
    assert status(post(old, forged)) == b"404"


def test_an_expired_unsubscribe_link_says_so() -> None:
    for outcome in (get(routes(), LEAVE, EXPIRES_AT), post(routes(), LEAVE, now=EXPIRES_AT)):
        assert status(outcome) == b"410"
        assert outcome is not None
        assert outcome.claims is None


def test_a_click_link_takes_no_post_and_is_no_unsubscribe_link() -> None:
    assert post(routes(), CLICK) is None
    assert post(routes(confirms=True), CLICK) is None
    assert status(post(routes(), LEAVE.replace("/u/", "/u/" + "A" * 40))) == b"404"


def test_a_link_that_unsubscribes_asks_first_where_that_is_wanted() -> None:
    asking = routes(confirms=True)
    outcome = get(asking, LINK)
    assert status(outcome) == b"200"
    assert outcome.claims is None
    assert status(post(asking, LINK, b"")) == b"400"
    left = post(asking, LINK, ONE_CLICK + b"&confirmed=yes")
    assert left is not None
    assert status(left) == b"303"
    assert location_of(left) == TARGET
    assert left.claims is not None
    assert left.facts["confirmed"] is True
    assert location_of(get(asking, CLICK)) == TARGET
    assert location_of(get(asking, LINK, EXPIRES_AT)) == TARGET


# Targets


def test_a_changed_target_leads_to_the_new_one_and_the_event_keeps_both() -> None:
    where = routes()
    where.overrides = {TARGET: "https://new.test/ä"}
    outcome = get(where, CLICK)
    assert location_of(outcome) == "https://new.test/%C3%A4"
    assert outcome.claims is not None
    assert outcome.claims.target == TARGET
    assert outcome.facts == {"redirected_to": "https://new.test/ä"}


def test_overrides_are_read_from_lines(tmp_path: Path) -> None:
    file = tmp_path / "redirects.txt"
    file.write_text(
        "# sale\nhttps://a.test/1   https://b.test/2\n\n http://c.test https://d.test\r\n"
        "https://a.test/a b \t https://b.test/b c\n"
    )
    assert read_overrides(file) == {
        "https://a.test/1": "https://b.test/2",
        "http://c.test": "https://d.test",
        "https://a.test/a b": "https://b.test/b c",
    }


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("https://a.test", "found 1 targets"),
        ("https://a.test https://b.test c", "found 3 targets"),
        ("https://a.test javascript:alert(1)", "begins with http"),
        ("https://x.test https://y.test", "another new one above"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, fault: str) -> None:
    file = tmp_path / "redirects.txt"
    file.write_text(f"https://x.test https://z.test\n{line}\n")
    with pytest.raises(SettingsError, match=f"redirects.txt:2: .*{fault}"):
        read_overrides(file)


def test_a_click_past_its_time_can_lead_to_a_page() -> None:
    where = routes(expired_url="https://shop.test/gone")
    outcome = get(where, CLICK, EXPIRES_AT)
    assert location_of(outcome) == "https://shop.test/gone"
    assert outcome.claims is None
    assert location_of(get(where, CLICK)) == TARGET


# Who has withdrawn


@pytest.mark.parametrize("entry", ["A@b.test", hashlib.sha256(b"a@b.test").hexdigest()])
def test_who_has_withdrawn_is_redirected_without_an_event(tmp_path: Path, entry: str) -> None:
    file = tmp_path / "withdrawn.txt"
    file.write_text(f"# who\n{entry}\nsomebody@else.test\n")
    where = routes()
    where.withdrawal = Withdrawal.read(file)
    assert location_of(get(where, CLICK)) == TARGET
    assert get(where, CLICK).claims is None
    assert get(where, seal_path("open")).claims is None
    left = post(where, LEAVE)
    assert left is not None
    assert left.claims is not None, "to leave is their own wish"


@pytest.mark.parametrize(
    ("count", "lines"),
    [(20, [f"{number}: neither" for number in range(1, 21)]), (22, ["20: neither", " 2 more"])],
)
def test_of_wrong_lines_the_first_twenty_are_named(
    tmp_path: Path, count: int, lines: list[str]
) -> None:
    file = tmp_path / "withdrawn.txt"
    file.write_text("somebody\n" * count)
    with pytest.raises(SettingsError) as caught:
        Withdrawal.read(file)
    told = str(caught.value).split("\n")
    assert len(told) == min(count, 21)
    for line, expected in zip(told[-len(lines) :], lines, strict=True):
        assert line.startswith(f"{file}:{expected}")


@pytest.mark.parametrize("read", [Withdrawal.read, read_overrides])
def test_a_file_that_can_not_be_read_is_named(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    with pytest.raises(SettingsError, match="can't be read: "):
        read(tmp_path)
    (tmp_path / "file").write_bytes(b"ab\xff")
    with pytest.raises(SettingsError, match="file: is not UTF-8 at byte 2"):
        read(tmp_path / "file")


def test_a_line_that_is_no_address_is_named_without_it(tmp_path: Path) -> None:
    file = tmp_path / "withdrawn.txt"
    file.write_text("a@b.test\nsecret name\n")
    with pytest.raises(SettingsError, match=r"withdrawn\.txt:2: neither") as caught:
        Withdrawal.read(file)
    assert "secret" not in str(caught.value)


# Files


def test_robots_are_asked_to_stay_away() -> None:
    outcome = get(routes(), "/robots.txt")
    assert (status(outcome), outcome.reply.body) == (b"200", b"User-agent: *\nDisallow: /\n")


def test_momentums_other_path_of_opens_shows_no_broken_image() -> None:
    outcome = get(routes(), "/o/whatever")
    assert b"Content-Type: image/gif" in outcome.reply.head
    assert outcome.claims is None


def test_phones_learn_which_links_an_app_opens(tmp_path: Path) -> None:
    settings = TrackerSettings(
        store=tmp_path / "x",
        apple_apps=("ABCDE12345.test.shop",),
        android_apps=("test.shop=" + ":".join(["AB"] * 32),),
        app_sublinks=("open", "shop/item"),
    )
    where = routes(files=write_app_files(settings))
    apple = get(where, APPLE_PATH)
    assert b"Content-Type: application/json\r\n" in apple.reply.head
    (detail,) = json.loads(apple.reply.body)["applinks"]["details"]
    assert detail["appIDs"] == ["ABCDE12345.test.shop"]
    assert detail["paths"] == ["/f/open/*", "/f/shop/item/*"]
    assert detail["components"] == [{"/": "/f/open/*"}, {"/": "/f/shop/item/*"}]
    (statement,) = json.loads(get(where, ANDROID_PATH).reply.body)
    assert statement["target"]["package_name"] == "test.shop"
    assert status(get(routes(), APPLE_PATH)) == b"404"


# Facts


@pytest.mark.parametrize(
    "suffix", ["%27", "'", '"><img', "/../../etc/passwd", "?a=<script>", "|id", "%00", "\\x"]
)
def test_an_attack_behind_a_true_token_is_a_fact(suffix: str) -> None:
    assert find_hostile_suffix((CLICK + suffix).encode()) is not None


@pytest.mark.parametrize(
    "suffix",
    ["", ".", ")", ">", "%3E", "/", "%20", "?utm_source=x&b=%20c", "#top", "),", "?a=b%26"],
)
def test_what_clients_append_is_none(suffix: str) -> None:
    assert find_hostile_suffix((CLICK + suffix).encode()) is None


def test_a_request_may_say_that_nobody_reads_yet() -> None:
    assert find_purpose(((b"sec-purpose", b"prefetch;prerender"),)) == "prefetch"
    assert find_purpose(((b"purpose", b"Preview"),)) == "preview"
    assert find_purpose(((b"x-purpose", b"preview"),)) == "preview"
    assert find_purpose(((b"x-moz", b"prefetch"),)) == "prefetch"
    assert find_purpose(((b"accept", b"prefetch"),)) is None


PIECES = st.sampled_from(
    [
        *(
            b"%",
            b"%2",
            b"%27",
            b"?",
            b"#",
            b"/",
            b"..",
            b"~",
            b"://",
            b"\xff",
            b"\x00",
            b"&",
            b"=",
        ),
        *(b"--", b"\r\n", b"b", b"boundary=", b'"', b";", b"multipart/form-data", b"name="),
        *(b"Content-Disposition:", b"List-Unsubscribe", b"One-Click", b"confirmed", b"*0"),
    ]
)
ANY_BYTES = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=40).map(b"".join))


@given(content_type=ANY_BYTES, body=ANY_BYTES)
def test_no_form_raises_an_error(content_type: bytes, body: bytes) -> None:
    for kind in (content_type, b"multipart/form-data; boundary=b" + content_type, URLENCODED):
        read_form(kind, body)


@given(behind=ANY_BYTES, name=st.sampled_from([b"purpose", b"x-moz", b"a"]), value=ANY_BYTES)
def test_no_request_shows_facts_that_can_not_be_stored(
    behind: bytes, name: bytes, value: bytes
) -> None:
    facts = find_facts(CLICK.encode() + behind, ((name, value),), {"confirmed": True})
    assert json.loads(write_facts(facts) or "") == facts
    assert len(facts.get("suffix", "")) <= 64


def test_what_opens_no_links_is_a_conflict(tmp_path: Path) -> None:
    settings = TrackerSettings(store=tmp_path / "x", apple_apps=("ABCDE12345.test.shop",))
    with pytest.raises(SettingsError, match=r"apple_apps.*app_sublinks"):
        settings.check_conflicts()
