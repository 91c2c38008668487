"""Logs go to standard error: standard output is for the command's result, often a mail."""

import io
import json
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, cast

from msys_track import logs
from msys_track.cli.log_writer import LogWriter
from msys_track.cli.streams import has_colour
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
        self._is_terminal = is_terminal

    def format(self, record: logging.LogRecord) -> str:
        """Render the fields, then the event, its level and its time."""
        event = getattr(record, "event", None) or record.getMessage()
        fields = {**getattr(record, "fields", {}), "event": event}
        return self.render(record.levelno, fields, record.exc_info)

    def render(
        self,
        level: int,
        fields: Mapping[str, Any],
        exc_info: Any = None,
    ) -> str:
        """Render an event's fields at a level of `logging`."""
        entry: dict[str, Any] = {**fields, "level": logging.getLevelName(level).lower()}
        # Not `isoformat` alone, which leaves off microseconds that are 0.
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        entry["timestamp"] = now.replace("+00:00", "Z")
        if exc_info:
            # Python's own: others show local variables, and with them addresses and mail.
            entry["exception"] = self.formatException(exc_info)
        if self._is_terminal and (render := self._render_at_terminal) is not None:
            return render(entry)
        return json.dumps(entry, ensure_ascii=False, default=repr)

    @cached_property
    def _render_at_terminal(self) -> Callable[[dict[str, Any]], str] | None:
        return _make_terminal_renderer()


def _make_terminal_renderer() -> Callable[[dict[str, Any]], str] | None:
    """Make what writes an event for a person; None where the library alone is installed."""
    try:
        import structlog  # noqa: PLC0415 - a tenth of a second, and only a terminal needs it
    except ModuleNotFoundError:
        return None
    dev = structlog.dev
    console = dev.ConsoleRenderer(
        colors=has_colour(sys.stderr), exception_formatter=dev.plain_traceback
    )
    return lambda entry: console(None, entry["level"], entry)
