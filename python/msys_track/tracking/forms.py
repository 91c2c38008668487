"""The one form that the tracker reads: `List-Unsubscribe=One-Click` (RFC 8058 section 3.1)."""

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

# What is kept of a body: a form of ours has two short fields.
MAX_FORM_BYTES: Final = 4_096

_FIELD: Final = "List-Unsubscribe"
_VALUE: Final = "One-Click"
_CONFIRMED: Final = "confirmed"

# RFC 2046 section 5.1.1: at most 70 characters, quoted where some of them ask for it.
_BOUNDARY: Final = re.compile(rb';\s*boundary=(?:"([^"]{1,70})"|([^";,\s]{1,70}))', re.IGNORECASE)
_NAME: Final = re.compile(
    rb'^content-disposition:[^\n]*;[ \t]*name=(?:"([^"\n]*)"|([^";\s]+))',
    re.IGNORECASE | re.MULTILINE,
)


class Form(NamedTuple):
    """What a form asks for.

    Attributes:
        asks_to_leave: It has the field and value of RFC 8058.
        is_confirmed: A person has pressed the button of our page.
    """

    asks_to_leave: bool
    is_confirmed: bool


def read_form(content_type: bytes, body: bytes) -> Form:
    """Read a form, urlencoded or as multipart/form-data (RFC 7578); anything else asks nothing.

    No bytes raise an error.
    """
    media_type = content_type.partition(b";")[0].strip().lower()
    if media_type == b"multipart/form-data":
        fields = _read_multipart(content_type, body)
    elif media_type in (b"application/x-www-form-urlencoded", b""):
        pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True)
        fields = {name: value.strip() for name, value in reversed(pairs)}
    else:
        fields = {}
    return Form(fields.get(_FIELD) == _VALUE, _CONFIRMED in fields)


def _read_multipart(content_type: bytes, body: bytes) -> dict[str, str]:
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        return {}
    delimiter = b"\n--" + (boundary[1] or boundary[2])
    found: dict[str, str] = {}
    for part in (b"\n" + body.replace(b"\r\n", b"\n")).split(delimiter)[1:]:
        if part.startswith(b"--"):
            break
        head, _, value = part.partition(b"\n\n")
        name = _NAME.search(head)
        if name is not None:
            text = (name[1] or name[2] or b"").decode("latin-1")
            found.setdefault(text, value.decode("latin-1").strip())
    return found
