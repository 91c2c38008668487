"""The compiled core and the reference find the same in HTML, wherever the standard lets them.

Where they differ is stated in `docs/decisions/engines.md`, and `DIFFERENCES` shows each.
"""

import email
import email.policy
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import shared_corpus
from tests.rewriting.reference.html.documents import FOREIGN, MARKUP, TABLES
from tests.thoroughness import IS_THOROUGH, some_of

from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.keys.ring import KeyRing
from msys_track.options.tracking import TrackingOptions
from msys_track.rewriting.reference.html.references import decode_references
from msys_track.rewriting.reference.html.scan import FoundLink, scan_html
from msys_track.testing.href import browser_target

HEADER = (
    b"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: binary\r\n\r\n"
)
CORE = Dispatcher(
    keys=KeyRing.temporary(),
    options=TrackingOptions(
        open_tracking=True,
        click_tracking=True,
        tracking_domain="click.example.com",
        keep_link_attributes=False,
    ),
)


@dataclass(frozen=True, slots=True)
class Findings:
    """What of a document changes; offsets into it."""

    links: frozenset[tuple[int, int]]
    attributes: frozenset[tuple[int, int]]
    pixel: int | None


def find_by_core(html: bytes) -> Findings:
    copy = CORE.copy_for("jo@example.com", HEADER + html, now=1_700_000_000)
    edits = [(at - len(HEADER), at - len(HEADER) + length, new) for at, length, new in copy.edits]
    links = {(start, end) for start, end, new in edits if b"/f/" in new}
    for at, length, reason in copy.left_alone:
        if reason.value in ("already_tracked", "line_too_long", "url_too_long"):
            links.add((at - len(HEADER), at - len(HEADER) + length))
    pixels = [start for start, _, new in edits if b"/q/" in new]
    return Findings(
        links=frozenset(links),
        attributes=frozenset((start, end) for start, end, new in edits if not new),
        pixel=pixels[0] if pixels else None,
    )


def find_by_reference(html: bytes) -> Findings:
    found = scan_html(html, decode=decode)
    return Findings(
        links=frozenset((link.start, link.end) for link in found.links if is_tracked(link)),
        attributes=frozenset((start, end) for start, end, _ in found.attributes),
        pixel=found.pixel,
    )


def decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def is_tracked(link: FoundLink) -> bool:
    """Whether a link leads to a host by HTTP, and its sender has not opted out."""
    target = browser_target(decode_references(decode(link.raw)))
    switch = decode(link.attributes.get("data-msys-clicktrack", b"")).strip().lower()
    has_host = re.match(r"https?://[/\\]*[^/\\]", target, re.IGNORECASE)
    return has_host is not None and switch not in ("0", "false", "off")


def documents(*pieces: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    chosen = st.lists(st.sampled_from(sum(pieces, ())), max_size=20)
    # A `-` in the first place might make a boundary line.
    return chosen.map(lambda some: ("x" + "".join(some)).encode())


@given(documents(MARKUP))
def test_any_markup(html: bytes) -> None:
    assert find_by_core(html) == find_by_reference(html)


@given(documents(MARKUP, TABLES))
def test_any_place_for_a_pixel(html: bytes) -> None:
    assert find_by_core(html) == find_by_reference(html)


@given(st.lists(st.sampled_from(FOREIGN), max_size=12))
def test_well_nested_foreign_content(pieces: list[str]) -> None:
    html = "".join(pieces).encode()
    assert find_by_core(html) == find_by_reference(html)


DIFFERENCES = {
    "an end tag of HTML closes foreign content": b"<b><svg></b><title><a href=http://e.com/>",
    "an SVG's link behind the end tag of HTML": b"<div><svg></div><a xlink:href=http://e.com/>",
    "HTML left open in foreign content": b"<svg><desc><p></svg></p></desc><title><a href=http://e.com/>",
    "HTML in two SVGs": b"<svg><svg><div><style><a href=http://e.com/>",
    "SVG in MathML": b"<math><mrow><svg><desc><style><a href=http://e.com/>",
    "a glyph in MathML's text": b"<math><mi><mglyph><style><a href=http://e.com/>",
    "a section in a description": b"<svg><desc><![CDATA[><a href=http://e.com/>]]>",
    "raw text in a frameset": b"<frameset><style><a href=http://e.com/>",
    "raw text that a template ignores": b"<template><col><style><a href=http://e.com/>",
}


@pytest.mark.parametrize("html", DIFFERENCES.values(), ids=DIFFERENCES)
def test_a_known_difference_is_one(html: bytes) -> None:
    assert find_by_core(html) != find_by_reference(html)


def real_html() -> Iterator[bytes]:
    for _, html in some_of(shared_corpus.templates()):
        yield html
    for _, message in some_of(shared_corpus.messages()):
        if b"<" in message:
            yield from parts_of(message)
    for _, case, kind in shared_corpus.hostile():
        if kind == "html" and len(case) < 200_000:
            yield case


def parts_of(message: bytes) -> Iterator[bytes]:
    for part in email.message_from_bytes(message, policy=email.policy.compat32).walk():
        html = part.get_payload(decode=True)
        if part.get_content_type() == "text/html" and isinstance(html, bytes) and html:
            yield html


@shared_corpus.needs_corpus
def test_real_documents() -> None:
    count = 0
    for html in real_html():
        core, reference = find_by_core(html), find_by_reference(html)
        assert (core.links, core.attributes) == (reference.links, reference.attributes)
        assert core.pixel in (reference.pixel, None)
        count += 1
    assert count > (1_200 if IS_THOROUGH else 300)
