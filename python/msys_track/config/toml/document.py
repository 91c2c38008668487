"""`msys-track.toml` as text: its values, and the line of each."""

from pathlib import Path
from typing import Final

from msys_track.config.document import Document, KeyPath, Place
from msys_track.config.problems import ConfigurationError, Problem
from msys_track.config.toml.lines import key_lines
from msys_track.config.toml.syntax import parsed
from msys_track.errors import SettingsError

_MARK: Final = "\ufeff"
_MARKED: Final = Problem(
    line=1,
    key="",
    text="begins with a byte order mark (the bytes EF BB BF), which TOML does not have; "
    "save the file as UTF-8 without it",
)


def document(path: Path) -> Document:
    """Read a TOML file; around a broken line the rest is still read.

    Raises:
        ConfigurationError: not UTF-8, which TOML must be.
        SettingsError: the file can't be read.
    """
    text = _text(path)
    toml = parsed(text.removeprefix(_MARK))
    places: dict[KeyPath, Place] = {}
    for key, line in key_lines(toml.text).items():
        for length in range(1, len(key)):  # `[listen.":25"]` is where [listen] begins
            places.setdefault(key[:length], Place(path, toml.numbers[line - 1]))
        places[key] = Place(path, toml.numbers[line - 1])
    return Document(
        path=path,
        members=toml.members,
        places=places,
        problems=(*([_MARKED] if text.startswith(_MARK) else []), *toml.problems),
        unread=toml.unread,
    )


def _text(path: Path) -> str:
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {error.strerror}") from error
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        problem = Problem(line=line, key="", text="not UTF-8, which TOML must be")
        raise ConfigurationError(path, [problem]) from error
