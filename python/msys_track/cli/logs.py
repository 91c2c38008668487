"""Logs go to standard error: standard output is for what was asked for, often a mail."""

import logging
import sys
from typing import Final

import structlog

LEVELS: Final = ("debug", "info", "warning", "error")


def to_stderr(*, is_server: bool = False, level: str = "info") -> None:
    """Write logs of a level and above as text to a terminal, else as one JSON object a line.

    A server keeps its loggers, which is quicker; then no later call changes them.
    """
    is_terminal = sys.stderr.isatty()
    last = (
        # Other formatters show local variables, and with them addresses and mail.
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if is_terminal
        else [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=is_server,
    )
