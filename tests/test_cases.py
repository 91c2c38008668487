"""Faults that users of such software have reported, each as it was met and in other shapes.

The messages as they were met stand beside a checkout, at ../shared/cases; without them their tests
are skipped. Those in other shapes stand here.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from msys_track import Copy, KeyRing, Rewriter, TrackingOptions
from msys_track.tracking.location import make_location

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases"
KEYS = KeyRing.temporary()
EVERYTHING: dict[str, Any] = {
    "open_tracking": True,
    "click_tracking": True,
    "click_tracking_text": True,
    "click_tracking_scheme": "https",
    "tracking_domain": "click.example.com",
}
HEAD = "From: shop@shop.example\r\nTo: jo@reader.example\r\nSubject: t\r\nMIME-Version: 1.0\r\n"
HTML = "Content-Type: text/html; charset=utf-8\r\n"
PLAIN = "Content-Type: text/plain; charset=utf-8\r\n\r\nsee the HTML"
TRACKED_URL = re.compile(rb"https://click\.example\.com(/f/[\w/-]+)")
PIXEL = re.compile(rb"<img [^>]*/q/")


def case(name: str) -> bytes:
    path = CASES / f"{name}.eml"
    if not path.is_file():
        pytest.skip("the cases are not at ../shared/cases")
    return path.read_bytes()


def track_all(message: str | bytes, *recipients: str, **options: Any) -> tuple[Copy, ...]:
    source = message if isinstance(message, bytes) else message.encode()
    rewriter = Rewriter(keys=KEYS, options=TrackingOptions(**(EVERYTHING | options)))
    return rewriter.copies(source, recipients or ("jo@reader.example",))


def track(message: str | bytes, **options: Any) -> Copy:
    [copy] = track_all(message, **options)
    return copy


def targets(copy: Copy) -> list[str | None]:
    """Where the tracked URLs of its message lead; its parts must not be encoded."""
    found = (TRACKED_URL.fullmatch(text) for _, _, text in copy.edits)
    return [KEYS.open(url[1].decode()).target for url in found if url is not None]


def multipart(kind: str, *parts: str) -> str:
    head = f'{HEAD}Content-Type: multipart/{kind}; boundary="B1"\r\n\r\n'
    return head + "".join(f"--B1\r\n{part}\r\n" for part in parts) + "--B1--\r\n"


def link(path: str) -> str:
    return f'<html><body><a href="https://a.example/{path}">x</a></body></html>'


# The last HTML of an alternative is the one that is shown


def check_last_alternative(message: str | bytes) -> None:
    copy = track(message)
    assert targets(copy) == ["https://a.example/real"]
    shown = copy.message[copy.message.index(b"click.example.com/f/") :]
    assert PIXEL.search(shown), "no pixel behind the link that is shown"


def test_alternative_empty_first_html() -> None:
    check_last_alternative(case("alternative-empty-first-html"))


@pytest.mark.parametrize(
    "empty",
    [
        "",
        "\r\n\r\n",
        "<html></html>",
        "<html><body></body></html>",
        "&nbsp;",
        "<!-- nothing -->",
        "<p></p>",
        "<style>p { color: red }</style>",
        "<title>x</title>",
        "<div style='display:none'>preview</div>",
        "<textarea>",
    ],
)
def test_an_empty_html_before_the_one_that_is_shown_changes_nothing(empty: str) -> None:
    first, real = f"{HTML}\r\n{empty}", f"{HTML}\r\n{link('real')}"
    check_last_alternative(multipart("alternative", PLAIN, first, real))
    check_last_alternative(multipart("alternative", first, first, PLAIN, real))


# A URL in angle brackets that goes on in the next line


def check_no_half_url(message: str | bytes) -> None:
    copy = track(message)
    source = message if isinstance(message, bytes) else message.encode()
    whole = "https://a.example/reset/path?token=1234"
    assert set(targets(copy)) <= {whole}
    if not copy.wrapped_links:
        assert copy.message == source
        assert "split_link" in copy.reasons


def test_angle_url_two_lines() -> None:
    check_no_half_url(case("angle-url-two-lines"))


@pytest.mark.parametrize(
    "text",
    [
        "<https://a.example/reset/\r\npath?token=1234>",
        "<https://a.example/reset/\npath?token=1234>",
        "<https://a.example/reset/\r\n path?token=1234>",
        "<https://a.example/reset/\r\n\tpath?token=1234>",
        "<https://a.example/reset/ \r\npath?token=1234>",
        "<https://a.example/reset/path?\r\ntoken=1234>",
        "<https://a.example/\r\nreset/\r\npath?token=1234>",
        "<https://a.example/reset/path?token=\r\n1234> and more <b>",
        "> <https://a.example/reset/\r\n> path?token=1234>",
        "(<https://a.example/reset/\r\npath?token=1234>)",
        "Reset:\r\n<https://a.example/reset/path?tok\r\nen=1234>.",
    ],
)
def test_no_half_of_a_url_in_angle_brackets_is_wrapped(text: str) -> None:
    check_no_half_url(f"{HEAD}Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n")


# Nobody is told who got a blind copy


def check_blind(message: bytes) -> None:
    copies = track_all(message, "x@example.com", "secret1@example.com", "secret2@example.com")
    assert {each for copy in copies for each in copy.recipients} >= {
        "x@example.com", "boss@example.com", "secret1@example.com", "secret2@example.com",
    }  # fmt: skip
    for copy in copies:
        names = {b"boss@", b"secret1@", b"secret2@"}
        told = {name for name in names if name in copy.message}
        assert told <= {name for name in names for who in copy.recipients if name in who.encode()}
        assert re.search(rb"^Subject: hello\r?$", copy.message, re.MULTILINE)
        assert b"\n secret" not in copy.message


def test_bcc_leak() -> None:
    check_blind(case("bcc-leak"))


BLIND = """\
From: a@example.com
To: x@example.com
Subject: hello
X-MSYS-API: {"bcc": ["boss@example.com"]}
Bcc: secret1@example.com,
 secret2@example.com
