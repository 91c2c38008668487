"""Addresses: read as aiosmtpd reads them, where it reads what a path means."""

import asyncio
from collections.abc import Iterator
from typing import NoReturn

import pytest
from aiosmtpd.smtp import SMTP
from hypothesis import assume, example, given
from hypothesis import strategies as st

from msys_track.injection import address
from msys_track.smtp.path import is_path


@pytest.fixture(scope="module")
def parser() -> Iterator[address.Parser]:
    """aiosmtpd's own."""
    loop = asyncio.new_event_loop()
    yield SMTP(None, hostname="stock.test", loop=loop)._getaddr  # noqa: SLF001 - the peer
    loop.close()


ATOM = st.sampled_from(["a", "A1", "b-c", "x+y", "o'neil", "{z}", "=?", "!#$%&*/^_`|~"])
DOT_ATOM = st.lists(ATOM, min_size=1, max_size=3).map(".".join)
PLAIN = st.builds("<{}@{}>".format, DOT_ATOM, DOT_ATOM)
PARAMETERS = st.lists(
    st.sampled_from(
        ["SIZE=1", "BODY=8BITMIME", "SMTPUTF8", "X", "NOTIFY=NEVER", "A=B=C", "<a@b>"]
    ),
    max_size=3,
)
COMMANDS = st.builds(lambda path, more: " ".join([path, *more]), PLAIN, PARAMETERS)
PIECES = st.lists(
    st.sampled_from(
        [
            *("<", ">", "@", "a", "b.c", '"', "\\", "(", ")", " ", ".", ",", ":", ";", "[", "]"),
            *("\x01", "\r", "\t", "ü", "\udcff", "SIZE=1", "127.0.0.1", "=?utf-8?q?x?=", "-"),
            *("<a@b>", '"q r"@b', "@x:", "\u2028", "\u0085", "\u00a0"),
        ]
    ),
    max_size=8,
).map("".join)


def refuse_to_parse(_argument: str) -> NoReturn:
    raise AssertionError


@given(argument=COMMANDS | PIECES)
@example(argument="<a@example.com> SIZE=10 BODY=8BITMIME")
@example(argument="<a@example.com>  X")
@example(argument="<a@example.com> (comment) X")
def test_the_fast_path_agrees_with_aiosmtpd(parser: address.Parser, argument: str) -> None:
    assume("=?" not in argument)
    try:
        plain = address.split_argument(argument, refuse_to_parse)
    except AssertionError:
        assume(False)  # noqa: FBT003 - hypothesis' way to pass on
    assert plain == parser(argument)


@pytest.mark.parametrize(
    "argument",
    ["<a@example.com>", "<a.b+c=d@sub.example.com> SIZE=100", "<o'neil@example.com> BODY=7BIT"],
)
def test_a_plain_address_does_not_ask_the_parser(argument: str) -> None:
    path, _, parameters = argument[1:].partition(">")
    assert address.split_argument(argument, refuse_to_parse) == (path, parameters.strip())


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        ("", ""),
        ("<>", "<>"),
        ("<postmaster>", "postmaster"),
        ("a@example.com", "a@example.com"),
        ("< a@example.com >", "a@example.com"),
        ("<a b@example.com>", '"a b"@example.com'),
        ('<"a b"@example.com>', '"a b"@example.com'),
        ('<"a@b"@example.com>', '"a@b"@example.com'),
        ('<"a\\"b"@example.com>', '"a\\"b"@example.com'),
        ('<"a\\\\b"@example.com>', '"a\\\\b"@example.com'),
        ("<a@[127.0.0.1]>", "a@[127.0.0.1]"),
        ("<a@[IPv6:::1]>", "a@[IPv6:::1]"),
        ("<@relay.test:a@example.com>", "a@example.com"),
        ("<jö@bücher.example>", "jö@bücher.example"),
        ("<=?x@example.com>", "=?x@example.com"),
        ("<=?utf-8?q?root=40evil.test?=@example.com>", "=?utf-8?q?root=40evil.test?=@example.com"),
    ],
)
def test_an_address_that_can_travel_is_read(
    parser: address.Parser, argument: str, path: str
) -> None:
    assert address.split_argument(argument, parser) == (path, "")


@pytest.mark.parametrize(
    ("given_", "read"),
    [
        ("BODY=8B\u0131TMIME", "BODY=8B\ufffdTMIME"),
        ("\u017fIZE=1", "\ufffdIZE=1"),
        ("X\u2003Y", "X\ufffdY"),
        ("SIZE=\u0663", "SIZE=\ufffd"),
    ],
)
def test_no_parameter_becomes_ascii_in_upper_case(
    parser: address.Parser, given_: str, read: str
) -> None:
    assert address.split_argument(f"<a@b.test> {given_}", parser) == ("a@b.test", read)


@pytest.mark.parametrize(
    "argument",
    [
        "<",
        '"',
        "<(c)=?utf-8?q?root=40evil.test?=@example.com>",
        '<"a"=?utf-8?q?=3e?=@example.com>',
        '<"a\rb"@example.com>',
        '<"a\x00b"@example.com>',
        "<a\udcff@example.com>",
        "<a@[>]>",
        "b.c@[\u2028@x:;=?utf-8?q?x?=@x:>",
        "(" * 500,
    ],
)
def test_what_no_command_can_carry_is_malformed(parser: address.Parser, argument: str) -> None:
    assert address.split_argument(argument, parser) == (None, None)


@given(argument=PIECES | st.text(max_size=30))
@example(argument="(" * 550)
@example(argument="<" + "(" * 550)
@example(argument='<"' + "\\" * 550)
def test_whatever_a_client_says_is_a_path_or_malformed(
    parser: address.Parser, argument: str
) -> None:
    path, _ = address.split_argument(argument, parser)
    assert path in {None, "<>"} or is_path(path or "")
