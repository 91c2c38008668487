import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.smtp.capabilities import Capabilities


def test_a_server_without_extensions_offers_nothing() -> None:
    assert Capabilities.parse("upstream.test") == Capabilities()


def test_keywords_are_read_in_any_case() -> None:
    offer = "upstream.test hello\nPIPELINING\n8bitmime\nSmtpUtf8\nsize 1000\nDSN\nAUTH PLAIN"
    assert Capabilities.parse(offer) == Capabilities(
        pipelining=True,
        eight_bit_mime=True,
        smtp_utf8=True,
        dsn=True,
        size=1000,
        auth_mechanisms=frozenset({"PLAIN"}),
    )


def test_the_first_line_is_a_greeting_whatever_it_says() -> None:
    assert Capabilities.parse("PIPELINING\nHELP") == Capabilities()


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("SIZE", 0),
        ("SIZE 0", 0),
        ("SIZE 35651584", 35_651_584),
        ("SIZE  35651584 ", 35_651_584),
        ("SIZE -1", 0),
        ("SIZE lots", 0),
        ("SIZE 1e9", 0),
        ("SIZE " + "9" * 20, int("9" * 20)),
        ("SIZE " + "9" * 21, 0),
        ("SIZES 5", None),
        ("XSIZE 5", None),
    ],
)
def test_size_is_a_number_or_no_limit(line: str, size: int | None) -> None:
    assert Capabilities.parse(f"upstream.test\n{line}").size == size


@given(text=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E) | st.just("\n")))
def test_parsing_any_text_does_not_raise(text: str) -> None:
    Capabilities.parse(text)


def test_mechanisms_are_read_in_any_case() -> None:
    offer = Capabilities.parse("upstream.test\nSTARTTLS\nAUTH plain LOGIN")
    assert (offer.start_tls, offer.auth_mechanisms) == (True, frozenset({"PLAIN", "LOGIN"}))


@pytest.mark.parametrize(
    ("mine", "other", "both"),
    [(None, 5, None), (0, 0, 0), (0, 5, 5), (7, 5, 5), (7, 0, 7), (None, None, None)],
)
def test_two_servers_together_take_what_both_take(
    mine: int | None, other: int | None, both: int | None
) -> None:
    first = Capabilities(pipelining=True, size=mine, auth_mechanisms=frozenset({"PLAIN", "LOGIN"}))
    second = Capabilities(
        pipelining=True, smtp_utf8=True, size=other, auth_mechanisms=frozenset({"LOGIN"})
    )
    assert first.intersect(second) == Capabilities(
        pipelining=True, size=both, auth_mechanisms=frozenset({"LOGIN"})
    )
    assert second.intersect(first) == first.intersect(second)
