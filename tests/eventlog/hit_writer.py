"""A process that puts hits until it ends or is killed: `hit_writer.py FOLDER CORE COUNT SECONDS`.

It puts a thousand lines, says `old`, and after so many seconds puts the rest and says `put`.
Nothing that it does afterwards can save them.
"""

import sys
import time
from pathlib import Path

from tests.eventlog.hit_logs import OPENERS

from msys_track.eventlog.settings import EventsSettings

OLD_LINES = 1_000


def main(folder: str, opener: str, count: str, seconds: str) -> None:
    settings = EventsSettings(max_queued=1_000_000, segment_bytes=65_536)
    log = OPENERS[opener](Path(folder), settings)
    for number in range(int(count)):
        if number == OLD_LINES:
            print("old", flush=True)  # noqa: T201
            time.sleep(float(seconds))
        if not log.put_line(b'{"n":%d}' % number):
            sys.exit("dropped")
    print("put", flush=True)  # noqa: T201
    time.sleep(3_600)


if __name__ == "__main__":
    main(*sys.argv[1:])
