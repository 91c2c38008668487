"""A mail reader: what a person would see of a message, found by the standard library alone.

Nothing here is shared with the code that wraps links; else both could be wrong in the same way.
"""

import email
import email.policy
import html
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from enum import StrEnum
from html.parser import HTMLParser
from typing import Final

from msys_track.testing.href import BLANK


class LinkPlace(StrEnum):
    """Where in a mail a link stands."""

    HTML = "in the HTML"
    OUTLOOK = "in a comment for Outlook"
    TEXT = "in plain text"
    ATTACHMENT = "in an attachment"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailLink:
    """A link as its reader's mail program has it."""

    place: LinkPlace
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailView:
    """The links and images of one message, in the order they stand."""

    links: tuple[MailLink, ...]
    images: tuple[str, ...]


def read_mail(message: bytes) -> MailView:
    """Parse a message and list what can be clicked and what is loaded.

    For mails whose HTML is sound: on broken tags `html.parser` takes the cube of their length.
    """

    def parse(html: str, place: LinkPlace) -> tuple[list[MailLink], list[str]]:
        document = _Html(place)
        document.feed(html)
        document.close()
        return document.links, document.images

    return _view_texts(message, parse)


def scan_mail(message: bytes) -> MailView:
    """List the same by patterns: quickly for any file, but less where its HTML is broken."""

    def scan(html: str, place: LinkPlace) -> tuple[list[MailLink], list[str]]:
        markup = _COMMENT.sub("", html)
        hrefs = _find_values(markup, _LINK, _HREF)
        links = [MailLink(place=place, href=href) for href in hrefs]
        return links, list(_find_values(markup, _IMAGE, _SRC))

    return _view_texts(message, scan)


# What a mail program makes clickable in plain text.
_URL: Final = re.compile(r"""https?://[^\s<>"]+[^\s<>".,;:!?')]""")

# HTML's names and white space are ASCII: in Unicode a dotless i is one.
_HTML: Final = re.IGNORECASE | re.ASCII
# `<!-->` begins a comment and ends it; one that has no end goes on to the end of the text.
_COMMENT: Final = re.compile(r"<!(?=--)(?:.*?-->|.*)", re.DOTALL)
_LINK: Final = re.compile(r"<(?:a|area)[\s/][^<>]*", _HTML)
_IMAGE: Final = re.compile(r"<img[\s/][^<>]*", _HTML)
_VALUE: Final = r"""\s*=\s*(?:"([^"]*)|'([^']*)|([^\s"']+))"""
_HREF: Final = re.compile(r"[\s/]href" + _VALUE, _HTML)
_SRC: Final = re.compile(r"[\s/]src" + _VALUE, _HTML)


def _view_texts(
    message: bytes, read_html: Callable[[str, LinkPlace], tuple[list[MailLink], list[str]]]
) -> MailView:
    links: list[MailLink] = []
    images: list[str] = []
    for place, text in _list_texts(message):
        if place is LinkPlace.TEXT:
            links += [MailLink(place=place, href=url) for url in _URL.findall(text)]
            continue
        found = read_html(text, place)
        links += found[0]
        images += found[1]
    return MailView(links=tuple(links), images=tuple(images))


def _list_texts(message: bytes) -> Iterator[tuple[LinkPlace, str]]:
    """Yield the text of each part that is text, and where its reader sees it."""
    with suppress(RecursionError):  # parts in parts in parts; `email` goes down into all of them
        parsed = email.message_from_bytes(message, policy=email.policy.compat32)
        for part in parsed.walk():
            kind = part.get_content_type()
            is_attached = part.get_content_disposition() == "attachment"
            if kind == "text/html":
                yield LinkPlace.ATTACHMENT if is_attached else LinkPlace.HTML, _text(part)
            elif kind == "text/plain" and not is_attached:
                yield LinkPlace.TEXT, _text(part)


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    try:
        return content.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:  # an unknown charset
        return content.decode("latin-1")


class _Html(HTMLParser):
    """Collects links and images, also those that only Outlook sees."""

    def __init__(self, place: LinkPlace) -> None:
        super().__init__(convert_charrefs=True)
        self.place = place
        self.links: list[MailLink] = []
        self.images: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a link or an image."""
        # HTML: of two attributes with one name the first counts.
        values = dict(reversed(attrs))
        # Outlook's buttons are VML: v:roundrect, v:rect and others.
        is_link = tag in {"a", "area"} or (
            self.place is LinkPlace.OUTLOOK and tag.startswith("v:")
        )
        href, source = values.get("href"), values.get("src")
        if is_link and href is not None:
            self.links.append(MailLink(place=self.place, href=href.strip(BLANK)))
        elif tag == "img" and source is not None:
            self.images.append(source)

    def handle_comment(self, data: str) -> None:
        """Read what Outlook reads: `<!--[if mso]> … <![endif]-->`."""
        condition, end, content = data.partition("]>")
        if end and condition.lstrip().startswith("[if") and self.place is LinkPlace.HTML:
            inner = _Html(LinkPlace.OUTLOOK)
            inner.feed(content.removesuffix("<![endif]"))
            inner.close()
            self.links += inner.links


def _find_values(markup: str, tag: re.Pattern[str], attribute: re.Pattern[str]) -> Iterator[str]:
    for start in tag.finditer(markup):
        value = attribute.search(start[0])
        if value is not None:
            yield html.unescape(value[1] or value[2] or value[3] or "").strip(BLANK)
