"""Logs for people at a terminal."""

import logging
from collections.abc import Iterator

import pytest
from tests.cli.terminals import Terminal

import msys_track.logs
from msys_track.cli import logs
from msys_track.logs import event_logger


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave no handler behind."""
    monkeypatch.setattr(msys_track.logs, "line_writer", msys_track.logs.line_writer)
    monkeypatch.setattr(
        msys_track.logs, "count_dropped_lines", msys_track.logs.count_dropped_lines
    )
    loggers = [logging.getLogger(name) for name in ("msys_track", "asyncio")]
    before = [(each, each.handlers[:], each.level) for each in loggers]
    yield
    for each, handlers, level in before:
        for made in set(each.handlers).difference(handlers):
            made.close()
        each.handlers[:] = handlers
        each.setLevel(level)


def test_at_a_terminal_a_log_is_text_with_its_stack_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch, "stderr")
    logs.to_stderr()
    log = event_logger("msys_track.somewhere")
    log.info("worker.ready", pid=7)
    try:
        int("seven")
    except ValueError:
        log.exception("worker.failed")
    for each in logging.getLogger("msys_track").handlers:
        each.flush()
    shown = terminal.read()
    assert "worker.ready" in shown
    assert "pid=7" in shown
    assert "ValueError: invalid literal" in shown