Content-Type: text/html

<a href="https://x.example/">x</a>
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("From:", "Bad line\nFrom:"),
        ("Subject:", "Bad line\nSubject:"),
        ("Bcc:", "Bad line\nBcc:"),
        ("Content-Type:", "Bad line\nContent-Type:"),
        (",\n secret2", ",\n\tsecret2"),
        (",\n secret2", ",\n \n secret2"),
        ("Bcc:", "BCC:"),
        ("Bcc: secret1@example.com,\n", "Bcc:\n secret1@example.com,\n"),
        (",\n secret2", "\nbcc: secret2"),
        ("Bcc: secret1", "Bcc: =?utf-8?q?J=C3=B6?= <nobody@example.com>,\n secret1"),
        ("\n", "\r\n"),
    ],
)
def test_no_copy_names_a_blind_recipient(old: str, new: str) -> None:
    assert old in BLIND
    check_blind(BLIND.replace(old, new).encode())


# Charsets that agree with ASCII


def test_charset_ibm850() -> None:
    copy = track(case("charset-ibm850"))
    assert (targets(copy), copy.pixels) == (["https://a.example/1"], 1)


@pytest.mark.parametrize(
    "charset",
    [
        "IBM850", "ibm-850", "cp437", "IBM852", "IBM869", "VISCII", "KZ-1048", "CP936", "Latin-9",
        "csUTF8", "utf_8", "cp932", "MS949", "ANSI_X3.4-1968", "ISO646-US", "iso-ir-6",
        "windows-874", "macintosh", "hp-roman8", "tis-620",
    ],
)  # fmt: skip
def test_every_superset_of_ascii_is_tracked(charset: str) -> None:
    message = f"{HEAD}Content-Type: text/html; charset={charset}\r\n\r\n{link('1')}\r\n"
    copy = track(message)
    assert (targets(copy), copy.pixels) == (["https://a.example/1"], 1)


# Dispositions that nobody registered


