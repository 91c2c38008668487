"""SMTP's form of a message, against the RFC read off line by line."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from msys_track.smtp import data as wire
from msys_track.smtp import plain

PIECES = st.sampled_from(
    [b"\r\n", b"\r", b"\n", b".", b"a", b"\xff", b"\r\n.", b"\r\n..", b"\x00"]
)
ANYTHING = st.lists(PIECES, max_size=14).map(b"".join) | st.binary(max_size=40)
LINES = st.lists(st.sampled_from([b".", b"..", b"a", b".a", b"", b"\xff\x00", b"a."]), max_size=9)
MESSAGES = LINES.map(lambda lines: b"".join(line + b"\r\n" for line in lines))


def stuff_by_line(message: bytes) -> bytes:
    """RFC 5321 section 4.5.2."""
    if message and not message.endswith(b"\r\n"):
        message += b"\r\n"
    lines = message.split(b"\r\n")[:-1]
    return b"".join(b"." * line.startswith(b".") + line + b"\r\n" for line in lines) + b".\r\n"


def end_of(buffer: bytes) -> int | None:
    """The end is the first line that is a dot alone, where only CRLF ends a line."""
    offset = 0
    for line in buffer.split(b"\r\n")[:-1]:
        if line == b".":
            return offset
        offset += len(line) + 2
    return None


@given(message=ANYTHING)
@example(message=b"")
@example(message=b".")
@example(message=b"\r\n.\r\n")
def test_stuffing_is_what_the_rfc_says(message: bytes) -> None:
    assert wire.stuff(message) == stuff_by_line(message)


@given(buffer=ANYTHING)
@example(buffer=b".\r\n")
@example(buffer=b"\r\n.\r\n.\r\n")
@example(buffer=b"a\n.\n\r.\r\r\n.\n")
def test_the_end_is_the_first_line_that_is_a_dot_alone(buffer: bytes) -> None:
    assert wire.find_end_of_data(buffer, 0) == end_of(buffer)


@given(buffer=ANYTHING, cut=st.integers(0, 60))
def test_the_end_is_found_by_looking_at_what_is_new(buffer: bytes, cut: int) -> None:
    seen = min(cut, len(buffer))
    first = wire.find_end_of_data(buffer[:seen], 0)
    found = wire.find_end_of_data(buffer, seen) if first is None else first
    assert found == end_of(buffer)


@given(message=MESSAGES, more=st.binary(max_size=20))
def test_a_message_comes_back_from_the_wire(message: bytes, more: bytes) -> None:
    sent = wire.stuff(message)
    end = wire.find_end_of_data(sent + more, 0)
    assert end == len(sent) - 3
    assert wire.unstuff(sent[:end]) == message


@given(data=ANYTHING)
def test_a_bare_line_break_is_an_error_with_its_place(data: bytes) -> None:
    without_pairs = data.replace(b"\r\n", b"__")
    bare = [place for place, byte in enumerate(without_pairs) if byte in b"\r\n"]
    if bare:
        with pytest.raises(wire.BareNewlineError) as error:
            wire.unstuff(data)
        assert error.value.args[0] == bare[0]
    else:
        lines = data.split(b"\r\n")
        assert wire.unstuff(data) == b"\r\n".join(line.removeprefix(b".") for line in lines)


@given(message=ANYTHING)
def test_no_message_can_hide_its_end_from_the_next_server(message: bytes) -> None:
    """What `unstuff` let in, `stuff` sends with one end, under any server's idea of a line."""
    try:
        taken = wire.unstuff(message)
    except wire.BareNewlineError:
        return
    sent = wire.stuff(taken)
    for end in (b"\r\n.\r\n", b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n"):
        assert end not in (b"\r\n" + sent)[:-1]


def test_a_large_message_survives() -> None:
    message = (b".dots\r\n" * 3 + b"x" * 5_000 + b"\r\n") * 6_000
    sent = wire.stuff(message)
    end = wire.find_end_of_data(sent, 0)
    assert end == len(sent) - 3
    assert wire.unstuff(sent[:end]) == message


@given(wire_bytes=ANYTHING)
@example(wire_bytes=b"a\n.\nb\r.\r\n\r\r\n.\r\r\n")
def test_what_is_normalized_has_no_end_that_anybody_could_see(wire_bytes: bytes) -> None:
    normal = wire.normalize(wire_bytes)
    assert normal == plain.normalize(wire_bytes)
    assert b"\n" not in normal.replace(b"\r\n", b"")
    assert b"\r" not in normal.replace(b"\r\n", b"")
    lines = [line.rstrip(b"\r").replace(b"\r", b" ") for line in wire_bytes.split(b"\n")]
    if not wire_bytes.split(b"\n")[-1].endswith(b"\r"):
        assert normal == b"\r\n".join(lines)
    sent = wire.stuff(wire.unstuff(normal))
    for end in (b"\n.\n", b"\n.\r\n", b"\r.\r", b"\n.\r"):
        assert end not in (b"\r\n" + sent).removesuffix(b".\r\n")


BODIES = st.lists(
    st.sampled_from([b"\r\n", b" ", b"\t", b"  ", b".", b"a", b"\r\n.", b"\xff", b"b \t c"]),
    max_size=14,
).map(b"".join)


@given(body=BODIES, header=st.sampled_from([b"", b"Subject: x\r\n\r\n"]))
@example(body=b" \r\n\r\n", header=b"")
@example(body=b" C \r\nD \t E\r\n\r\n\r\n", header=b"")
def test_core_and_python_relax_a_body_alike(body: bytes, header: bytes) -> None:
    message = header + wire.stuff(body)
    assert wire.relax_body(message, len(header)) == plain.relax_body(message, len(header))


@pytest.mark.parametrize("relax", [wire.relax_body, plain.relax_body], ids=["core", "python"])
def test_a_body_with_a_bare_newline_has_no_relaxed_form(
    relax: Callable[[bytes, int], bytes],
) -> None:
    for body in (b"a\nb\r\n.\r\n", b"a\rb\r\n.\r\n"):
        with pytest.raises((wire.BareNewlineError, plain.BareNewlineError)):
            relax(body, 0)
