"""What was logged meanwhile, as dictionaries: the fields, `event`, `log_level`, `exc_info`."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from msys_track import logs
from msys_track.logs import ROOT


class _Keeper(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields = {**vars(record)["fields"], "event": vars(record)["event"]}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        self.kept.append({**fields, "log_level": record.levelname.lower()})


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """Keep the events of all levels; other handlers get none of them."""
    logger, keeper = logging.getLogger(ROOT), _Keeper()
    handlers, level, propagates = logger.handlers[:], logger.level, logger.propagate
    line_writer, logs.line_writer = logs.line_writer, None  # a command's, run in this process
    logger.handlers[:] = [keeper]
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    try:
        yield keeper.kept
    finally:
        logs.line_writer = line_writer
        logger.handlers[:] = handlers
        logger.propagate = propagates
        logger.setLevel(level)
