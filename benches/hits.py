"""A process that puts hits at a rate until it is killed: `python -m benches.hits FOLDER RATE`.

When it put each line stands in the file `times` of the folder: the line's number is the place.
"""

import mmap
import struct
import sys
import time
from pathlib import Path

from tests.tokens import TOKENS, claims_of

from msys_track.eventlog.hits import HitLog, open_hit_log
from msys_track.eventlog.settings import EventsSettings

AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36"
)
LANGUAGE = "de-DE,de;q=0.9,en;q=0.8"
AT = 1_700_000_000_123
CLAIMS = claims_of(next(each for each in TOKENS if "link_number" in each))
TIME = struct.Struct("d")
MAX_LINES = 1_000_000


def put_hits(log: HitLog, count: int) -> None:
    """Put hits as a tracker has them."""
    put, claims, agent, language = log.put_hit, CLAIMS, AGENT, LANGUAGE
    for _ in range(count):
        put(claims, AT, "192.0.2.7", agent, language)


def main(folder: str, rate: str) -> None:
    """Put in steps of a millisecond."""
    times = Path(folder) / "times"
    times.write_bytes(bytes(MAX_LINES * TIME.size))
    log = open_hit_log(Path(folder), EventsSettings())
    step = max(1, int(rate) // 1_000)
    with times.open("r+b") as file, mmap.mmap(file.fileno(), 0) as seen:
        print("ready", flush=True)  # noqa: T201
        started = time.monotonic()
        for number in range(0, MAX_LINES - step, step):
            put_hits(log, step)
            now = time.monotonic()
            for each in range(number, number + step):
                TIME.pack_into(seen, each * TIME.size, now)
            time.sleep(max(0.0, started + (number + step) / int(rate) - now))


if __name__ == "__main__":
    main(*sys.argv[1:])
