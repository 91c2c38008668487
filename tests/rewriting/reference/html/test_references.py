"""The attribute rule of the HTML Standard, which differs from that for text."""

import html
from html.entities import html5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.rewriting.reference.html.references import decode_references


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("a&amp;b&#38;c&#x26;d&AMP;e", "a&b&c&d&e"),
        ("?a&copy=1&copy;=2&copyx&copy", "?a&copy=1©=2&copyx©"),
        ("&times=3&notit;&notin;&unknown;", "&times=3&notit;∉&unknown;"),
        ("&#0;&#xD800;&#x110000;&#99999999999999999999;\0", "\ufffd" * 5),
        ("&#128;&#x9f;&#x81;&#10;&#;&#x;&", "€Ÿ\x81\n&#;&#x;&"),
        ("&amp;amp;", "&amp;"),
    ],
)
def test_character_references_follow_the_attribute_rule(raw: str, value: str) -> None:
    assert decode_references(raw) == value


def test_every_name_of_the_table_is_decoded() -> None:
    for name, characters in html5.items():
        assert decode_references(f"&{name}") == characters


def test_a_name_without_its_semicolon_is_left_where_a_value_goes_on() -> None:
    for name in (name for name in html5 if not name.endswith(";")):
        assert decode_references(f"?x&{name}=1") == f"?x&{name}=1"
        assert decode_references(f"&{name}-") == f"{html5[name]}-"


def test_a_number_of_any_length_is_read_in_linear_time() -> None:
    assert decode_references(f"&#{'0' * 100_000}65;") == "A"
    assert decode_references(f"&#{'9' * 100_000};&#x{'f' * 100_000}") == "\ufffd\ufffd"


@given(st.text(st.sampled_from("&#xX;0123aAmplt=copynotingt é"), max_size=20))
def test_where_each_reference_is_closed_it_is_as_in_text(text: str) -> None:
    closed = text.replace("&", "").replace(";", "").join(["&amp;", "&copy;&#233;"])
    assert decode_references(closed) == html.unescape(closed)
