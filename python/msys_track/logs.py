"""Logs: events with fields, through the standard library's `logging`.

A program that imports msys-track configures the logger `msys_track` or the root; until then
nothing is written. The commands render them as JSON or for a terminal (`cli/logs.py`).

Where each mail has a line, to make a record and to render it costs more than the line. There a
`line_writer` takes the line as it is to be written, if there is one.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

ROOT: Final = "msys_track"

# With no handler at all Python would write warnings to standard error.
logging.getLogger(ROOT).addHandler(logging.NullHandler())

line_writer: Callable[[bytes], object] | None = None
"""Takes events of level info that are JSON objects already, each without a line's end; never
waits, never raises. None where events are wanted: a program has its own handlers, and a terminal
wants no JSON. The commands set it."""

count_dropped_lines: Callable[[], int] = int
"""Returns how many lines of this process's log could not be written. The commands set it."""

_FRAMES: Final = 3  # from `Logger.log` to the caller, over `_log` and `info`


class EventLogger:
    """Logs named events, each with fields.

    A record's message is the event and its fields in words; the attributes `event` and `fields`
    have them for handlers that write them in another form.
    """

    __slots__ = ("_fields", "_logger")

    def __init__(self, logger: logging.Logger, fields: Mapping[str, Any]) -> None:
        self._logger = logger
        self._fields = fields

    def bind(self, **fields: Any) -> "EventLogger":
        """Return a logger whose every event has these fields too."""
        return EventLogger(self._logger, {**self._fields, **fields})

    def debug(self, event: str, /, **fields: Any) -> None:
        """Log a detail that explains what happened."""
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: Any) -> None:
        """Log something that is as it should be."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: Any) -> None:
        """Log something that may need attention."""
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: Any) -> None:
        """Log a failure; the field `exc_info` may be an exception, whose traceback is added."""
        self._log(logging.ERROR, event, fields)

    def exception(self, event: str, /, **fields: Any) -> None:
        """Log a failure, with the traceback of the exception that is being handled."""
        self._log(logging.ERROR, event, {**fields, "exc_info": True})

    def critical(self, event: str, /, **fields: Any) -> None:
        """Log a failure that ends the work; `exc_info` as for `error`."""
        self._log(logging.CRITICAL, event, fields)

    def _log(self, level: int, event: str, fields: Mapping[str, Any]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        all_fields = {**self._fields, **fields}
        exc_info = all_fields.pop("exc_info", None)
        extra = {"event": event, "fields": all_fields}
        message = _Message(event, all_fields)
        self._logger.log(level, message, exc_info=exc_info, extra=extra, stacklevel=_FRAMES)


class _Message:
    """An event and its fields in words, written only when a handler writes them."""

    __slots__ = ("_event", "_fields")

    def __init__(self, event: str, fields: Mapping[str, Any]) -> None:
        self._event = event
        self._fields = fields

    def __str__(self) -> str:
        fields = (f"{name}={value!r}" for name, value in self._fields.items())
        return " ".join((self._event, *fields))


def event_logger(name: str) -> EventLogger:
    """Return the logger of a module, given its `__name__`."""
    return EventLogger(logging.getLogger(name), {})
