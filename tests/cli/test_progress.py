"""What is shown at a terminal while something takes long."""

import pytest
from tests.cli.terminals import Terminal

from msys_track.cli.progress import progress


def test_what_takes_longer_than_its_time_shows_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal(monkeypatch, "stderr")
    monkeypatch.setattr("msys_track.cli.progress._PATIENCE_SECONDS", 0.0)
    with progress("events", 8) as advance:
        advance(2)
        advance(2)
    shown = terminal.read()
    assert "events" in shown
    assert "50%" in shown


def test_what_is_quick_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch, "stderr")
    monkeypatch.setattr("msys_track.cli.progress._PATIENCE_SECONDS", 60.0)
    with progress("events", 8) as advance:
        advance(8)
    assert terminal.read().strip() == ""
