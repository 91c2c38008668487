"""TOML text from members, for people to read and change: the standard library only reads TOML."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeGuard

from msys_track.config.document import KeyPath, write_path
from msys_track.config.toml.names import write_name, write_string

_MAX_WIDTH: Final = 99
_NOT_IN_COMMENTS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def toml_text(members: Mapping[str, object], comments: Mapping[KeyPath, str] | None = None) -> str:
    """Write members as TOML that `tomllib.loads` reads back as they are.

    `comments` has a remark for the line of a table, a key or an array's item.

    Raises:
        TypeError: a value that is not text, number, boolean, list or dictionary.
    """
    tables = [
        "".join(f"{line}\n" for line in table)
        for table in _tables((), members, comments or {})
        if table
    ]
    return "\n".join(tables)


def _tables(
    path: KeyPath, members: Mapping[str, object], comments: Mapping[KeyPath, str]
) -> Iterator[list[str]]:
    """Yield the lines of a table and of each below it: keys first, since a header ends a table."""
    inner = {name: value for name, value in members.items() if isinstance(value, dict)}
    own = [
        line
        for name, value in members.items()
        if name not in inner
        for line in _lines((*path, name), value, comments)
    ]
    # A table that only holds tables needs no header of its own.
    if path and (own or not inner):
        own.insert(0, _add_comment(header_text(path), comments.get(path)))
    yield own
    for name, table in inner.items():
        yield from _tables((*path, name), table, comments)


def _lines(path: KeyPath, value: object, comments: Mapping[KeyPath, str]) -> Iterator[str]:
    written = f"{write_name(str(path[-1]))} = {value_text(value)}"
    comment = comments.get(path)
    is_remarked = any((*path, number) in comments for number in range(_length(value)))
    is_short = not is_remarked and (len(written) <= _MAX_WIDTH or not _length(value))
    if is_short or not _is_array(value):
        yield _add_comment(written, comment)
    else:
        yield _add_comment(f"{write_name(str(path[-1]))} = [", comment)
        for number, each in enumerate(value):
            yield _add_comment(f"    {value_text(each)},", comments.get((*path, number)))
        yield "]"


def _is_array(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def _length(value: object) -> int:
    return len(value) if _is_array(value) else 0


def _add_comment(line: str, comment: str | None) -> str:
    if not comment:
        return line
    return f"{line}  # {_NOT_IN_COMMENTS.sub(' ', comment)}"


def header_text(path: KeyPath) -> str:
    """Write a table's header."""
    return f"[{write_path(path)}]"


def value_text(value: object) -> str:
    """Write a value on one line.

    Raises:
        TypeError: not text, number, boolean, list or dictionary.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return write_string(value)
    if isinstance(value, int | float):
        return repr(value)
    if _is_array(value):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, dict):
        inner = ", ".join(
            f"{write_name(name)} = {value_text(each)}" for name, each in value.items()
        )
        return f"{{ {inner} }}" if inner else "{}"
    raise TypeError(f"TOML has no form for {type(value).__name__}")
