"""Logs go to standard error: standard output is for the command's result, often a mail."""

import logging
import os
import sys
from contextlib import suppress
from typing import Any, Final

import structlog

from msys_track.logs import ROOT

LEVELS: Final = ("debug", "info", "warning", "error")


def to_stderr(*, level: str = "info") -> None:
    """Write logs of a level and above as text to a terminal, else as one JSON object a line."""
    logger = logging.getLogger(ROOT)
    for handler in logger.handlers:
        if isinstance(handler, _ToStandardError):
            logger.removeHandler(handler)
    to_standard_error = _ToStandardError()
    to_standard_error.setFormatter(_Lines(is_terminal=sys.stderr.isatty()))
    logger.addHandler(to_standard_error)
    logger.setLevel(level.upper())


class _ToStandardError(logging.Handler):
    """Writes each event on a line of its own to the current standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; a failure to write does not stop mail."""
        try:
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - as every handler of the standard library's does
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Show what is wrong with a record, where standard error can still be written."""
        with suppress(OSError, ValueError):
            super().handleError(record)


class _Lines(logging.Formatter):
    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._processors: list[structlog.typing.Processor] = [
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ]
        if is_terminal:
            # Other formatters show local variables, and with them addresses and mail.
            plain = structlog.dev.plain_traceback
            # https://no-color.org
            is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
            console = structlog.dev.ConsoleRenderer(colors=not is_plain, exception_formatter=plain)
            self._processors.append(console)
        else:
            self._processors += [
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ]

    def format(self, record: logging.LogRecord) -> str:
        """Render the fields, then the event, its level and its time."""
        event = getattr(record, "event", None) or record.getMessage()
        entry: Any = {**getattr(record, "fields", {}), "event": event}
        if record.exc_info:
            entry["exc_info"] = record.exc_info
        for processor in self._processors:
            entry = processor(None, record.levelname.lower(), entry)
        return str(entry)
