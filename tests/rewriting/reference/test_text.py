"""Links in text/plain, as the reference finds them."""

import pytest

from msys_track.reasons import Reason
from msys_track.rewriting.reference.charsets.charset import Charset, find_charset
from msys_track.rewriting.reference.left_alone import LeftAloneError
from msys_track.rewriting.reference.text import FoundText, scan_text


def scan(text: str, *, joins_lines: bool = False) -> list[FoundText]:
    charset = find_charset("utf-8")
    assert isinstance(charset, Charset)
    return scan_text(text.encode(), charset, joins_lines=joins_lines)[0]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("(see http://e.com/a_(b)).", "http://e.com/a_(b)"),
        ("*http://e.com/a*", "http://e.com/a"),
        ("http://e.com/a*", "http://e.com/a*"),
        ("|http://e.com/a|b", "http://e.com/a"),
        ("http://e.com/日本。", "http://e.com/日本"),
        ("HTTP://e.com/a\u00a0b", "HTTP://e.com/a"),
    ],
)
def test_a_url_ends_where_a_reader_sees_its_end(text: str, url: str) -> None:
    [found] = scan(text)
    assert text.encode()[found.start : found.end].decode() == url


@pytest.mark.parametrize(
    "text", ["xhttp://e.com/", "git+https://e.com/", "http://.", "http:e.com"]
)
def test_what_only_looks_like_a_url_is_none(text: str) -> None:
    assert scan(text) == []


@pytest.mark.parametrize(
    ("text", "joins_lines"),
    [
        ("<http://e.com/a?\nb=c>", False),
        ("< URL:http://e.com/a\r\nb>", False),
        ("http://e.com/a \r\nb", True),
    ],
)
def test_a_url_that_goes_on_in_the_next_line_is_noted(text: str, *, joins_lines: bool) -> None:
    [found] = scan(text, joins_lines=joins_lines)
    assert found.goes_on


@pytest.mark.parametrize(
    "text", ["<http://e.com/a>\nb>", "<http://e.com/a\n\nb>", "http://e.com/a\nb>"]
)
def test_one_that_ends_with_its_line_is_not(text: str) -> None:
    assert [each.goes_on for each in scan(text)] == [False]


def test_options_behind_a_url_are_its_own() -> None:
    [found] = scan("http://e.com/[[data-msys-clicktrack='0' data-msys-sublink=\"a\"]][[x]]")
    assert found.options.is_opted_out
    assert found.options.sublink == "a"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("SIGNED MESSAGE", Reason.SIGNED_PART), ("MESSAGE", Reason.ENCRYPTED_PART)],
)
def test_text_in_the_armour_of_openpgp_is_left_alone(kind: str, reason: Reason) -> None:
    with pytest.raises(LeftAloneError) as left:
        scan(f"x\n-----BEGIN PGP {kind}-----\nhttp://e.com/")
    assert left.value.reason is reason
