"""The compiled engine: the only way from Python to the bytes of a message."""

from msys_track import _core
from msys_track._core import Rules

__all__ = ["NativeEngine", "Rules"]


class NativeEngine:
    """The compiled core; its functions are those of `msys_track.rewriting.engine.Engine`."""

    __slots__ = ()

    plan = staticmethod(_core.plan)
    header_fields = staticmethod(_core.header_fields)
