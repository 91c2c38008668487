"""One worker of a tracker as `msys-track tracker` runs it, in a form that a bench wants.

usage: python -m benches.http.tracker FOLDER PORT FORM, where FORM is `recording`, `deaf` (the same
path, but the log takes no hit) or `python` (without the compiled click path). It listens beside
others on the port. At SIGTERM it writes what it counted to FOLDER/counts.PID.json.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

from msys_track.eventlog.hits import HitLog, PlainHitLog, open_hit_log
from msys_track.eventlog.settings import EventsSettings
from msys_track.keys.ring import KeyRing
from msys_track.smtp.address import Address
from msys_track.supervision import loop
from msys_track.tracking.server import serve
from msys_track.tracking.settings import TrackerSettings

_PATIENCE_SECONDS = 60.0


async def run(folder: Path, port: int, form: str) -> None:
    """Answer until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    limits = EventsSettings(max_queued=2_000_000)
    hits: HitLog = (
        PlainHitLog(folder / "hits", limits) if form == "python" else open_hit_log(folder, limits)
    )
    if form == "deaf":
        hits.close(1)
    settings = TrackerSettings(
        listen_port=port, store=folder / "unused", max_connections_per_address=4_096
    )
    address = Address(settings.listen_host, port)
    listener = socket.create_server(address, backlog=1_024, reuse_port=True)
    keys = KeyRing.load(str(folder / "keys.toml"))
    tracker = await serve(settings, keys, hits, listeners={address: [listener]})
    await stop.wait()
    await tracker.close()
    lost = 0 if form == "deaf" else hits.close(_PATIENCE_SECONDS)
    counts = {**tracker.counters.snapshot(), **hits.figures(), "lost": lost}
    (folder / f"counts.{os.getpid()}.json").write_text(json.dumps(counts), encoding="utf-8")


if __name__ == "__main__":
    with loop.make_runner() as runner:
        runner.run(run(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
