"""Each test of a hit log runs with the core's and with that in Python."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.eventlog.hit_logs import OPENERS

from msys_track.eventlog.hits import HitLog
from msys_track.eventlog.settings import EventsSettings


@pytest.fixture(params=list(OPENERS))
def opener(request: pytest.FixtureRequest) -> str:
    """The name of a kind of hit log."""
    name: str = request.param
    return name


@pytest.fixture
def open_log(opener: str) -> Callable[[Path, EventsSettings], HitLog]:
    """Open a hit log of one kind."""
    return OPENERS[opener]
