"""Logs go to standard error: standard output is for the command's result, often a mail."""

import io
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, Final, cast

import structlog

from msys_track import logs
from msys_track.cli.log_writer import LogWriter
from msys_track.logs import ROOT

LEVELS: Final = ("debug", "info", "warning", "error")

# What else writes while a server runs. Python would write it itself, and wait for the reader.
_LOGGERS: Final = (ROOT, "asyncio")
# How long a command that ends waits for whoever reads its log.
_PATIENCE_SECONDS: Final = 1.0


def to_stderr(*, level: str = "info") -> None:
    """Write logs of a level and above as text to a terminal, else as one JSON object a line.

    Lines that standard error does not take are dropped: see `LogWriter`.
    """
    logger = logging.getLogger(ROOT)
    for handler in logger.handlers:
        if isinstance(handler, _ToStandardError):
            handler.close()
    is_terminal = sys.stderr.isatty()
    to_standard_error = _ToStandardError(is_terminal=is_terminal)
    for name in _LOGGERS:
        each = logging.getLogger(name)
        each.handlers[:] = [h for h in each.handlers if not isinstance(h, _ToStandardError)]
        each.addHandler(to_standard_error)
    logger.setLevel(level.upper())
    logs.count_dropped_lines = lambda: to_standard_error.writer.dropped
    takes_lines = logger.isEnabledFor(logging.INFO) and not is_terminal
    logs.line_writer = to_standard_error.writer.write_line if takes_lines else None


class _ToStandardError(logging.Handler):
    """Writes each event on a line of its own."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self.setFormatter(_Lines(is_terminal=is_terminal))
        self.writer = LogWriter(_find_number(), self._make_report)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; one that can't be rendered is named in its place."""
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001 - a log stops nothing
            text = self._render(logging.ERROR, "log.failed", name=record.name, why=repr(error))
        self.writer.write_line(text.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Write what waits; `logging` calls this when the process ends."""
        self.writer.flush(_PATIENCE_SECONDS)

    def close(self) -> None:
        """Write no more."""
        self.writer.close()
        super().close()

    def _make_report(self, lines: int) -> bytes:
        hint = "standard error was full, or its reader slow or gone"
        return self._render(logging.WARNING, "log.dropped", lines=lines, hint=hint).encode()

    def _render(self, level: int, event: str, **fields: Any) -> str:
        return cast("_Lines", self.formatter).render(level, {**fields, "event": event})


def _find_number() -> int | None:
    try:
        return sys.stderr.fileno()
    except io.UnsupportedOperation:  # it is in memory
        return None


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
        fields = {**getattr(record, "fields", {}), "event": event}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        return self.render(record.levelno, fields)

    def render(self, level: int, fields: Mapping[str, Any]) -> str:
        """Render an event's fields at a level of `logging`."""
        entry: Any = dict(fields)
        for processor in self._processors:
            entry = processor(None, logging.getLevelName(level).lower(), entry)
        return str(entry)
