"""Requests come out of bytes the same however the network cut them, and garbage breaks nothing."""

from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from msys_track.tracking.request import Request, RequestReader
from msys_track.tracking.settings import TrackerSettings

SETTINGS = TrackerSettings(store=Path("unused"), max_pipelined_requests=1_000)

HEADER_NAMES = st.text("abcdefXYZ-", min_size=1, max_size=8).map(str.encode)
HEADER_VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), max_size=12).map(
    lambda text: text.replace("\x7f", "").encode("latin-1")
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from([b"GET", b"HEAD", b"POST"]))
    body = draw(st.binary(max_size=20)) if method == b"POST" else b""
    headers = draw(st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=3))
    lines = [
        method + b" /" + draw(st.text("abc/%?=\xe9", max_size=9)).encode() + b" HTTP/1.1",
        b"Host: a",
        *(b"X-" + name + b": " + value for name, value in headers),
        *([b"Content-Length: %d" % len(body)] if body else []),
    ]
    return b"\r\n".join([*lines, b"", body])


def read_in_pieces(wire: bytes, cuts: list[int]) -> tuple[list[Request], HTTPStatus | None]:
    reader = RequestReader(SETTINGS)
    found: list[Request] = []
    bounds = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    for start, end in pairwise(bounds):
        found += reader.feed(wire[start:end])
    return found, reader.refused


@given(
    wires=st.lists(requests(), min_size=1, max_size=4), cuts=st.lists(st.integers(0), max_size=9)
)
def test_the_same_requests_come_out_however_the_bytes_were_cut(
    wires: list[bytes], cuts: list[int]
) -> None:
    wire = b"".join(wires)
    found, refused = read_in_pieces(wire, cuts)
    assert (found, refused) == read_in_pieces(wire, [])
    assert len(found) == len(wires)
    assert [request.method for request in found] == [wire.split(b" ")[0] for wire in wires]
    assert [request.target for request in found] == [
        quote(wire.split(b" ")[1], safe="/%?=").encode() for wire in wires
    ]


@given(pieces=st.lists(st.binary(max_size=200), max_size=5))
def test_garbage_is_refused_or_waited_for_and_never_raises(pieces: list[bytes]) -> None:
    reader = RequestReader(SETTINGS)
    for piece in pieces:
        for request in reader.feed(piece):
            assert request.method
    assert reader.refused is None or reader.finished


@given(wire=requests(), position=st.integers(0), byte=st.integers(0, 255))
def test_one_wrong_byte_never_raises(wire: bytes, position: int, byte: int) -> None:
    position %= len(wire)
    reader = RequestReader(SETTINGS)
    reader.feed(wire[:position] + bytes([byte]) + wire[position + 1 :])
    assert reader.refused is None or reader.finished


def test_nothing_is_taken_after_a_refusal() -> None:
    reader = RequestReader(SETTINGS)
    assert reader.feed(b"\x00") == []
    assert reader.refused == HTTPStatus.METHOD_NOT_ALLOWED
    assert reader.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") == []


def test_a_target_may_have_some_runs_beyond_ascii_and_is_refused_with_very_many() -> None:
    some = b"/" + b"\xe9a" * 9
    (request,) = RequestReader(SETTINGS).feed(b"GET " + some + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert request.target == quote(some).encode()
    reader = RequestReader(SETTINGS)
    many = b"/" + b"\xe9a" * 999
    assert reader.feed(b"GET " + many + b" HTTP/1.1\r\nHost: a\r\n\r\n") == []
    assert reader.refused == HTTPStatus.BAD_REQUEST


def test_headers_are_found_by_their_name_in_any_case() -> None:
    (request,) = RequestReader(SETTINGS).feed(b"GET / HTTP/1.1\r\nhOST: a\r\nX: 1\r\nx: 2\r\n\r\n")
    assert request.value(b"host") == b"a"
    assert request.values(b"x") == [b"1", b"2"]
    assert request.value(b"y") is None


def test_the_limits_are_met_exactly() -> None:
    settings = TrackerSettings(store=Path("unused"), max_request_line_bytes=10, max_headers=2)
    target = b"/" + b"a" * 9
    assert RequestReader(settings).feed(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    reader = RequestReader(settings)
    assert reader.feed(b"GET " + target + b"a HTTP/1.1\r\nHost: a\r\n\r\n") == []
    assert reader.refused == HTTPStatus.REQUEST_URI_TOO_LONG
    assert RequestReader(settings).feed(b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n")
    reader = RequestReader(settings)
    assert reader.feed(b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\nD: e\r\n\r\n") == []
    assert reader.refused == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