def check_is_a_file(message: str | bytes) -> None:
    copy = track(message)
    source = message if isinstance(message, bytes) else message.encode()
    assert copy.message == source
    assert "attached_part" in copy.reasons


def test_disposition_star() -> None:
    check_is_a_file(case("disposition-star"))


@pytest.mark.parametrize(
    "disposition",
    [
        "form-data", "file", "x-foo", "attachement", "attachment", "ATTACHMENT", "inline2", "*",
        "; filename=x.html", "notification", '"inline"', "render; filename=x.html",
    ],
)  # fmt: skip
def test_a_part_of_an_unknown_disposition_is_a_file(disposition: str) -> None:
    part = f"{HTML}Content-Disposition: {disposition}\r\n\r\n{link('file')}"
    check_is_a_file(multipart("mixed", PLAIN, part))


# X-MSYS-API in several lines


def check_campaign(message: str | bytes) -> None:
    copy = track(message)
    assert copy.header is not None
    assert (copy.header.campaign_id, copy.header.open_tracking) == ("x", True)
    assert b"X-MSYS-API" not in copy.message
    assert b"campaign_id" not in copy.message


def test_folded_x_msys_api_550() -> None:
    check_campaign(case("folded-x-msys-api-550"))


@pytest.mark.parametrize("before", ["", "Subject hello\r\n", "Subject: hello\r\n"])
@pytest.mark.parametrize(
    "value",
    [
        ' {"options": {"open_tracking": true},\r\n "campaign_id": "x"}',
        ' {"options": {"open_tracking": true},\r\n\t"campaign_id": "x"}',
        '\r\n {"options": {"open_tracking": true}, "campaign_id": "x"}',
        ' {"options":\r\n {"open_tracking":\r\n true},\r\n "campaign_id":\r\n "x"}',
        ' {"options": {"open_tracking": true}, "campaign_id": "x"\r\n }',
        ' {"options": {"open_tracking": true},\n "campaign_id": "x"}',
        ' {\r\n\t "options": {"open_tracking": true}, "campaign_id": "x"}',
        ' {"options": {"open_tracking": true},\r\n    "campaign_id": "x"}   ',
        '{"options":{"open_tracking":true},\r\n \r\n "campaign_id":"x"}',
        '\r\n\t{"campaign_id": "x",\r\n\t"options": {"open_tracking": true}}',
    ],
)
def test_a_header_of_several_lines_is_read_whole(before: str, value: str) -> None:
    check_campaign(f"{before}From: a@example.com\r\nX-MSYS-API:{value}\r\n{HTML}\r\n{link('1')}")


# What may stand before the first field


def check_tracked_behind(first: bytes, message: bytes) -> None:
    copy = track(message)
    assert copy.message.startswith(first)
    assert (targets(copy), copy.pixels) == (["https://a.example/1"], 1)


def test_from_line() -> None:
    message = case("from-line")
    check_tracked_behind(message.partition(b"\n")[0], message)


@pytest.mark.parametrize(
    "first",
    [
        b"From shop@shop.example Mon Jan  1 00:00:00 2024\r\n",
        b"From shop@shop.example Mon Jan  1 00:00:00 2024\n",
        b">From shop@shop.example Mon Jan  1 00:00:00 2024\r\n",
        b">From \r\n",
        b"From \n",
        b"From - Mon Jan  1 00:00:00 2024\r\n",
        b"From MAILER-DAEMON\r\n",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbfFrom a@b.example\r\n",
        b"From a@b.example\r\n\xef\xbb\xbf",
        b"From : not a field \xff\r\n",
    ],
)
def test_a_mail_is_tracked_behind_what_is_no_field(first: bytes) -> None:
    check_tracked_behind(first, first + f"{HEAD}{HTML}\r\n{link('1')}\r\n".encode())


# A last line that begins with dashes


def check_has_a_pixel(message: str | bytes) -> None:
    copy = track(message)
    assert (copy.pixels, copy.reasons) == (1, ())


