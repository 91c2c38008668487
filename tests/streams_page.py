"""What docs/streams.md shows, for the tests that follow it with a broker of each kind."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.shown import Block, read_blocks

from msys_track.config.load import load
from msys_track.metrics import Counters
from msys_track.service.sinks import make_sinks
from msys_track.sinks.delivery import EventBatch, Sink

BLOCKS: Final = list(read_blocks("streams.md"))
PYTHON: Final = {block.role: block.text for block in BLOCKS if block.language == "python"}
TOML: Final[list[Block]] = [block for block in BLOCKS if block.language == "toml"]
EVENTS: Final = tuple(
    b'{"msys":{"track_event":{"type":"%s","event_id":"%d","timestamp":"1712345678",'
    b'"message_id":"%020d","campaign_id":"%s","target_link_url":"https://a.example/%d"}}}'
    % (kind, number, number, campaign, number)
    for number, (kind, campaign) in enumerate(
        ((b"open", b"spring"), (b"click", b"spring"), (b"click", b"summer"))
    )
)


def make_from(folder: Path, text: str) -> list[Sink]:
    """Make the sinks of a configuration."""
    file = folder / "msys-track.toml"
    file.write_text(text, encoding="utf-8")
    return make_sinks(load(file, server="tracker"), folder, Counters())


def write(sink: Sink) -> None:
    """Deliver `EVENTS`."""

    async def deliver() -> None:
        await sink.open()
        await sink.write(EventBatch(EVENTS, 1))
        await sink.close()

    asyncio.run(deliver())


def run(program: str, meanwhile: Callable[[], None]) -> str:
    """Run a program of the page, and something while it waits; return what it prints."""
    thread = threading.Thread(target=meanwhile)
    thread.start()
    done = subprocess.run(  # noqa: S603 - the page's own
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    thread.join()
    assert done.returncode == 0, done.stderr
    return done.stdout
