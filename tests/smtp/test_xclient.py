"""XCLIENT: the attributes of Postfix's README, and what is refused."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.smtp.xclient import ATTRIBUTES, XClient, XClientError, parse_xclient


def test_the_examples_of_postfix_are_read() -> None:
    assert parse_xclient(["NAME=spike.porcupine.org", "ADDR=168.100.189.2"]) == XClient(
        name="spike.porcupine.org", address=ip_address("168.100.189.2")
    )
    assert parse_xclient(["PROTO=ESMTP", "HELO=spike.porcupine.org"]) == XClient(
        is_extended=True, helo="spike.porcupine.org"
    )


def test_every_attribute_has_its_place() -> None:
    given_attributes = [
        "NAME=a.example",
        "ADDR=IPV6:2001:db8::7",
        "PORT=51234",
        "PROTO=smtp",
        "HELO=b.example",
        "LOGIN=shop",
        "DESTADDR=192.0.2.1",
        "DESTPORT=25",
    ]
    assert parse_xclient(given_attributes) == XClient(
        name="a.example",
        address=ip_address("2001:db8::7"),
        port=51234,
        is_extended=False,
        helo="b.example",
        login="shop",
        listen_address=ip_address("192.0.2.1"),
        listen_port=25,
    )
    assert [each.partition("=")[0] for each in given_attributes] == list(ATTRIBUTES)


def test_a_value_is_xtext_of_utf_8() -> None:
    assert parse_xclient(["login=a+2Bb+40c+C3+A9"]).login == "a+b@cé"


@pytest.mark.parametrize("word", ["[UNAVAILABLE]", "[TEMPUNAVAIL]", "[unavailable]"])
def test_what_a_peer_does_not_know_is_none(word: str) -> None:
    assert parse_xclient([f"{each}={word}" for each in ATTRIBUTES]) == XClient()


@pytest.mark.parametrize(
    "attributes",
    [
        [],
        ["ADDR"],
        ["ADDR="],
        ["FOO=bar"],
        ["ADDR=192.0.2.1", "addr=192.0.2.2"],
        ["ADDR=2001:db8::7"],
        ["ADDR=IPV6:fe80::1%eth0"],
        ["ADDR=192.0.2.256"],
        ["ADDR=localhost"],
        ["PORT=65536"],
        ["PORT=-1"],
        ["PORT=1e3"],
        ["PROTO=HTTP"],
        ["LOGIN=a+0Ab"],
        ["LOGIN=a+00b"],
        ["LOGIN=a+4"],
        ["LOGIN=a+zz"],
        ["LOGIN=+FF"],
        ["HELO=ü"],
        ["HELO=" + "x" * 256],
    ],
)
def test_what_is_not_an_attribute_is_refused(attributes: list[str]) -> None:
    with pytest.raises(XClientError):
        parse_xclient(attributes)


@given(
    st.lists(
        st.text(max_size=40)
        | st.builds("{}={}".format, st.sampled_from(ATTRIBUTES), st.text(max_size=40))
    )
)
def test_no_attributes_break_the_parser(attributes: list[str]) -> None:
    try:
        parsed = parse_xclient(attributes)
    except XClientError:
        return
    assert "\0" not in repr(parsed)
