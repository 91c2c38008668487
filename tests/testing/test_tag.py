"""What a link's tag asks for, read as the core reads it."""

import pytest

from msys_track.testing.tag import Asked, asked


def asked_by(attribute: str) -> Asked:
    document = f"<a {attribute} href='http://a.test/'>".encode()
    return asked(document, document.index(b"http"))


def test_white_space_around_a_value_is_dropped() -> None:
    assert asked_by("data-msys-sublink=' \tshop\n'").sublink == "shop"
    assert asked_by("data-msys-unsubscribe=' TRUE '").unsubscribes


@pytest.mark.parametrize("wide", ["\xa0", "\x85", "\u2003", "\x1c"])
def test_white_space_is_ascii(wide: str) -> None:
    assert asked_by(f"data-msys-sublink='{wide}shop'").sublink == Asked().sublink
    assert not asked_by(f"data-msys-unsubscribe='1{wide}'").unsubscribes
