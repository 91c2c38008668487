"""What a client reads in the answers to EHLO and HELP."""

import pytest
from tests.smtp.commands.test_machine import ALL, LITTLE

from msys_track.smtp.commands.offer import Offer

NOTHING = Offer(size=10_000, pipelining=False, chunking=False)
SYNTAX = {
    "AUTH": "AUTH mechanism [initial-response]",
    "BDAT": "BDAT bytes [LAST]",
    "DATA": "DATA",
    "EHLO": "EHLO hostname",
    "HELO": "HELO hostname",
    "HELP": "HELP [command]",
    "MAIL": "MAIL FROM:<address> [SIZE=bytes] [BODY=7BIT|8BITMIME] [SMTPUTF8] "
    "[RET=FULL|HDRS] [ENVID=id]",
    "NOOP": "NOOP",
    "QUIT": "QUIT",
    "RCPT": "RCPT TO:<address> [NOTIFY=when] [ORCPT=type;address]",
    "RSET": "RSET",
    "STARTTLS": "STARTTLS",
    "VRFY": "VRFY address",
    "XCLIENT": "XCLIENT attribute=value...",
}
ALWAYS = ["DATA", "EHLO", "HELO", "HELP", "MAIL", "NOOP", "QUIT", "RCPT", "RSET", "VRFY"]


def read_help(offer: Offer) -> list[str]:
    return offer.help("").text.removeprefix("2.0.0 Commands: ").split()


def test_ehlo_lists_each_extension_on_a_line() -> None:
    reply = ALL.greet("mx.shop.example")
    assert (reply.code, reply.text.split("\n")) == (
        250,
        [
            "mx.shop.example",
            "SIZE 10000",
            "8BITMIME",
            "SMTPUTF8",
            "PIPELINING",
            "ENHANCEDSTATUSCODES",
            "DSN",
            "CHUNKING",
            "STARTTLS",
            "AUTH PLAIN LOGIN",
            "XCLIENT ADDR NAME",
            "HELP",
        ],
    )
    little = LITTLE.greet("mx.shop.example")
    assert (little.code, little.text) == (250, "mx.shop.example\nSIZE 10000\nPIPELINING\nHELP")
    bare = NOTHING.greet("mx.shop.example")
    assert (bare.code, bare.text) == (250, "mx.shop.example\nSIZE 10000\nHELP")


@pytest.mark.parametrize("command", SYNTAX)
def test_help_shows_the_syntax_of_a_command(command: str) -> None:
    reply = ALL.help(command)
    assert (reply.code, reply.text) == (214, f"2.0.0 Syntax: {SYNTAX[command]}")


def test_help_lists_the_commands_in_order() -> None:
    reply = ALL.help("")
    assert (reply.code, reply.text) == (214, f"2.0.0 Commands: {' '.join(SYNTAX)}")


def test_help_shows_nothing_that_is_not_offered() -> None:
    reply = NOTHING.help("")
    assert (reply.code, reply.text) == (214, f"2.0.0 Commands: {' '.join(ALWAYS)}")
    assert NOTHING.help("MAIL").text == (
        "2.0.0 Syntax: MAIL FROM:<address> [SIZE=bytes] [BODY=7BIT|8BITMIME]"
    )
    assert NOTHING.help("RCPT").text == "2.0.0 Syntax: RCPT TO:<address>"


def test_help_differs_by_what_is_offered() -> None:
    optional = {"AUTH", "BDAT", "STARTTLS", "XCLIENT"}
    assert set(read_help(ALL)) - set(read_help(LITTLE)) == optional
    assert "ENVID" not in LITTLE.help("MAIL").text


def test_help_on_something_else_names_what_there_is() -> None:
    reply = NOTHING.help("TURN")
    there = "5.5.4 No such command; there are: "
    assert (reply.code, reply.text) == (504, there + " ".join(ALWAYS))
