"""The compiled engine and the one in pure Python: each is the other's judge, byte for byte."""

import base64
import re
import sys
from collections.abc import Iterator
from itertools import product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import shared_corpus
from tests.rewriting.agreement import (
    NATIVE,
    REFERENCE,
    RULES,
    TRACKED,
    URL_KINDS,
    assert_both_agree,
    describe,
    rewrite,
)
from tests.rewriting.documents import DOCUMENTS, PIECES
from tests.rewriting.plans import KEYS, URLS, engagement
from tests.thoroughness import examples, some_of

from msys_track.errors import SettingsError
from msys_track.keys.ring import TrackedUrls
from msys_track.rewriting.engine import Engine
from msys_track.rewriting.engines import find_engine, import_native
from msys_track.rewriting.rules import Rules


@shared_corpus.needs_corpus
def test_both_agree_on_real_mail() -> None:
    compared = 0
    messages = some_of(shared_corpus.messages(), 7)
    for _, message in messages:
        if len(message) < 200_000:
            assert_both_agree(message)
            compared += 1
    assert compared > len(messages) * 0.9


@shared_corpus.needs_corpus
@pytest.mark.parametrize("rules", RULES[1:])
def test_both_agree_under_other_rules(rules: Rules) -> None:
    for number, (_, message) in enumerate(some_of(list(shared_corpus.messages())[::4], 5)):
        if len(message) < 100_000:
            assert_both_agree(message, rules, URL_KINDS[number % 3], tags=[])


