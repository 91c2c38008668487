"""Replies: bounded, printable, and the same however the network cut them."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from msys_track.smtp.reply import (
    MAX_LINE_BYTES,
    MAX_REPLY_BYTES,
    MalformedReplyError,
    Reply,
    ReplyReader,
)


def read_replies(*chunks: bytes) -> tuple[list[Reply], bool]:
    """The replies, and whether what followed them was malformed."""
    reader = ReplyReader()
    replies: list[Reply] = []
    try:
        for chunk in chunks:
            for reply in reader.feed(chunk):
                replies.append(reply)  # noqa: PERF402 - those before the fault count
    except MalformedReplyError:
        return replies, True
    return replies, False


def split_wire(wire: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({0, len(wire), *(place % (len(wire) + 1) for place in places)})
    return [wire[a:b] for a, b in pairwise(ends)]


LINES = st.sampled_from(
    [
        *(b"250 Ok\r\n", b"250-first\r\n", b"250 last\r\n", b"354 Go on\r\n", b"550-5.1.1 No\r\n"),
        *(b"550 5.1.1 No\r\n", b"220\r\n", b"421 bye\n", b"\r\n", b"nonsense\r\n", b"25", b"0"),
    ]
)
WIRES = st.lists(LINES, max_size=8).map(b"".join) | st.binary(max_size=60)
PLACES = st.lists(st.integers(0, 10_000), max_size=6)
TOO_LONG = b"250 " + b"x" * MAX_LINE_BYTES + b"\r\n"
LONGEST = b"250 " + b"x" * (MAX_LINE_BYTES - 4) + b"\r\n"
AS_LONG_AS_IT_GETS = b"250-" + b"x" * 4_000 + b"\r\n"


@given(wire=WIRES, places=PLACES)
@example(wire=b"250 Ok\r\nnonsense\r\n", places=[8])
@example(wire=b"250 Ok\r\n550-a\r\n551 b\r\n", places=[8])
@example(wire=LONGEST, places=[len(LONGEST) - 1])
@example(wire=TOO_LONG, places=[len(TOO_LONG) - 1])
@example(wire=TOO_LONG, places=[2_000, 3_000])
@example(wire=AS_LONG_AS_IT_GETS * 17, places=[30_000])
def test_any_chunking_gives_the_same_replies(wire: bytes, places: list[int]) -> None:
    assert read_replies(*split_wire(wire, places)) == read_replies(wire)


@given(wire=WIRES, before=st.sampled_from([b"", b"250-half\r\n", b"25"]))
@example(wire=b"250 Ok\r\n250 Ok\r\n354 Go on\r\n", before=b"")
@example(wire=b"250 Ok\r\n421 Bye\r\n", before=b"")
@example(wire=b"250 \xff\r\n", before=b"")
def test_what_is_read_as_a_whole_is_read_as_usual(wire: bytes, before: bytes) -> None:
    reader = ReplyReader()
    assert list(reader.feed(before)) == []
    whole = reader.read_whole(wire)
    if whole is not None:
        assert (list(whole), False) == read_replies(before, wire)
        assert 421 not in {reply.code for reply in whole}


@pytest.mark.parametrize("text", ["2.0.0 Ok: queued as 4711", "", "a\tb"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_usual_replies_are_read_as_a_whole(text: str, count: int) -> None:
    wire = f"250 {text}\r\n".encode() * count
    assert ReplyReader().read_whole(wire) == (Reply(250, text),) * count


def test_a_reply_has_a_code_and_a_text() -> None:
    assert read_replies(b"250 2.0.0 Ok\r\n") == ([Reply(250, "2.0.0 Ok")], False)
    assert read_replies(b"250-a\r\n250-\r\n250 c\r\n") == ([Reply(250, "a\n\nc")], False)
    assert read_replies(b"250\r\n") == ([Reply(250, "")], False)
    assert read_replies(b"250 \r\n") == ([Reply(250, "")], False)
    assert read_replies(b"250 LF alone\n") == ([Reply(250, "LF alone")], False)
    assert read_replies(b"250 one\r\n550 two\r\n") == (
        [Reply(250, "one"), Reply(550, "two")],
        False,
    )
    assert read_replies(b"250-half\r\n25") == ([], False)


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"ok", b"25", b"2500", b"250_", b"250\t", b"150 ", b"600 ", b"000 ", b"-50 "),
        *(b" 250 Ok", b"\x16\x03\x01\x00", b"HTTP/1.1 200 OK", "٢٥٠ Ok".encode()),
    ],
)
def test_what_is_not_a_reply_is_malformed(line: bytes) -> None:
    assert read_replies(line + b"\r\n") == ([], True)


def test_the_lines_of_a_reply_have_one_code() -> None:
    assert read_replies(b"250-a\r\n251 b\r\n") == ([], True)
    assert read_replies(b"550-a\r\n250-b\r\n") == ([], True)


def test_lines_and_replies_have_an_end() -> None:
    assert read_replies(LONGEST) == ([Reply(250, "x" * (MAX_LINE_BYTES - 4))], False)
    assert read_replies(TOO_LONG) == ([], True)
    assert read_replies(b"2" * (MAX_LINE_BYTES + 2)) == ([], True)
    assert read_replies(AS_LONG_AS_IT_GETS * (MAX_REPLY_BYTES // 4_000 + 1)) == ([], True)
    assert read_replies(b"250-\r\n" * 100_000) == ([], True)


def test_long_replies_may_follow_each_other() -> None:
    whole = AS_LONG_AS_IT_GETS * 10 + b"250 end\r\n"
    replies, malformed = read_replies(whole * 5)
    assert (len(replies), malformed) == (5, False)


PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))
TEXTS = st.lists(PRINTABLE, min_size=1, max_size=4).map("\n".join)


@given(code=st.integers(200, 599), text=TEXTS)
def test_what_is_written_is_read_as_it_was(code: int, text: str) -> None:
    reply = Reply(code, text)
    assert read_replies(reply.wire) == ([reply], False)


@given(text=st.text())
@example(text="a\rb\x00\x1b[2J\x7f\ud800ü\n\n")
def test_only_printable_ascii_is_ever_written(text: str) -> None:
    wire = Reply(550, text).wire
    *lines, last, rest = wire.split(b"\r\n")
    assert re.fullmatch(rb"550 [\t\x20-\x7e]*", last)
    assert rest == b""
    assert all(re.fullmatch(rb"550-[\t\x20-\x7e]*", line) for line in lines)


@given(line=st.binary(max_size=60))
@example(line=b"\x1b[2J\x00\x08\x7f\xff\r")
def test_only_printable_ascii_is_ever_read(line: bytes) -> None:
    replies, _ = read_replies(b"250 " + line.replace(b"\n", b"") + b"\r\n")
    assert all(re.fullmatch(r"[\t\x20-\x7e]*", reply.text) for reply in replies)


@pytest.mark.parametrize("code", [400, 450, 452, 499, 500, 550, 554, 599])
def test_a_refusal_keeps_code_and_text(code: int) -> None:
    refusal = Reply(code, "5.1.1 No\nsuch user").refusal("RCPT")
    assert (refusal.code, refusal.text) == (code, "5.1.1 No\nsuch user")


@pytest.mark.parametrize("code", [421, 200, 250, 300, 354, 399])
def test_a_code_that_is_not_a_refusal_or_only_of_the_channel_is_a_451(code: int) -> None:
    refusal = Reply(code, "what").refusal("RCPT")
    assert refusal.code == 451
    assert refusal.text == f"4.4.2 The upstream answered RCPT with: {code} what"


def test_only_2xx_is_positive() -> None:
    codes = (199, 200, 250, 299, 300, 354, 450)
    assert [code for code in codes if Reply(code, "").is_positive] == [200, 250, 299]
