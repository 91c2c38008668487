"""Header changes of a policy, made in a message's bytes. No byte below the header changes.

Text is encoded and folded as RFC 5322 and RFC 2047 have it. A value can't make a second field,
since it has no line break when it comes, and gets none that white space does not follow.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from email.charset import QP, Charset
from email.header import Header
from typing import Final, TypeAlias

from msys_track.policy.changes import HeaderChange
from msys_track.rewriting.engine import HeaderField
from msys_track.smtp.path import is_path
from msys_track.smtpapi import mailbox
from msys_track.smtpapi.mailbox import Mailbox

FindFields: TypeAlias = Callable[[bytes, bytes], Sequence[HeaderField]]
"""An engine's `header_fields`."""

SIGNATURES: Final = (
    "DKIM-Signature",
    "ARC-Seal",
    "ARC-Message-Signature",
    "ARC-Authentication-Results",
)
"""What goes where signatures go, as engines take it away."""

_SIGNING: Final = (b"DKIM-Signature", b"ARC-Message-Signature")
_SIGNED_NAMES: Final = re.compile(rb"(?:^|;)\s*h\s*=([^;]*)")
# Fields of addresses, in which an encoded-word may only stand for a name (RFC 2047 section 5).
_OF_ADDRESSES: Final = frozenset(
    {"from", "sender", "reply-to", "to", "cc", "bcc"}
    | {f"resent-{name}" for name in ("from", "sender", "reply-to", "to", "cc", "bcc")}
)
_FIELD: Final = re.compile(rb"[!-9;-~]+[ \t]*:[^\n]*(?:\n|\Z)(?:[ \t][^\n]*(?:\n|\Z))*")
_SPACES: Final = re.compile(r"([ \t]+)")
_VISIBLE: Final = re.compile(r"[!-~]*")
_LINE: Final = 78
_MAX_LINE: Final = 998
# RFC 2047 section 2 allows 75 bytes, and 76 to the line that has one.
_MAX_ENCODED_WORD: Final = 75
_MIN_ENCODED_WORD: Final = 40
_UTF_8: Final = Charset("utf-8")
_UTF_8.header_encoding = QP


def change_header(
    message: bytes, changes: Sequence[HeaderChange], find_fields: FindFields
) -> bytes:
    """Return the message with its header changed, in the order of the changes.

    A field that takes the place of others stands where the first of them stood; one of a name
    that is not there stands at the end of the header.
    """
    first = message.find(b"\n")
    eol = b"\n" if first >= 0 and message[first - 1 : first] != b"\r" else b"\r\n"
    for change in changes:
        fields = find_fields(message, change.name.encode("ascii"))
        message = _change(message, change, fields, eol)
    return message


def find_signed_names(message: bytes, find_fields: FindFields) -> frozenset[str]:
    """Find the names of fields, in lower case, that a signature of the message covers."""
    return frozenset(
        name.strip().lower().decode("ascii", "replace")
        for field in _SIGNING
        for _, value in find_fields(message, field)
        for names in _SIGNED_NAMES.findall(value)
        for name in names.split(b":")
    )


def leave_signed(
    changes: Sequence[HeaderChange], signed_names: Collection[str]
) -> tuple[HeaderChange, ...]:
    """Return the changes that no signature forbids."""
    return tuple(each for each in changes if each.name.lower() not in signed_names)


def _change(
    message: bytes, change: HeaderChange, fields: Sequence[HeaderField], eol: bytes
) -> bytes:
    lines = [each for pieces, _ in fields for each in pieces]
    text = b"" if change.value is None else write_field(change.name, change.value, eol)
    if change.value is not None and change.how == "prepend":
        return text + message
    if not lines:
        return _insert(message, find_end(message), text, eol) if text else message
    if change.how == "append" and text:
        offset, length = lines[-1]
        return _insert(message, offset + length, text, eol)
    kept, copied = [], 0
    for number, (offset, length) in enumerate(lines):
        kept += [message[copied:offset], text if number == 0 else b""]
        copied = offset + length
    return b"".join([*kept, message[copied:]])


def _insert(message: bytes, at: int, text: bytes, eol: bytes) -> bytes:
    before = message[:at]
    if before and not before.endswith(b"\n"):  # the header ends with the message
        before += eol
    return before + text + message[at:]


def find_end(message: bytes) -> int:
    """Find where the fields that the message begins with end."""
    at = 0
    while (field := _FIELD.match(message, at)) is not None and field.end() > at:
        at = field.end()
    return at


def write_field(name: str, value: str, eol: bytes) -> bytes:
    """Write a field, its last line break included.

    Lines have at most 78 bytes where there is white space to fold at, and never more than 998: a
    word that is longer becomes encoded-words.

    Args:
        name: its name.
        value: unfolded text.
        eol: the line break of the message.
    """
    if not value.isascii() and name.lower() in _OF_ADDRESSES:
        mailboxes = _read_mailboxes(value)
        if mailboxes:
            return mailbox.write_field(name, mailboxes, eol)
    line, lines = f"{name}:", []
    is_bare = True  # no verifier should meet a name that is folded off its value
    for space, word in _split_words(value, max(_MAX_ENCODED_WORD - len(line), _MIN_ENCODED_WORD)):
        text = (" " if is_bare else space) + word
        if not is_bare and len(line) + len(text) > _LINE:
            lines.append(line)
            line = ""
        line += text
        is_bare = False
    return eol.join(each.encode("utf-8") for each in (*lines, line)) + eol


def _read_mailboxes(value: str) -> list[Mailbox]:
    """Read the addresses of a field; none if they can't all be understood."""
    found = [Mailbox(address, name or None) for name, address in mailbox.read_addresses(value)]
    is_sound = all("@" in each.email and is_path(each.email) for each in found)
    return found if is_sound else []


def _split_words(value: str, longest: int) -> Iterator[tuple[str, str]]:
    """Yield the words of a value, encoded where they must be, each with the space before it.

    An encoded-word has at most `longest` bytes.
    """
    pieces = ["", *_SPACES.split(value)]
    run: list[str] = []  # neighbours that are encoded together, as the space between would go
    run_space = ""
    for space, word in zip(pieces[::2], pieces[1::2], strict=True):
        if _VISIBLE.fullmatch(word) and len(word) < _MAX_LINE:
            if run:
                yield from _encode_words(run_space, "".join(run), longest)
                run = []
            if word:
                yield space, word
        else:
            run_space = run_space if run else space
            run += [space, word] if run else [word]
    if run:
        yield from _encode_words(run_space, "".join(run), longest)


def _encode_words(space: str, text: str, longest: int) -> Iterator[tuple[str, str]]:
    encoded = Header(text, _UTF_8, maxlinelen=longest).encode().split()
    for number, word in enumerate(encoded):
        yield (space if number == 0 else " "), word