@shared_corpus.needs_corpus
def test_both_agree_on_templates_in_each_encoding() -> None:
    chance = Random(1)  # noqa: S311 - the same each time
    for number, (_, html) in enumerate(some_of(shared_corpus.templates())):
        if len(html) < 100_000:
            encoding = ("8bit", "quoted-printable", "base64")[number % 3]
            head = HEADERS[0].format(charset="utf-8", encoding=encoding).encode()
            message = head + b"\r\n" + encode(html, encoding, chance)
            assert_both_agree(message, RULES[number // 3 % 3], URL_KINDS[number % 2])


@shared_corpus.needs_corpus
def test_both_agree_on_hostile_input() -> None:
    for _, octets, kind in shared_corpus.hostile():
        if len(octets) < 100_000:
            head = b"" if kind == "message" else b"Content-Type: text/html\r\n\r\n"
            assert_both_agree(head + octets)


@shared_corpus.needs_corpus
@pytest.mark.parametrize("rules", RULES)
def test_both_agree_on_the_named_cases(rules: Rules) -> None:
    cases = sorted((shared_corpus.FOLDER.parent / "cases").glob("*.eml"))
    assert len(cases) > 10
    for case in cases:
        for urls in URL_KINDS:
            assert_both_agree(case.read_bytes(), rules, urls)


def encode(html: bytes, encoding: str, chance: Random) -> bytes:
    """An HTML document in a transfer encoding, as mailers write it and as others do."""
    if encoding == "base64":
        encoded = base64.b64encode(html)
        width = chance.choice([0, 4, 60, 76, 76, 120])
        lines = re.findall(rb".{1,%d}" % width, encoded) if width else [encoded]
        return b"\r\n".join(lines) + chance.choice([b"", b"\r\n", b"\r\n\r\n"])
    if encoding == "quoted-printable":
        escape = re.compile(
            rb"[^ -<>-~\r\n]|[ \t](?=\r?\n|\Z)" if chance.random() < 0.8 else rb"."
        )
        text = escape.sub(lambda each: b"=%02X" % each[0][0], html)
        return re.sub(rb"([^\r\n=]{60})(?=[^\r\n])", rb"\1=\r\n", text)
    return html


HEADERS = (
    "Content-Type: text/html; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n",
    'Content-type:text/html;charset="{charset}"\ncontent-transfer-encoding: {encoding}\n',
)
CHARSETS = ("utf-8", "us-ascii", "iso-8859-1", "windows-1252", "koi8-r", "x-none", "")
ENCODINGS = ("7bit", "8bit", "binary", "quoted-printable", "base64", "x-none")


@pytest.mark.parametrize(("name", "encoding"), list(product(DOCUMENTS, ENCODINGS)))
def test_both_agree_on_each_document_in_each_encoding(name: str, encoding: str) -> None:
    chance = Random(name)  # noqa: S311 - the same each time
    for header, charset in some_of(product(HEADERS, CHARSETS), 5):
        html = DOCUMENTS[name].encode("utf-8")
        head = header.format(charset=charset, encoding=encoding).encode()
        message = head + b"\r\n" + encode(html, encoding, chance)
        assert_both_agree(message)
        assert_both_agree(message.replace(b"\r\n", b"\n"), chance.choice(RULES))


@st.composite
def html_messages(draw: st.DrawFn) -> bytes:
    """Strange HTML in any encoding."""
    html = "".join(draw(st.lists(st.sampled_from(PIECES), max_size=14)))
    encoding = draw(st.sampled_from(ENCODINGS[:-1]))
    head = draw(st.sampled_from(HEADERS)).format(
        charset=draw(st.sampled_from(CHARSETS)), encoding=encoding
    )
    chance = Random(draw(st.integers(0, 1_000)))  # noqa: S311 - hypothesis chooses it
    body = encode(html.encode("utf-8"), encoding, chance)
    return head.encode() + b"\r\n" + body


@settings(max_examples=examples(400), deadline=None)
@given(message=html_messages(), rules=st.sampled_from(RULES), urls=st.sampled_from(URL_KINDS))
def test_both_agree_on_strange_html(message: bytes, rules: Rules, urls: TrackedUrls) -> None:
    assert_both_agree(message, rules, urls)


FIELDS = (
    "Content-Type: text/html", "Content-Type: text/plain; charset=utf-8",
    "Content-Type: TEXT/Html;", "Content-Type: multipart/mixed; boundary=b",
    'Content-Type: multipart/alternative; boundary="b"',
    'Content-Type: multipart/related; boundary=b; start="<1@x>"', "Content-Type: text/x-amp-html",
    "Content-Type: multipart/mixed; boundary*0=b; boundary*1=c", "Content-Type: image/png",
    "Content-Type: multipart/mixed; boundary*0=b; boundary*0=c",
    'Content-Type: text/html; name="a.html"', "Content-Type: text/html; charset=a; charset=b",
    "Content-Type: multipart/signed; boundary=b", "Content-Type: message/rfc822",
    "Content-Disposition: attachment", "Content-Disposition: inline; filename*=utf-8''%41.html",
    "Content-Disposition: x-foo", "Content-Disposition: (c) inline", "Content-ID: <1@x>",
    "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: 8bit (c)",
    "Content-Transfer-Encoding: quoted-printable", "Subject: x", " folded", "\tfolded", "no field",
    "X-MSYS-API: {}", "DKIM-Signature: x", "ARC-Seal: x", "From someone", "\ufeffA: b",
)  # fmt: skip
LINES = (
    "", "", "", "--b", "--b--", "--b ", "--bc", "--c", "text", "--", "<body>", "</body>",
    '<a href="http://e.com/">x</a>', "<a href='https://e.com/?a=1&amp;b'", "x</a>",
    "http://e.com/x.", '(http://e.com/a_(b))[[data-msys-clicktrack="0"]]', "PGEgaHJlZj0n", "<!--",
)  # fmt: skip


@settings(max_examples=examples(1_000), deadline=None)
@given(
    fields=st.lists(st.sampled_from(FIELDS), max_size=4),
    lines=st.lists(st.sampled_from(FIELDS) | st.sampled_from(LINES), max_size=24),
    eol=st.sampled_from(["\r\n", "\n"]),
    rules=st.sampled_from(RULES),
)
def test_both_agree_on_strange_messages(
    fields: list[str], lines: list[str], eol: str, rules: Rules
) -> None:
    assert_both_agree(eol.join([*fields, *lines]).encode("utf-8"), rules)


OF_SHIFTS = {
    "iso-2022-jp": (
        b"\x1b(B", b"\x1b(J", b"\x1b(I", b"\x1b$@", b"\x1b$B", b"\x1b$(D", b"\x1b$(O", b"\x1b$(P",
        b"\x1b.A", b"\x1b.F", b"\x1bN", b"\x1bNi", b"\x1b$A", b"\x1b$(C", b"F|K\\", b"\x1b",
        b"\x0e",
    ),
    "iso-2022-kr": (b"\x1b$)C", b"\x0e", b"\x0f", b"0!", b"\x1b(B", b"\x1b"),
    "iso-2022-cn": (
        b"\x1b$)A", b"\x1b$)E", b"\x1b$)G", b"\x1b$*H", b"\x1b$+I", b"\x1bN", b"\x1bO", b"\x0e",
        b"\x0f", b"VP", b"\x1b",
    ),
    "hz-gb-2312": (b"~{", b"~}", b"~~", b"~\n", b"VP", b"~"),
    "utf-7": (
        b"+", b"-", b"+AOk-", b"+AOk", b"+ZeVnLIqe-", b"+2D3eAA-", b"+2D0-", b"+-", b"A", b"+AD0-",
    ),
}  # fmt: skip
BETWEEN_SHIFTS = (
    b'<a href="http://e.com/', b'">x</a>', b"<a class=x href='http://e.com/?q=", b"'>", b"</body>",
    b"http://e.com/a?b=c ", b"http://e.com/a", b"\n", b"\r\n", b"<body>", b" ", b"\\", b"~",
    b"\xe9", b"F|", b"K\\", b"!!", b"a", b"#", b"?", b"?b=", b".", b"<!-- pixel -->", b"<", b'"',
    b' data-msys-linkname="x',
)  # fmt: skip


@st.composite
def shifted_messages(draw: st.DrawFn) -> bytes:
    """A text in a charset with shifts, which stand anywhere."""
    charset = draw(st.sampled_from(sorted(OF_SHIFTS)))
    pieces = st.sampled_from(OF_SHIFTS[charset]) | st.sampled_from(BETWEEN_SHIFTS)
    body = b"".join(draw(st.lists(pieces, min_size=2, max_size=22)))
    encoding = draw(st.sampled_from(ENCODINGS[:-1]))
    media_type = draw(st.sampled_from(["html", "html", "plain", "x-amp-html"]))
    head = HEADERS[0].format(charset=charset, encoding=encoding).replace("html", media_type)
    return head.encode() + b"\r\n" + encode(body, encoding, Random(1))  # noqa: S311 - one width


@settings(max_examples=examples(1_000), deadline=None)
@given(message=shifted_messages(), rules=st.sampled_from(RULES))
def test_both_agree_on_text_with_shifts(message: bytes, rules: Rules) -> None:
    assert_both_agree(message, rules)


WIDE = ("utf-16", "utf-16-le", "utf-16-be", "utf-32-le")
IN_WIDE = (
    *PIECES,
    "http://e.com/x",
    "\n",
    "--b",
    "\u2d2d\u6262",
    "\u0a00",
    "<!-- pixel -->",
    "{{x}}",
)


@st.composite
def wide_messages(draw: st.DrawFn) -> bytes:
    """A text in units of two or four bytes, of which one byte may be missing."""
    charset = draw(st.sampled_from(WIDE))
    text = "".join(draw(st.lists(st.sampled_from(IN_WIDE), min_size=1, max_size=10)))
    body = text.encode(charset)
    cut = draw(st.none() | st.integers(0, len(body)))
    body = body if cut is None else body[:cut] + body[cut + 1 :]
    encoding = draw(st.sampled_from(ENCODINGS[:-1]))
    media_type = draw(st.sampled_from(["html", "html", "plain", "x-amp-html"]))
    head = HEADERS[0].format(charset=charset, encoding=encoding).replace("html", media_type)
    part = f"{head}\r\n".encode() + encode(body, encoding, Random(1))  # noqa: S311 - one width
    beside = "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n"
    return (beside.encode() if draw(st.booleans()) else b"") + part


@settings(max_examples=examples(1_000), deadline=None)
@given(
    message=wide_messages(),
    rules=st.sampled_from(RULES),
    metadata=st.sampled_from([None, '{"a":"' + "y" * 900 + '"}']),
)
def test_both_agree_on_wide_text(message: bytes, rules: Rules, metadata: str | None) -> None:
    assert_both_agree(message, rules, metadata=metadata)


MULTI_BYTE = ("big5", "euc-jp", "euc-kr", "gbk", "gb18030", "shift_jis")


@pytest.mark.parametrize("charset", MULTI_BYTE)
def test_both_read_each_pair_of_bytes_as_the_same_characters(charset: str) -> None:
    chance = Random(charset)  # noqa: S311 - the same each time
    trails = some_of((byte for byte in range(0x21, 0x100) if byte not in b'"&<>'), 7)
    pairs = [bytes(pair) for pair in product(range(0x80, 0x100), trails)]
    longer = [b"\x8f" + pair for pair in pairs[:: 1 if charset == "euc-jp" else 97]]
    longer += [
        bytes(
            chance.choice((*range(0x80, 0x100), *b"09AZaz~[")) for _ in range(chance.randrange(7))
        )
        for _ in range(2_000)
    ]
    assert_same_targets(charset, [b"#" + each for each in pairs + longer])


@pytest.mark.parametrize("charset", [*MULTI_BYTE, "iso-2022-jp", "windows-1255", "koi8-u"])
def test_both_write_each_character_of_a_query_in_the_same_bytes(charset: str) -> None:
    code_points = (
        *range(0x80, 0x3100), *range(0x3100, 0xD800, 7), *range(0xE000, 0x10000),
        *range(0x1F600, 0x1F640), *range(0x20000, 0x2A800, 61),
    )  # fmt: skip
    chance = Random(charset)  # noqa: S311 - the same each time
    queries: list[tuple[int, ...]] = [(each,) for each in some_of(code_points, 11)]
    modes = (0xA5, 0x203E, 0x41, 0x5C, 0x7E, 0x0E, 0x1B, 0x65E5, 0xFF71, 0xFF9E, 0x2212, 0xE9)
    queries += [tuple(chance.choices(modes, k=6)) for _ in range(500)]
    assert_same_targets(
        charset, [b"?" + b"".join(b"&#%d;" % each for each in query) for query in queries]
    )


def assert_same_targets(charset: str, behind: list[bytes]) -> None:
    head = HEADERS[0].format(charset=charset, encoding="binary").encode() + b"\r\n"
    for at in range(0, len(behind), 2_000):
        some = behind[at : at + 2_000]
        message = head + b"\n".join(b'<a href="http://e.com/%s.">' % each for each in some)
        targets = [
            [link.target for link in engine.plan(message, RULES[0]).links]
            for engine in (NATIVE, REFERENCE)
        ]
        assert len(targets[0]) == len(some)
        assert targets[0] == targets[1]


@pytest.mark.parametrize("count", [199, 200, 201])
def test_both_read_as_many_parameters_of_a_field(count: int) -> None:
    many = "; ".join(f"x{number}=y" for number in range(count - 1))
    link = "\r\n\r\n<a href='http://e.com/'>x</a>"
    for last in ("charset=x-none", "boundary=b; boundary=c"):
        assert_both_agree(f"Content-Type: text/html; {many}; {last}{link}".encode())


def texts() -> Iterator[str]:
    """Links in text/plain, and what may stand around them."""
    around = ("", " ", "(", ")", "<", ">", '"', ".", "é", "€", "\u3002", "+", "[[", "x", "\n", "]")
    url = "https://e.com/a?b=(c)"
    options = (
        "",
        '[[data-msys-clicktrack="0"]]',
        '[[data-msys-clic\u212atrack="0"]]',
        "[[data-msys-unsubscribe='1']]",
        "[[x]]",
    )
    for before, after, option in product(around, around, options):
        yield f"{before}{url}{option}{after}"


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "shift_jis", "us-ascii"])
def test_both_agree_on_links_in_text(charset: str) -> None:
    text = "\n".join(texts()).encode(charset, "ignore" if charset == "shift_jis" else "replace")
    head = f"Content-Type: text/plain; charset={charset}; format=flowed; delsp=yes\r\n\r\n"
    assert_both_agree(head.encode() + text)
    assert_both_agree(head.encode() + text.replace(b"\n", b" \r\n"), RULES[2])


