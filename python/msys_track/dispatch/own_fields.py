"""Header fields that a copy gets of its own: the id of its events, and how to unsubscribe."""

import re
from collections.abc import Callable
from typing import Final

from msys_track.dispatch.header_edits import FindFields, find_end, find_signed_names
from msys_track.dispatch.inputs import make_engagement
from msys_track.dispatch.recipients import Reader
from msys_track.keys.ring import Claims, KeyRing
from msys_track.options.resolve import Resolved

MESSAGE_ID_FIELD: Final = b"X-SP-Message-ID"
"""The field that joins a mail with its events, as SparkPost names it."""

_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_UNSUBSCRIBE: Final = b"List-Unsubscribe"
_ONE_CLICK: Final = b"List-Unsubscribe-Post: List-Unsubscribe=One-Click"


def find_message_id(message: bytes, find_fields: FindFields) -> str | None:
    """Return the id that a message brings along for its events; None without a good one.

    Of two fields that differ neither counts.
    """
    fields = find_fields(message, MESSAGE_ID_FIELD)
    if not fields:
        return None
    values = {value.strip() for _, value in fields}
    if len(values) != 1:
        return None
    (value,) = values
    return value.decode("ascii") if _ID.fullmatch(value) else None


def adds_fields(resolved: Resolved) -> bool:
    """Tell whether a copy with these options may get fields."""
    return resolved.add_message_id.value or resolved.list_unsubscribe.value != "off"


def list_own_fields(  # noqa: PLR0913 - all that they depend on
    message: bytes,
    resolved: Resolved,
    reader: Reader,
    find_fields: FindFields,
    keys: KeyRing,
    *,
    message_id: str,
    transmission_id: int,
    now: int,
) -> list[tuple[int, bytes]]:
    """List the fields for one copy, as text that is inserted at an offset: the header's end.

    A message that is signed gets none unless `signed_mail` allows to change it: signatures often
    cover fields that must not be added.
    """
    if resolved.signed_mail.value == "skip" and find_signed_names(message, find_fields):
        return []
    lines: list[bytes] = []
    if resolved.add_message_id.value and not find_fields(message, MESSAGE_ID_FIELD):
        lines.append(MESSAGE_ID_FIELD + b": " + message_id.encode("ascii"))

    def seal() -> str:
        engagement = make_engagement(
            resolved, reader, now=now, transmission_id=transmission_id, message_id=message_id
        )
        return keys.seal(Claims(kind="list_unsubscribe", engagement=engagement))

    if _may_unsubscribe(resolved) and not find_fields(message, _UNSUBSCRIBE):
        lines += _write_unsubscribe(resolved, message_id, seal)
    if not lines:
        return []
    at = find_end(message)
    first = message.find(b"\n")
    eol = b"\n" if first >= 0 and message[first - 1 : first] != b"\r" else b"\r\n"
    text = b"".join(line.replace(b"\n", eol) + eol for line in lines)
    if at and not message[:at].endswith(b"\n"):  # the header ends with the message
        text = eol + text
    return [(at, text)]


def _may_unsubscribe(resolved: Resolved) -> bool:
    """Tell whether the field can work: RFC 8058 section 3.1 wants https, and somebody to leave."""
    return (
        resolved.list_unsubscribe.value == "one-click"
        and resolved.click_tracking_scheme.value != "http"
        and not resolved.transactional.value
        and resolved.privacy.value != "aggregate"
    )


def _write_unsubscribe(
    resolved: Resolved, message_id: str, seal: Callable[[], str]
) -> list[bytes]:
    url = f"<https://{resolved.tracking_domain.value}/{seal()}>".encode("ascii")
    mailbox = resolved.list_unsubscribe_mailto.value
    if mailbox:
        mailto = f"<mailto:{mailbox}?subject=unsubscribe:{message_id}>,"
        # A URL is longer than a line may well be, so each stands on one of its own.
        return [_UNSUBSCRIBE + b": " + mailto.encode("ascii") + b"\n " + url, _ONE_CLICK]
    return [_UNSUBSCRIBE + b": " + url, _ONE_CLICK]
