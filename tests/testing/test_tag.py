"""The options of a link's tag, read as the core reads it."""

import pytest

from msys_track.testing.tag import TagOptions, read_tag_options


def read_tag(attribute: str) -> TagOptions:
    document = f"<a {attribute} href='http://a.test/'>".encode()
    return read_tag_options(document)[document.index(b"http")]


def test_white_space_around_a_value_is_dropped() -> None:
    assert read_tag("data-msys-sublink=' \tshop\n'").sublink == "shop"
    assert read_tag("data-msys-unsubscribe=' TRUE '").unsubscribes


@pytest.mark.parametrize("wide", ["\xa0", "\x85", "\u2003", "\x1c"])
def test_white_space_is_ascii(wide: str) -> None:
    assert read_tag(f"data-msys-sublink='{wide}shop'").sublink == TagOptions().sublink
    assert not read_tag(f"data-msys-unsubscribe='1{wide}'").unsubscribes
