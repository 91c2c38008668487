"""Extras: packages that only some rooms need, and the line to type where one is missing.

`pyproject.toml` says which packages an extra brings.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from msys_track.errors import MissingExtraError, SettingsError

_OWN_PACKAGE = "msys_track"


@contextmanager
def needed_extra(extra: str, what: str) -> Iterator[None]:
    """Name the extra where an import inside finds no package.

    Args:
        extra: Its name in `pyproject.toml`; several are joined by commas.
        what: What needs it, for people: it begins the error's text.

    Raises:
        MissingExtraError: a package is not installed. A module of ours that is not there is
            another fault, and its `ModuleNotFoundError` goes on.
        SettingsError: this Python lacks a module of its own.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package == _OWN_PACKAGE:
            raise
        if package in sys.stdlib_module_names:
            raise SettingsError(
                f"{what} needs Python's module {package}, which is not part of this Python; "
                "servers need Linux or macOS"
            ) from error
        raise MissingExtraError(what, extra) from error