def test_last_line_dashes() -> None:
    check_has_a_pixel(case("last-line-dashes"))


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "quoted-printable"])
@pytest.mark.parametrize(
    "last",
    ["-->", "-- jo</p>", "--", "---", "--x", "-- ", "--B", "--b1--", "------- end", "--</body>"],
)
def test_a_last_line_of_dashes_is_no_obstacle(encoding: str, last: str) -> None:
    opened = "<!--" if last == "-->" else "<p>Hello</p>"
    part = f"{HTML}Content-Transfer-Encoding: {encoding}\r\n\r\n{opened}\r\n{last}"
    check_has_a_pixel(multipart("alternative", PLAIN, part))


# Long lines


def check_all_wrapped(message: str | bytes, links: int) -> None:
    copy = track(message)
    assert (copy.wrapped_links, copy.reasons) == (links, ())
    assert max(map(len, copy.message.split(b"\r\n"))) <= 998


def test_minified_800() -> None:
    message = case("minified-800")
    check_all_wrapped(message, message.count(b"href="))


@pytest.mark.parametrize("width", [300, 500, 700, 790, 800, 850, 900, 950, 980, 996])
@pytest.mark.parametrize("encoding", ["7bit", "8bit"])
def test_all_links_of_a_long_line_are_wrapped(encoding: str, width: int) -> None:
    cells, number = "", 0
    while len(cells) < width - 110:
        cells += f'<td><a href="https://a.example/item/{number}?utm_source=mail">Item</a></td>'
        number += 1
    cells = cells.ljust(width, "x")
    head = f"{HEAD}{HTML}Content-Transfer-Encoding: {encoding}\r\n\r\n"
    check_all_wrapped(f"{head}<table><tr>\r\n{cells}\r\n</table>\r\n", number)


# A named file beside the body


def check_body_alone(message: str | bytes) -> None:
    copy = track(message)
    assert targets(copy) == ["https://a.example/body"]
    assert copy.pixels == 1
    assert b'<a href="https://a.example/file">' in copy.message
    assert "named_file" in copy.reasons


def test_named_html_file_before_body() -> None:
    check_body_alone(case("named-html-file-before-body"))


@pytest.mark.parametrize(
    "fields",
    [
        'Content-Type: text/html; name="report.html"\r\n',
        "Content-Type: text/html; NAME=report.html\r\n",
        "Content-Type: text/html; name*=utf-8''r%C3%A9port.html\r\n",
        "Content-Type: text/html; name*0=rep; name*1=ort.html\r\n",
        'Content-Type: text/html;\r\n name="report.html"\r\n',
        "Content-Type: text/html\r\nContent-Disposition: inline; filename=report.html\r\n",
        'Content-Type: text/html\r\nContent-Disposition: INLINE; filename="re port.html"\r\n',
        "Content-Type: text/html\r\nContent-Disposition: inline; filename*=utf-8''a.html\r\n",
        "Content-Type: text/html\r\nContent-Disposition: inline; filename*0*=utf-8''a\r\n",
        'Content-Disposition: inline; filename="a"\r\nContent-Type: text/html\r\n',
    ],
)
def test_a_named_file_stays_wherever_the_body_is(fields: str) -> None:
    file, body = f"{fields}\r\n{link('file')}", f"{HTML}\r\n{link('body')}"
    check_body_alone(multipart("mixed", file, body))
    check_body_alone(multipart("mixed", body, file))


# Nothing is said of a pixel that nobody asked for


def check_no_word_of_pixels(message: str | bytes) -> None:
    copy = track(message, open_tracking=False)
    assert copy.wrapped_links == 1
    assert not {each for each in copy.reasons if "pixel" in each or each == "no_html_part"}


def test_pixel_reason_open_off() -> None:
    check_no_word_of_pixels(case("pixel-reason-open-off"))


@pytest.mark.parametrize(
    "end",
    [
        "<textarea>", "<script>", "<style>", "<title>", "<!--", "<!-- x --", "<xmp>", "<iframe>",
        "<noembed>", '<img alt="', "<plaintext>", "<svg><title><![CDATA[",
    ],
)  # fmt: skip
def test_no_pixel_is_missed_where_opens_are_not_tracked(end: str) -> None:
    check_no_word_of_pixels(f'{HEAD}{HTML}\r\n<p><a href="https://a.example/1">y</a>{end}\r\n')


