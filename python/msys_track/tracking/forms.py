"""The one form that the tracker reads: `List-Unsubscribe=One-Click` (RFC 8058 section 3.1)."""

from email import message_from_bytes
from typing import Final, NamedTuple
from urllib.parse import parse_qs

_FIELD: Final = "List-Unsubscribe"
_VALUE: Final = "One-Click"
_CONFIRMED: Final = "confirmed"


class Form(NamedTuple):
    """What a form asks for.

    Attributes:
        asks_to_leave: It has the field and value of RFC 8058.
        is_confirmed: A person has pressed the button of our page.
    """

    asks_to_leave: bool
    is_confirmed: bool


def read_form(content_type: bytes, body: bytes) -> Form:
    """Read a form, urlencoded or as multipart/form-data (RFC 7578); anything else asks nothing."""
    media_type = content_type.split(b";")[0].strip().lower()
    if media_type == b"multipart/form-data":
        fields = _read_multipart(content_type, body)
    elif media_type in (b"application/x-www-form-urlencoded", b""):
        given = parse_qs(body.decode("latin-1"), max_num_fields=100)
        fields = {name: values[0] for name, values in given.items()}
    else:
        fields = {}
    return Form(fields.get(_FIELD) == _VALUE, _CONFIRMED in fields)


def _read_multipart(content_type: bytes, body: bytes) -> dict[str, str]:
    whole = message_from_bytes(b"Content-Type: " + content_type + b"\r\n\r\n" + body)
    if not whole.is_multipart():
        return {}
    found: dict[str, str] = {}
    for part in whole.walk():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload()
        if isinstance(name, str) and isinstance(payload, str):
            found.setdefault(name, payload.strip())
    return found
