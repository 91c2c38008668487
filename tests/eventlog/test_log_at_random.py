"""Whatever happens in whatever order, a follower has each line once, in order."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.eventlog.hit_logs import OPENERS
from tests.thoroughness import examples

from msys_track.eventlog.position import PositionFile
from msys_track.eventlog.reader import LogReader
from msys_track.eventlog.retention import remove_segments
from msys_track.eventlog.segments import list_segments, segment_path
from msys_track.eventlog.settings import EventsSettings
from msys_track.eventlog.writer import LogWriter

SEGMENT_BYTES = 100
PATIENCE_SECONDS = 30

Step: TypeAlias = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["append", "append", "tear", "read", "read"]), st.integers(1, 9))
    | st.tuples(
        st.sampled_from(["core", "plain", "writer", "restart", "save", "remove", "age"])
    ).map(lambda names: (names[0], 0)),
    max_size=40,
)


class Play:
    """A log, those who write it one after the other, and a follower that ends now and then.

    Attributes:
        put: The lines that are durable.
        got: The lines that the follower has, up to its position.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "hits" / "0"
        self.put: list[bytes] = []
        self.got: list[bytes] = []
        self.kind = "writer"
        self.position_file = PositionFile(folder / "positions" / "x.json")
        self.saved = 0
        self.reader = LogReader(self.log, self.position_file.load())
        self.append, self.close = self.open_writer()

    def open_writer(self) -> tuple[Callable[[Sequence[bytes]], object], Callable[[], object]]:
        if self.kind == "writer":
            writer = LogWriter(self.log, segment_bytes=SEGMENT_BYTES)
            self.begin_segment = partial(writer.begin_segment, begun_before=2e10)
            return writer.append, writer.close
        log = OPENERS[self.kind](self.folder, EventsSettings(segment_bytes=1 << 20))

        def append(lines: Sequence[bytes]) -> None:
            assert all(map(log.put_line, lines))
            assert log.flush(PATIENCE_SECONDS)

        return append, lambda: log.close(PATIENCE_SECONDS)

    def step(self, name: str, number: int) -> None:
        match name:
            case "append":
                count = len(self.put)
                lines = [b'{"n":%d}' % each for each in range(count, count + number)]
                self.append(lines)
                self.put += lines
            case "tear":
                self.close()
                with segment_path(self.log, list_segments(self.log)[-1]).open("ab") as file:
                    file.write(b"{" * number)
                self.read(2)
                self.append, self.close = self.open_writer()
            case "core" | "plain" | "writer":
                self.close()
                self.kind = name
                self.append, self.close = self.open_writer()
            case "read":
                self.read(number)
            case "save":
                self.position_file.save(self.reader.position)
                self.saved = len(self.got)
            case "restart":
                self.reader.close()
                self.reader = LogReader(self.log, self.position_file.load())
                del self.got[self.saved :]
            case "age" if self.kind == "writer":
                self.begin_segment()
            case "remove":
                before = self.position_file.load().sequence
                remove_segments(self.log, before, written_before=2e10)

    def read(self, max_lines: int) -> bool:
        batch = self.reader.read(max_lines=max_lines, max_bytes=8)
        if batch is None:
            assert self.got == self.put
            return False
        assert batch.first_sequence == len(self.got) + 1
        assert batch.after.sequence == batch.first_sequence + len(batch.lines)
        self.got += batch.lines
        return True

    def end(self) -> None:
        self.close()
        while self.read(1_000):
            pass
        assert self.got == self.put
        self.reader.close()


@settings(max_examples=examples(300), deadline=None)
@given(STEPS)
def test_a_follower_has_each_line_once_and_in_order(steps: list[Step]) -> None:
    with TemporaryDirectory(dir=_memory()) as folder:
        play = Play(Path(folder))
        for name, number in steps:
            play.step(name, number)
        play.end()


def _memory() -> str | None:
    """A folder in memory, if there is one: the law is not about disks."""
    place = "/dev/shm"  # noqa: S108 - a folder of one's own is made in it
    return place if os.access(place, os.W_OK) else None
