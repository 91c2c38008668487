"""Who is compared on one mail: our engines, and other people's rewriters of HTML.

Ours read the mail: its header section, `X-MSYS-API`, its parts. The others get the bodies of its
HTML parts and the tracked URL, or the metadata, of our own copy, so that they write as much.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msys_track.comparison.damage import Damage, judge_html
from msys_track.comparison.mail import Body, Mail, UnfitMailError, list_bodies
from msys_track.comparison.ours import BASE_URL, OPTIONS, make_target_finder
from msys_track.comparison.peers import Links, Peer
from msys_track.dispatch.library import Rewriter, rewrite
from msys_track.keys.ring import KeyRing

OURS: Final = "msys-track"
NEXT: Final = "msys-track, next recipient"
REFERENCE: Final = "msys-track, pure Python"

_RECIPIENT: Final = "jo.reader@example.org"
_LINK: Final = re.compile(rb"""https://click\.example\.com/f/[^"'\s<>]*""")
_PIXEL: Final = re.compile(rb"<img[^>]*https://click\.example\.com/q/[^>]*>")
_NOW: Final = 1_795_510_800


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to track a mail."""

    name: str
    version: str
    """Of the package; empty if there is none."""
    is_ours: bool
    seals: bool
    """Whether each link is encrypted."""
    call: Callable[[], bytes]
    """Does it once, from the start: what is timed."""
    run: Callable[[], Sequence[bytes]]
    """Does it once; the HTML of each part, in UTF-8."""
    judge: Callable[[Sequence[bytes]], Sequence[Damage]]
    """What became of the HTML of each part."""


def line_up(mail: Mail, peers: Sequence[Peer], *, with_reference: bool) -> Sequence[Contender]:
    """Prepare everybody for a mail.

    Args:
        mail: what is tracked.
        peers: other people's, in the order of the result.
        with_reference: whether our engine in pure Python can be run.

    Raises:
        UnfitMailError: we wrap no link of it.
    """
    keys = KeyRing.temporary()
    links = _take_links(mail, keys)
    rewriter = Rewriter(keys=keys, options=OPTIONS)
    opened = rewriter.open(mail.message)
    ours = [
        _prepare_ours(mail, keys, OURS, lambda: _rewrite(mail, keys, "native")),
        _prepare_ours(
            mail, keys, NEXT, lambda: rewriter.copy_for(_RECIPIENT, opened, now=_NOW).message
        ),
    ]
    if with_reference:
        ours.append(
            _prepare_ours(mail, keys, REFERENCE, lambda: _rewrite(mail, keys, "reference"))
        )
    return [*ours, *[_prepare_peer(mail, peer, links) for peer in peers]]


def _rewrite(mail: Mail, keys: KeyRing, engine: str) -> bytes:
    return rewrite(
        mail.message, recipient=_RECIPIENT, keys=keys, options=OPTIONS, now=_NOW, engine=engine
    )


def _take_links(mail: Mail, keys: KeyRing) -> Links:
    """Take URL and pixel from a copy of ours: peers that seal nothing write these."""
    html = b"".join([body.html() for body in list_bodies(_rewrite(mail, keys, "native"))])
    if link := _LINK.search(html):
        pixel = _PIXEL.search(html)
        return Links(
            click_url=link[0],
            pixel=b"" if pixel is None else pixel[0],
            metadata=mail.metadata,
            base_url=BASE_URL,
        )
    raise UnfitMailError(
        f"{mail.kind}: no link in its HTML is tracked, so there is nothing to compare; "
        "msys-track explain says why each link is left alone"
    )


def _prepare_ours(mail: Mail, keys: KeyRing, name: str, call: Callable[[], bytes]) -> Contender:
    reasons, find_target = _list_reasons(mail, keys), make_target_finder(keys)

    def find_reason(href: str) -> str | None:
        return reasons.get(href.strip())

    def judge(bodies: Sequence[bytes]) -> Sequence[Damage]:
        return [
            judge_html(
                before, after, _is_tracked, find_target=find_target, find_reason=find_reason
            )
            for before, after in _pair(mail.bodies, bodies)
        ]

    return Contender(
        name=name,
        version="",
        is_ours=True,
        seals=True,
        call=call,
        run=lambda: [body.html() for body in list_bodies(call())],
        judge=judge,
    )


def _list_reasons(mail: Mail, keys: KeyRing) -> Mapping[str, str]:
    """List the links that we leave alone with a reason, by where they lead."""
    copy = Rewriter(keys=keys, options=OPTIONS).copy_for(_RECIPIENT, mail.message, now=_NOW)
    left = [] if copy.plan is None else copy.plan.left_alone
    return {each.target: each.reason for each in left if each.target is not None}


def _prepare_peer(mail: Mail, peer: Peer, links: Links) -> Contender:
    calls = [body.rewriting(peer.start, links) for body in mail.bodies]

    def run() -> Sequence[bytes]:
        return [
            body.with_content(call()).html() for body, call in zip(mail.bodies, calls, strict=True)
        ]

    def judge(bodies: Sequence[bytes]) -> Sequence[Damage]:
        return [
            judge_html(before, after, links.is_tracked, find_target=peer.find_target)
            for before, after in _pair(mail.bodies, bodies)
        ]

    return Contender(
        name=peer.name,
        version=peer.version,
        is_ours=False,
        seals=peer.seals,
        call=calls[0] if len(calls) == 1 else lambda: b"".join([call() for call in calls]),
        run=run,
        judge=judge,
    )


def _is_tracked(url: str) -> bool:
    return url.startswith(BASE_URL)


def _pair(before: Sequence[Body], after: Sequence[bytes]) -> Sequence[tuple[bytes, bytes]]:
    return [(body.html(), html) for body, html in zip(before, after, strict=True)]
