"""The ways that are judged: both of our engines, and every peer that is installed."""

from base64 import b64decode, encodebytes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from msys_track.comparison.damage import Damage
from msys_track.comparison.fidelity.judge import Judge
from msys_track.comparison.fidelity.parts import Leaf
from msys_track.comparison.fidelity.programmer import rewriting_mail
from msys_track.comparison.hrefs import trim_url
from msys_track.comparison.ours import BASE_URL, OPTIONS, make_target_finder
from msys_track.comparison.peers import Links, Peer, find_peers
from msys_track.dispatch.copies import Copy
from msys_track.dispatch.library import Rewriter
from msys_track.keys.ring import KeyRing
from msys_track.reasons import Reason

LINKS: Final = Links(
    click_url=f"{BASE_URL}f/a/".encode() + b"A" * 160,
    pixel=b'<img border="0" width="1" height="1" alt="" src="%bq/%b">'
    % (BASE_URL.encode(), b"A" * 80),
    metadata={"campaign": "spring", "list": "customers"},
    base_url=BASE_URL,
)
"""What peers write. A URL of ours is about as long."""
# In base64, because lines of every other encoding have a limit.
_HEAD: Final = (
    b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
)
# Of pixels and of text: they say nothing of links in HTML.
_NOT_OF_LINKS: Final = frozenset(
    {"no_html_part", "no_pixel_place", "no_initial_pixel_place", "text_links_off"}
)

Rewrite: TypeAlias = Callable[[], bytes]
JudgeCopy: TypeAlias = Callable[[bytes], Damage]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to track a document or a message."""

    name: str
    start: Callable[[bytes, bool], tuple[Rewrite, JudgeCopy]]
    """From HTML in UTF-8, or from a message if the flag says so, to a call that rewrites it, and
    one that judges what came of it."""
    is_ours: bool = False


def find_ways() -> list[Way]:
    """Return ours and those of the peers that are installed."""
    ours = [
        _make_ours("msys-track", "native"),
        _make_ours("msys-track, pure Python", "reference"),
    ]
    return [*ours, *map(_make_peer, find_peers())]


def _make_peer(peer: Peer) -> Way:
    judge = Judge(LINKS.is_tracked, peer.find_target)

    def start(source: bytes, is_message: bool) -> tuple[Rewrite, JudgeCopy]:  # noqa: FBT001
        if is_message:
            rewrite = rewriting_mail(source, peer.start, LINKS)
            return rewrite, lambda after: judge.judge_message(source, after)
        return peer.start(source, LINKS), lambda after: judge.judge_document(source, after)

    return Way(f"{peer.name} {peer.version}".rstrip(), start)


def _make_ours(name: str, engine: str) -> Way:
    keys = KeyRing.temporary()
    options = replace(OPTIONS, keep_link_attributes=True)  # nobody asked peers to remove them
    rewriter = Rewriter(keys=keys, options=options, engine=engine)

    judge = Judge(LINKS.is_tracked, make_target_finder(keys))

    def start(source: bytes, is_message: bool) -> tuple[Rewrite, JudgeCopy]:  # noqa: FBT001
        message = source if is_message else _HEAD + encodebytes(source)
        ours = _Ours(rewriter, message)

        def rewrite() -> bytes:
            copy = ours.rewrite()
            return copy if is_message else b64decode(copy.removeprefix(_HEAD))

        def judge_copy(after: bytes) -> Damage:
            if is_message:
                return judge.judge_message(source, after, ours.explain)
            return judge.judge_document(source, after, lambda href: ours.explain(None, href))

        return rewrite, judge_copy

    return Way(name, start, is_ours=True)


@dataclass(slots=True)
class _Ours:
    """One message and its copy, which says what was left alone, and why."""

    rewriter: Rewriter
    message: bytes
    copies: list[Copy] = field(default_factory=list)

    def rewrite(self) -> bytes:
        self.copies = [self.rewriter.copy_for("jo@example.com", self.message)]
        return self.copies[0].message

    def explain(self, leaf: Leaf | None, href: str) -> str | None:
        """Return the reason of this link, of its part or of its message."""
        for target, reason, span in self._list_left():
            if reason in _NOT_OF_LINKS:
                continue
            if target is not None:
                if trim_url(target) == trim_url(href):
                    return reason
            elif leaf is None or _squeeze(leaf.raw) in _squeeze(span):
                return reason
        return None

    def _list_left(self) -> Sequence[tuple[str | None, str, bytes]]:
        [copy] = self.copies
        if copy.untracked is not None and copy.untracked is not Reason.CORE_FAILURE:
            return [(None, copy.untracked.value, self.message)]
        if copy.plan is None or copy.rendered is None:
            return []  # our core has failed, which excuses nothing
        return [
            (each.target, each.reason, self.message[each.offset : each.offset + each.length])
            for each in (*copy.plan.left_alone, *copy.rendered.left_alone)
        ]


def _squeeze(raw: bytes) -> bytes:
    return b"".join(raw.split())
