"""Secrets of a configuration file: where they are, never what they are."""

from typing import Final

from msys_track.errors import KeyRingError
from msys_track.keys.file import KeySource, key_source
from msys_track.settings.kinds import Kind, NotAllowedError

_HIDDEN: Final = KeyRingError("a text")  # whatever stands in the wrong place may be the secret


def _read_secret(value: object) -> KeySource:
    if not isinstance(value, str) or value == "" or "\0" in value:
        raise NotAllowedError(_HIDDEN, SECRET.allowed)
    try:
        return key_source(value)
    except KeyRingError:
        raise NotAllowedError(_HIDDEN, SECRET.allowed) from None


SECRET: Final = Kind(
    read=_read_secret,
    allowed="the name of a file, env:NAME or credential:NAME, in quotes",
    json_schema={
        "type": "string",
        "pattern": r"^(?!env:|credential:)[^\n]+$|^env:[A-Za-z_][A-Za-z0-9_]*$"
        r"|^credential:[A-Za-z0-9_.-]+$",
    },
)
