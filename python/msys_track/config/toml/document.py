"""`msys-track.toml` as text: its values, the line of each, and every fault with its line."""

from pathlib import Path
from typing import Final

from msys_track.config.document import Document, Place, write_path
from msys_track.config.problems import ConfigurationError, Problem
from msys_track.errors import SettingsError, describe_os_error

try:
    from msys_track._core import read_toml
except ModuleNotFoundError:  # a package without the compiled core
    from msys_track.config.toml.plain import read_toml

_MARK: Final = "\ufeff"
_MARKED: Final = Problem(
    line=1,
    key="",
    text="begins with a byte order mark (the bytes EF BB BF), which TOML does not have; "
    "save the file as UTF-8 without it",
)


def read_document(path: Path) -> Document:
    """Read a file of TOML 1.1; around a broken line the rest is still read.

    Raises:
        ConfigurationError: not UTF-8, which TOML must be.
        SettingsError: the file can't be read.
    """
    try:
        octets = path.read_bytes()
    except FileNotFoundError as error:
        hint = "`msys-track init` makes a folder with one"
        raise SettingsError(f"{path}: there is no such file; {hint}") from error
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {describe_os_error(error)}") from error
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        problem = Problem(line=line, key="", text="not UTF-8, which TOML must be")
        raise ConfigurationError(path, [problem]) from error
    members, lines, faults = read_toml(text.removeprefix(_MARK))
    problems = [_MARKED] if text.startswith(_MARK) else []
    problems += [
        Problem(line=line, key=write_path(key), text=what) for line, key, what, _ in faults
    ]
    return Document(
        path=path,
        members=members,
        places={key: Place(path, line) for key, line in lines.items()},
        problems=tuple(problems),
        unread=frozenset(unread for *_, unread in faults if unread is not None),
    )