@pytest.mark.parametrize("width", [700, 900, 990, 997, 998, 999, 1_100])
@pytest.mark.parametrize("metadata", [None, '{"a":"' + "y" * 200 + '"}'])
def test_both_agree_on_long_lines(width: int, metadata: str | None) -> None:
    chance = Random(width)  # noqa: S311 - the same each time
    for _ in range(20):
        line = ""
        while len(line) < width:
            line += chance.choice(
                ['<a href="http://e.com/">x</a>', "<b>word</b> ", '<a class=x\thref="http://e.com/y">',
                 "<a\thref='http://e.com/z' data-msys-linkname=n>z</a>", "<p>" + "w" * 40]
            )  # fmt: skip
        html = f"<body>\r\n{line[:width]}\r\n</body>\r\n"
        for encoding in ("7bit", "8bit", "binary"):
            head = HEADERS[0].format(charset="utf-8", encoding=encoding)
            message = f"{head}\r\n{html}".encode()
            assert_both_agree(message, chance.choice(RULES), metadata=metadata)


@pytest.mark.parametrize(
    ("charset", "encoding"),
    some_of(product(("utf-8", "utf-16-le", "utf-32-be"), ENCODINGS[:-1]), 2),
)
def test_both_tell_that_html_outgrows_what_gmail_shows(charset: str, encoding: str) -> None:
    chance = Random(1)  # noqa: S311 - the same each time
    html = '<body><a href="http://e.com/">x</a>'
    unit = len("x".encode(charset))
    for length in (102_400 - 600 * unit, 102_400, 102_400 + unit):
        filled = html + "<p>w\r\n" * ((length // unit - len(html)) // 6)
        filled += "x" * (length // unit - len(filled))
        head = HEADERS[0].format(charset=charset, encoding=encoding).encode()
        message = head + b"\r\n" + encode(filled.encode(charset), encoding, chance)
        assert_both_agree(message)
        copy = rewrite(REFERENCE, message, RULES[0], URLS, **TRACKED)
        assert copy["counts"][2] == (length <= 102_400)


LINK = "<a href='http://e.com/'>x</a>"


@pytest.mark.parametrize("parameter", ["boundary*0=b", "boundary*=''b", "charset*0*=''b"])
def test_both_find_a_section_of_a_parameter_ambiguous_that_is_given_twice(parameter: str) -> None:
    name, _, _ = parameter.partition("=")
    for kind in ("multipart/mixed", "text/html"):
        field = f"Content-Type: {kind}; {parameter}; {name}=c; {name}=c"
        assert_both_agree(f"{field}\r\n\r\n--b\r\n\r\n{LINK}".encode())


@pytest.mark.parametrize("place", [0, 1, 999, 1_000, 1_001])
def test_both_look_for_the_start_of_related_parts_among_a_thousand(place: int) -> None:
    parts = ["--b\r\nContent-Type: text/html\r\n\r\nx\r\n"] * 1_003
    parts[place] = f"--b\r\nContent-Type: text/html\r\nContent-ID: <1@x>\r\n\r\n{LINK}\r\n"
    head = 'Content-Type: multipart/related; boundary=b; start="<1@x>"\r\n\r\n'
    assert_both_agree((head + "".join(parts)).encode())


@pytest.mark.parametrize("blank", [b" ", b"\t", b"\r", b"\n", b"\f", b"\v", b"\xa0"])
def test_both_pass_over_the_same_white_space_in_base64(blank: bytes) -> None:
    encoded = base64.b64encode(LINK.encode() * 9)
    head = HEADERS[0].format(charset="utf-8", encoding="base64").encode() + b"\r\n"
    for line in (encoded[:40] + blank + encoded[40:], blank + encoded + blank):
        assert_both_agree(head + line)


@pytest.mark.parametrize("text", ["http://e.com/", "here", "{{x}}"])
def test_both_spare_a_link_of_amp_whose_text_is_a_url(text: str) -> None:
    html = f'<body><a href="http://e.com/{text}">{text}</a></body>'
    parts = [
        f"--b\r\nContent-Type: text/{kind}\r\n\r\n{html}\r\n" for kind in ("x-amp-html", "html")
    ]
    head = "Content-Type: multipart/alternative; boundary=b\r\n\r\n"
    assert_both_agree((head + "".join(parts)).encode(), Rules(spare_url_text=True))


@pytest.mark.parametrize(
    ("charset", "html", "is_changed"),
    [
        ("utf-16-be", "<p>x\n\u2d2d\u3e78", True),  # a pixel behind `-->x`
        ("utf-16-le", "<a x\u0a00\u2d2d data-msys-linkname=n></a><!--", False),  # makes `-->`
    ],
)
def test_both_make_no_boundary_of_wide_text(charset: str, html: str, is_changed: bool) -> None:  # noqa: FBT001
    head = f'boundary=">"\r\n\r\n-->\r\nContent-Type: text/html; charset={charset}\r\n\r\n'
    message = f"Content-Type: multipart/mixed; {head}".encode() + html.encode(charset)
    assert_both_agree(message)
    copy = rewrite(REFERENCE, message, RULES[0], URLS, **TRACKED)
    assert (copy["message"] != message) == is_changed


@pytest.mark.parametrize("kind", ["plain", "html"])
@pytest.mark.parametrize("charset", ["utf-16-be", "utf-16-le", "utf-32-be"])
def test_both_change_wide_text_up_to_half_a_unit(charset: str, kind: str) -> None:
    head = f"Content-Type: text/{kind}; charset={charset}\r\n\r\n".encode()
    for text in ("http://e.com/x", "<a href=http://e.com/>", "--", "<body>"):
        message = head + text.encode(charset)
        for cut in (b"", b"a", b"\n"):
            assert_both_agree(message + cut, Rules(pixel_placeholder="--"))


@pytest.mark.parametrize("charset", ["utf-8", "utf-16-le", "utf-32-be", "utf-7"])
@pytest.mark.parametrize("size", [100, 600, 900, 2_000])
def test_both_give_a_pixel_the_same_room(charset: str, size: int) -> None:
    head = HEADERS[0].format(charset=charset, encoding="8bit").encode() + b"\r\n"
    metadata = f'{{"a":"{"y" * size}"}}'
    for html in ("<body>x</body>", "<body>x<!-- pixel --></body>"):
        assert_both_agree(head + html.encode(charset), RULES[2], metadata=metadata)


@pytest.mark.parametrize("kind", ["html", "x-amp-html"])
def test_both_break_the_same_long_lines_of_html_and_amp(kind: str) -> None:
    html = "<body>" + '<a class=x href="http://e.com/">x</a>' * 9 + "</body>"
    head = "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n"
    message = f"{head}Content-Type: text/{kind}\r\n\r\n{html}".encode()
    assert_both_agree(message)
    assert rewrite(REFERENCE, message, RULES[0], URLS, **TRACKED)["counts"][0] == 9


@pytest.mark.parametrize(
    ("inside", "place"),
    [
        ("<td><select><col>", "</body>"),  # "in cell": a column ends the cell, and the select
        ("<td><select><colgroup>", "</body>"),
        ("<td><select></col>", "<select>"),
        ("<td><select></colgroup>", "<select>"),
        ("<tr style='display:none'><col>", "</body>"),  # "in row"
        ("<tr style='display:none'><td></colgroup>", "<tr"),
        ("<tbody style='display:none'><col>", "</body>"),  # "in table body"
        ("<colgroup style='display:none'><col></colgroup>", "</body>"),
    ],
)
def test_both_let_columns_end_cells_and_rows(inside: str, place: str) -> None:
    message = f"Content-Type: text/html\r\n\r\n<table>{inside}</body>".encode()
    assert_both_agree(message)
    [at] = REFERENCE.plan(message, RULES[0]).pixel_offsets
    assert message[at:].startswith(place.encode())


@pytest.mark.parametrize("html", ["<body>>>x", "<body>>>>x", "<body>>>>>x", '<a href="">">">x'])
def test_both_look_for_a_placeholder_behind_one_that_stays(html: str) -> None:
    message = f"Content-Type: text/html\r\n\r\n{html}".encode()
    for placeholder in (">>", '">"'):
        assert_both_agree(message, Rules(pixel_placeholder=placeholder))


@pytest.mark.parametrize("tag", ["a", "area", "v:rect", "A", "b"])
@pytest.mark.parametrize("attribute", ["data-msys-linkname", "DATA-MSYS-SUBLINK", "data-x"])
def test_both_remove_attributes_of_ours_from_comments_without_a_link(
    tag: str, attribute: str
) -> None:
    html = f"<!--[if mso]><{tag} {attribute}=x>y<![endif]-->{LINK}"
    assert_both_agree(f"Content-Type: text/html\r\n\r\n{html}".encode())


def test_both_agree_on_what_a_program_makes_of_links() -> None:
    message = b"Content-Type: text/html\r\n\r\n" + b"<a  href='http://e.com/'>x</a>" * 9
    changes = {1: None, 3: ("https://other.test/", "name" * 30), 4: None}
    copies = []
    for engine in (NATIVE, REFERENCE):
        revised = engine.plan(message, RULES[0]).revise(changes)
        copies.append(describe(revised, revised.render(KEYS, engagement(**TRACKED), URLS)))
        with pytest.raises(ValueError, match="there is no link 9"):
            revised.revise({9: None})
        with pytest.raises(ValueError, match="is not an http or https URL"):
            revised.revise({0: ("mailto:a@b.c", None)})
    assert copies[0] == copies[1]


@pytest.mark.parametrize("engine", [NATIVE, REFERENCE])
def test_what_is_not_tracked_stays(engine: Engine) -> None:
    message = b"Content-Type: text/html\r\n\r\n<a href='http://e.com/' data-msys-linkname=a>x</a>"
    planned = engine.plan(message, RULES[0])
    copies = planned.render_all(KEYS, [engagement(), engagement(open_tracking=True)], URLS)
    assert [copy.pixels for copy in copies] == [0, 1]
    with pytest.raises(ValueError, match="is behind the header section"):
        planned.render(KEYS, engagement(), URLS, [(len(message), b"A: b\r\n")])


def test_an_engine_that_is_not_there_is_an_error_that_names_those_that_are() -> None:
    with pytest.raises(SettingsError, match="native, reference"):
        find_engine("none")


def test_a_missing_module_that_is_not_the_core_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "msys_track.rewriting.native")
    monkeypatch.setitem(sys.modules, "msys_track.keys.ring", None)
    with pytest.raises(ModuleNotFoundError, match=r"msys_track\.keys\.ring"):
        import_native()


def test_an_installation_without_the_core_is_told_with_the_other_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "msys_track.rewriting.native")
    monkeypatch.setitem(sys.modules, "msys_track._core", None)
    with pytest.raises(SettingsError, match='or give engine="reference"'):
        find_engine("native")
