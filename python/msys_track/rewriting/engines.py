"""Finds an engine by its name. Each is imported when it is asked for, so that one is enough."""

from importlib import import_module
from types import ModuleType
from typing import Final, cast

from msys_track.errors import SettingsError
from msys_track.rewriting.engine import Engine

ENGINES: Final = ("native", "reference")


def find_engine(engine: Engine | str = "native") -> Engine:
    """Return the engine of that name; one that is an engine already comes back as it is.

    Args:
        engine: `native`, the compiled core, or `reference`, the engine in pure Python.

    Raises:
        SettingsError: there is no such engine, or what it needs is not installed.
    """
    if engine == "native":
        native: Engine = import_native().NativeEngine()
        return native
    if engine == "reference":
        return _find_reference()
    if not callable(getattr(engine, "header_fields", None)):
        raise SettingsError(f"engine: found {engine!r}; give one of {', '.join(ENGINES)}")
    return cast("Engine", engine)


def import_native() -> ModuleType:
    """Return the module of the compiled engine.

    Raises:
        ImportError: the core is there and can't be loaded.
        SettingsError: the core is not compiled.
    """
    try:
        return import_module("msys_track.rewriting.native")
    except ModuleNotFoundError as error:
        if error.name != "msys_track._core":
            raise
        raise SettingsError(
            "engine: the compiled core is not part of this installation; install a wheel for "
            'this platform, or give engine="reference"'
        ) from error


def _find_reference() -> Engine:
    from msys_track.rewriting.reference.engine import ReferenceEngine  # noqa: PLC0415

    return ReferenceEngine()