# Marks around a URL in a text


def check_marks(message: bytes, expected: Sequence[str]) -> None:
    copy = track(message)
    assert targets(copy) == expected
    replaced = [message[offset : offset + length].decode() for offset, length, _ in copy.edits]
    assert replaced == expected


def test_text_emphasis() -> None:
    check_marks(case("text-emphasis"), [f"https://a.example/{number}" for number in range(1, 6)])


@pytest.mark.parametrize(
    "marked",
    [
        "*{}*", "**{}**", "_{}_", "__{}__", "~{}~", "~~{}~~", "`{}`", "|{}|x|", "| {} |", "*{}*.",
        "(*{}*)", "_{}_,", "***{}***", "*_{}_*", "```{}```",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "url", ["https://a.example/1", "https://a.example/a_b?c=*d", "http://b.c"]
)
def test_marks_around_a_url_are_not_part_of_it(marked: str, url: str) -> None:
    text = f"see {marked.format(url)} now"
    message = f"{HEAD}Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    check_marks(message.encode(), [url])


# Letters that case folding takes for ASCII


def check_location(message: str | bytes, location: str) -> None:
    copy = track(message)
    [target] = targets(copy)
    assert target is not None
    assert make_location(target) == location


def test_turkish_dotless_i() -> None:
    check_location(case("turkish-dotless-i"), "https://shop.example/kad%C4%B1n?q=%C4%B0#%C4%B1")


@pytest.mark.parametrize("letter", ["\u0130", "\u0131", "\u017f", "\u212a"])
@pytest.mark.parametrize("url", ["{}", "a{}b", "?{}", "?q={}&r", "#{}", "{0}?{0}#{0}"])
def test_letters_like_dotless_i_reach_the_target(letter: str, url: str) -> None:
    target = f"https://shop.example/{url.format(letter)}"
    encoded = "".join(f"%{byte:02X}" for byte in letter.encode())
    check_location(
        f"{HEAD}{HTML}\r\n<a href='{target}'>x</a>\r\n",
        f"https://shop.example/{url.format(encoded)}",
    )


# Header fields that contradict each other


def check_ambiguous(message: str | bytes) -> None:
    copy = track(message)
    assert copy.message == (message if isinstance(message, bytes) else message.encode())
    assert "ambiguous_header" in copy.reasons


def test_two_cte_7bit_base64() -> None:
    check_ambiguous(case("two-cte-7bit-base64"))


CTE = "Content-Transfer-Encoding"


@pytest.mark.parametrize(
    "fields",
    [
        f"{HTML}{CTE}: 7bit\r\n{CTE}: base64\r\n",
        f"{HTML}{CTE}: base64\r\n{CTE}: 7bit\r\n",
        f"{CTE}: quoted-printable\r\n{HTML}{CTE}: 8bit\r\n",
        f"{HTML}{CTE.lower()}: 8bit\r\n{CTE.upper()}: binary\r\n",
        f"{HTML}{CTE}:\r\n 7bit\r\n{CTE}: base64\r\n",
        f"{HTML}{CTE}: 7bit\r\n{CTE}: 7bit\r\n{CTE}: base64\r\n",
        f"{HTML}Content-Type: text/plain\r\n",
        f"{HTML}Content-Type: text/html; charset=utf-16\r\n",
        "Content-Type: text/html; charset=utf-8; charset=utf-7\r\n",
        "Content-Type: text/html; charset=utf-8; charset*=us-ascii''utf-16\r\n",
        f"{HTML}Content-Disposition: inline\r\nContent-Disposition: attachment\r\n",
    ],
)
def test_a_part_whose_header_says_two_things_stays(fields: str) -> None:
    check_ambiguous(f"{HEAD}{fields}\r\n{link('1')}\r\n")
