"""Charsets: Python's codecs as a second opinion on the table and on the core's decoders."""

import base64
import codecs
import re
from importlib.resources import files
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rewriting.plans import KEYS, URLS, engagement, plan

from msys_track.rewriting.engines import find_engine
from msys_track.rewriting.rules import Rules

TABLE = files("msys_track.rewriting").joinpath("charsets.txt").read_text(encoding="utf-8")
SINGLE = re.findall(r"^single (\S+) +# Python (\S+)$", TABLE, re.MULTILINE)
TRANSCODED = {
    "utf-16": "utf-16",
    "utf-16be": "utf-16-be",
    "UTF_16_LE": "utf-16-le",
    "utf-32": "utf-32",
    "utf-32be": "utf-32-be",
    "utf-7": "utf-7",
    "hz-gb-2312": "hz",
    "iso-2022-jp": "iso2022_jp",
    "ISO-2022-JP-2": "iso2022_jp_2",
    "iso-2022-kr": "iso2022_kr",
}
BROWSERS = {
    "windows-1252": "cp1252",
    "iso-8859-2": "iso8859-2",
    "koi8-r": "koi8-r",
    "windows-1251": "cp1251",
    "gb18030": "gb18030",
    "windows-1253": "cp1253",
}
LETTERS = "aéж\u03b1åł日本中가кя漢字"


def find_targets(html: bytes, charset: str) -> list[str]:
    head = f'Content-Type: text/html; charset="{charset}"\r\n'
    encoded = codecs.encode(html, "base64").replace(b"\n", b"\r\n")
    message = head.encode() + b"Content-Transfer-Encoding: base64\r\n\r\n" + encoded
    return [link.target for link in plan(message).links]


@pytest.mark.parametrize(("name", "codec"), SINGLE)
def test_a_charset_of_single_bytes_reads_as_python_reads_it(name: str, codec: str) -> None:
    for byte in range(0x80, 0x100):
        octet = bytes([byte])
        expected = octet.decode(codec, "replace")
        assert find_targets(b"<a href='http://e.com/" + octet + b"x'>", name) == [
            f"http://e.com/{expected}x"
        ]


@pytest.mark.parametrize(("label", "codec"), TRANSCODED.items())
@given(text=st.text(st.sampled_from(LETTERS), max_size=12))
def test_a_charset_that_is_no_superset_of_ascii_reads_as_python_reads_it(
    label: str, codec: str, text: str
) -> None:
    known = "".join(each for each in text if is_in(each, codec))
    html = f"<p>{known}</p><a href='http://e.com/{known}'>{known}</a>\r\n"
    assert find_targets(html.encode(codec), label) == [f"http://e.com/{known}"]


@pytest.mark.parametrize(("label", "codec"), BROWSERS.items())
@given(query=st.text(st.sampled_from(LETTERS + "=&%+'"), max_size=12))
def test_a_query_is_percent_encoded_in_the_charset_of_the_part(
    label: str, codec: str, query: str
) -> None:
    known = "".join(each for each in query if is_in(each, codec))
    html = f'<a href="http://e.com/?{known.replace("&", "&amp;")}#é">'
    expected = known if known.isascii() else quote(known.encode(codec), safe="=&%+")
    found = find_targets(html.encode(codec, "xmlcharrefreplace"), label)
    assert found == [f"http://e.com/?{expected}#é"]


def is_in(character: str, codec: str) -> bool:
    try:
        character.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
@pytest.mark.parametrize("charset", ["; charset=utf-8", "; charset=windows-1252", ""])
def test_a_mark_of_utf_16_under_another_name_leaves_the_part_alone(
    charset: str, mark: bytes, engine: str
) -> None:
    codec = "utf-16-le" if mark == b"\xff\xfe" else "utf-16-be"
    html = mark + "<body><a href='http://e.com/'>x</a></body>".encode(codec)
    head = f"Content-Type: text/html{charset}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    message = head.encode() + base64.encodebytes(html)
    planned = find_engine(engine).plan(message, Rules())
    assert [each.reason for each in planned.left_alone] == ["unsupported_charset"]
    assert planned.render(KEYS, engagement(open_tracking=True), URLS).message == message
