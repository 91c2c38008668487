"""Both engines agree on what is rare in mail: a case for each thing that can be otherwise."""

import re
from typing import Any

import pytest
from tests.rewriting.agreement import (
    NATIVE,
    REFERENCE,
    RULES,
    URL_KINDS,
    assert_both_agree,
    rewrite,
)
from tests.rewriting.plans import KEYS, URLS, engagement

from msys_track.errors import RewriteError
from msys_track.keys.ring import TrackedUrls
from msys_track.rewriting.engine import Engine
from msys_track.rewriting.reference import engine as reference
from msys_track.rewriting.rules import Rules

LINK = "<a href='http://e.com/{}'>x</a>"
HTTP = TrackedUrls(
    domain="click.example.com", click_scheme="http", open_scheme="http", click_metadata=True
)
AMP = "<!doctype html><html amp4email><body><a href='https://e.com/'>x</a></body></html>"


def make_part(body: bytes | str, kind: str = "html", charset: str = "utf-8") -> bytes:
    octets = body.encode(charset) if isinstance(body, str) else body
    return f"Content-Type: text/{kind}; charset={charset}\r\n\r\n".encode() + octets


MESSAGES = {
    "a charset of one's own": make_part(
        b"<a href='http://e.com/?q=\xe9'>x</a>", charset="x-user-defined"
    ),
    "JIS X 0212's wave dash": make_part(
        b"<a href='http://e.com/?q=\x8f\xa2\xb7'>x</a>", charset="euc-jp"
    ),
    "a character beyond 16 bits": make_part(LINK.format("\U0001f600"), charset="utf-16-le"),
    "half of such a character": make_part(
        LINK.format("?").encode("utf-16-le").replace(b"?\0", b"\x3d\xd8"), charset="utf-16-le"
    ),
    "single shifts, of which one shifts nothing": make_part(
        b"<a href='http://e.com/?q=\x1b.A\x1bNi\x1bN\nx'>x</a>", charset="iso-2022-jp"
    ),
    "a single shift to a set that nobody reads": make_part(
        b"\x1b$*H<a href='http://e.com/?q=\x1bNxxy'>x</a>", charset="iso-2022-cn"
    ),
    "a character of a set that nobody reads": make_part(
        b"\x1b$)E<a href='http://e.com/?q=\x0eVP\x0f'>x</a>", charset="iso-2022-cn"
    ),
    "a file that a browser reads otherwise": make_part(b"http://e.com/\xff x", kind="plain"),
    "a boundary in pieces, of which one lacks": (
        b"Content-Type: multipart/mixed; boundary*0=b; boundary*2=c\r\n\r\n--b\r\n"
        + make_part(LINK)
        + b"\r\n--b--\r\n"
    ),
    "a parameter without a name": (
        b"Content-Type: multipart/mixed; =x; boundary=b\r\n\r\n--b\r\n"
        + make_part(LINK)
        + b"\r\n--b--\r\n"
    ),
    "a soft break at the beginning": (
        b"Content-Transfer-Encoding: quoted-printable\r\n" + make_part("=\r\n<body>" + LINK)
    ),
    "a URL that no token holds": make_part(LINK.format("x" * 17_000)),
    "an option of text behind a bracket in base64": make_part(
        b'http://e.com/a+AFs-[data-msys-clicktrack="0"]] ', kind="plain", charset="utf-7"
    ),
    "a tracked URL": make_part("<a href='https://click.example.com/f/a/x'>x</a>"),
    "a pixel that would make a boundary": (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        + make_part("<body>x\r\n--b</body>\r\n--b--\r\n")
    ),
    "an attribute that Outlook alone shows": make_part(
        "<!--[if mso]><a href='http://e.com/' data-msys-linkname=x>x</a><![endif]-->"
    ),
    "AMP": make_part(AMP, kind="x-amp-html"),
}  # fmt: skip
RARE_RULES = [
    *RULES,
    Rules(outlook_links=False, strip_text_options=True, never_wrap=("http://e.com/",)),
]


@pytest.mark.parametrize("rules", RARE_RULES, ids=range(len(RARE_RULES)))
@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_both_agree_on_a_rare_message(message: bytes, rules: Rules) -> None:
    for urls in (*URL_KINDS, HTTP):
        assert_both_agree(message, rules, urls)


@pytest.mark.parametrize("options", [{"click_tracking": False}, {"open_tracking": False}])
@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_both_agree_where_only_opens_or_clicks_are_tracked(
    message: bytes, options: dict[str, Any]
) -> None:
    assert_both_agree(message, **options)


def test_both_leave_amp_alone_that_would_lead_to_http() -> None:
    beside = b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n"
    message = beside + MESSAGES["AMP"] + b"\r\n--b\r\n" + make_part(LINK) + b"\r\n--b--\r\n"
    for urls in (*URL_KINDS, HTTP):
        assert_both_agree(message.replace(b"https://e.com", b"http://e.com"), urls=urls)
        assert_both_agree(message, urls=urls, amp_enabled=True)
    left = rewrite(REFERENCE, message, Rules(), HTTP, open_tracking=True)["left_alone"]
    assert {reason for *_, reason, _ in left} == {"amp_needs_https"}


def test_both_seal_links_in_comments_without_two_dashes() -> None:
    links = "".join(LINK.format(number) for number in range(200))
    message = make_part(f"<!--[if mso]>{links}<![endif]-->")
    assert_both_agree(message)
    copy = rewrite(REFERENCE, message, Rules(), URLS)["message"]
    tokens = re.findall(rb"/f/a/([\w-]+)'", copy)
    assert len(tokens) == 200
    assert not any(b"--" in token or token.endswith(b"-") for token in tokens)


@pytest.mark.parametrize("engine", [NATIVE, REFERENCE], ids=["native", "reference"])
@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (Rules(never_wrap=("",)), "a pattern is empty"),
        (Rules(signed_mail="none"), '"none" is none of skip, strip, track'),  # type: ignore[arg-type]
    ],
    ids=["pattern", "word"],
)
def test_rules_that_mean_nothing_are_refused(engine: Engine, rules: Rules, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        engine.plan(make_part(LINK), rules)


@pytest.mark.parametrize("engine", [NATIVE, REFERENCE], ids=["native", "reference"])
def test_nothing_is_inserted_into_header_lines_that_go(engine: Engine) -> None:
    planned = engine.plan(
        b"X-MSYS-API: {}\r\n" + make_part(LINK), Rules(), drop_headers=[b"X-MSYS-API"]
    )
    with pytest.raises(ValueError, match="offset 3 is inside header lines"):
        planned.render(KEYS, engagement(), URLS, [(0, b"A: b\r\n"), (3, b"A: b\r\n")])


def test_a_defect_is_an_error_for_which_the_original_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(reference, "plan_message", fail)  # no message is known that makes it fail
    with pytest.raises(RewriteError, match=r"planning failed: KeyError\('x'\)"):
        REFERENCE.plan(make_part(LINK), Rules())
