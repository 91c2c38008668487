"""A judge of whole messages: Python's `email` takes them apart, and HTML is judged as such."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Final, TypeAlias

from msys_track.comparison.changed_bytes import count_changed
from msys_track.comparison.damage import Damage, add_damages, judge_html
from msys_track.comparison.fidelity.parts import SIGNATURES, Leaf, list_leaves
from msys_track.testing.fidelity import without_api_header

KINDS: Final = ("MIME parts", "other parts", "header fields", "signatures")
"""The kinds of structures of a mail, beside those of its HTML."""

Explain: TypeAlias = Callable[[Leaf, str], str | None]
"""From a part as it stood and an `href` in it to the reason why that was left alone."""

_SIGNATURES: Final = frozenset(map(str.lower, SIGNATURES))
# They say how a part is written, which may change as long as it reads the same.
_FREE: Final = frozenset(
    ["content-type", "content-transfer-encoding", "content-length", "lines", "mime-version"]
)


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges what one way made of documents and messages."""

    is_tracked: Callable[[str], bool]
    find_target: Callable[[str], str | None] | None = None

    def judge_document(
        self, before: bytes, after: bytes, explain: Callable[[str], str | None] | None = None
    ) -> Damage:
        """Compare HTML in UTF-8 with what became of it."""
        return judge_html(
            before,
            after,
            self.is_tracked,
            find_target=self.find_target,
            find_reason=explain,
        )

    def judge_message(self, before: bytes, after: bytes, explain: Explain | None = None) -> Damage:
        """Compare a message with what became of it; how its lines break is nobody's matter."""
        old, new = map(_normalise, (before, after))
        leaves, copies = list_leaves(old), list_leaves(new)
        changed = _compare_around(old, new)
        if [leaf.kind for leaf in leaves] != [leaf.kind for leaf in copies]:
            changed["MIME parts"] = abs(len(leaves) - len(copies)) or 1
            return _add([], changed, count_changed(old, new, self.is_tracked))
        found = []
        for leaf, copy in zip(leaves, copies, strict=True):
            if leaf.is_html:
                found.append(self._judge_leaf(leaf, copy, explain))
            elif leaf.body != copy.body and leaf.text.rstrip() != copy.text.rstrip():
                changed["other parts"] += 1
        around = count_changed(_cut(old, leaves), _cut(new, copies), self.is_tracked)
        return _add(found, changed, 0 if old == new else around)

    def _judge_leaf(self, leaf: Leaf, copy: Leaf, explain: Explain | None) -> Damage:
        def find_reason(href: str) -> str | None:
            # An attached or signed part is nobody's to touch, so whoever leaves it is right.
            return (explain(leaf, href) if explain is not None else None) or leaf.excuse

        damage = judge_html(
            leaf.text.encode("utf-8", "replace"),
            (leaf if copy.body == leaf.body else copy).text.encode("utf-8", "replace"),
            self.is_tracked,
            find_target=self.find_target,
            find_reason=find_reason,
        )
        lost = copy.text.count("\ufffd") - leaf.text.count("\ufffd")
        if lost <= 0 or copy.body == leaf.body:
            return damage
        return _add([damage], Counter(charset=lost), 0)


def _normalise(message: bytes) -> bytes:
    wire = re.sub(rb"\r\n|\r|\n", b"\r\n", message)
    return without_api_header(wire)


def _compare_around(old: bytes, new: bytes) -> Counter[str]:
    """Compare header fields and signatures."""
    changed: Counter[str] = Counter()
    if old == new:
        return changed
    fields, others = _list_fields(old), _list_fields(new)
    gone, added = Counter(fields) - Counter(others), Counter(others) - Counter(fields)
    changed["header fields"] = max(gone.total(), added.total())
    _, _, body = old.partition(b"\r\n\r\n")
    _, _, new_body = new.partition(b"\r\n\r\n")
    if _SIGNATURES.intersection(name for name, _ in fields):
        changed["signatures"] += body.rstrip() != new_body.rstrip()
    changed["signatures"] += any(signed not in new for signed in _list_signed(old))
    return changed


def _list_fields(message: bytes) -> list[tuple[str, str]]:
    """List the header fields of the message and of its parts, as their readers see them."""
    return [
        (name.lower(), _read_field(str(value)))
        for part in message_from_bytes(message).walk()
        for name, value in part.items()
        if name.lower() not in _FREE
    ]


def _read_field(value: str) -> str:
    try:
        read = str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, UnicodeError, ValueError):
        read = value
    return "".join(read.split()).replace('"', "")


def _list_signed(message: bytes) -> list[bytes]:
    """List what stands between the first two boundary lines of each `multipart/signed`."""
    found = []
    for part in message_from_bytes(message).walk():
        boundary = part.get_boundary()
        if part.get_content_type() == "multipart/signed" and boundary:
            line = b"\r\n--" + boundary.encode("ascii", "surrogateescape")
            pieces = message.split(line)
            found += pieces[1:2]
    return found


def _cut(message: bytes, leaves: Sequence[Leaf]) -> bytes:
    """Take the bodies of HTML parts out of a message."""
    kept, at = [], 0
    for leaf in leaves:
        # Behind an empty line, since a short body may occur in a header too.
        blank = message.find(b"\r\n\r\n" + leaf.raw, max(at - 4, 0))
        start = blank + 4 if blank >= 0 else message.index(leaf.raw, at)
        end = start + len(leaf.raw)
        kept.append(message[at : start if leaf.is_html else end])
        at = end
    return b"".join([*kept, message[at:]])


def _add(damages: Sequence[Damage], changed: Counter[str], bytes_changed: int) -> Damage:
    around = Damage(bytes_changed=bytes_changed, structures=changed.total(), kinds=dict(+changed))
    return add_damages([*damages, around])
