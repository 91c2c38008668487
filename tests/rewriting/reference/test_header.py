"""Header sections and values with parameters, as the reference reads them."""

import pytest

from msys_track.rewriting.reference.header import (
    Value,
    read_media_type,
    read_section,
    read_value,
    skip_prelude,
)


def test_a_field_has_its_lines_even_where_others_stand_between() -> None:
    message = b"Subject: a\r\n b\r\nno field\r\n c\r\nTo: x\r\n\r\nbody"
    section = read_section(message, 0, len(message))
    subject, to = section.fields
    assert (subject.name, subject.lines) == (b"subject", [(0, 16), (26, 30)])
    assert section.find_values(b"subject") == [b" a b c"]
    assert (to.lines, section.is_malformed) == ([(30, 37)], True)
    assert message[section.body :] == b"body"
    assert section.is_ended


def test_a_section_without_an_empty_line_goes_to_the_end() -> None:
    section = read_section(b"A: b\n", 0, 5)
    assert (section.end, section.body, section.is_ended) == (5, 5, False)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("line", [b"", b"From a@b Mon\n", b">From a\r\n"])
def test_a_mark_and_an_mbox_line_stand_before_the_first_field(mark: bytes, line: bytes) -> None:
    assert skip_prelude(mark + line + b"A: b\n") == len(mark + line)


@pytest.mark.parametrize(
    ("value", "name", "found"),
    [
        (b'a; boundary="x\\"y; z"; c=d', "boundary", 'x"y; z'),
        (b"a; (c; d=e) charset = utf-8 (f)", "charset", "utf-8"),
        (b"a; name*=utf-8''%C3%A9", "name", "é"),
        (b"a; name*1=b; name*0*=''%61", "name", "ab"),
        (b"a; NAME=b; name=c", "name", "b"),
        (b"a; xname=b", "name", None),
    ],
)
def test_parameters_are_read(value: bytes, name: str, found: str | None) -> None:
    assert read_value(value).find(name) == found


def test_a_parameter_is_ambiguous_if_two_readers_may_take_two_values() -> None:
    for value in (b"a; b=c; b=d", b"a; b=c; b*=''d", b"a; b*0=c; b*0=d", b"a; b=c; b=C"):
        assert read_value(value).is_ambiguous("b"), value
    for value in (b"a", b"a; b=c; b=c", b"a; b=cd; b*0=c; b*1=d", b"a; b=c; bb=d; bb=e"):
        assert not read_value(value).is_ambiguous("b"), value
    assert not read_value(b"a; b=c; b=C; b*=''C").is_ambiguous("b", fold=str.lower)


@pytest.mark.parametrize("value", [b"", b"html", b"/html", b"text/", b"(text/html)"])
def test_what_is_no_media_type_is_plain_text(value: bytes) -> None:
    assert read_media_type(value) == Value("text/plain")


def test_only_letters_of_ascii_lose_their_case() -> None:
    assert read_media_type("IMAGE/\u212a; \u212a=b".encode()) == Value(
        "image/\u212a", (("\u212a", "b"),)
    )
