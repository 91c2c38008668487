"""Is what servers keep in files in order: keys, store, event log, spool, disk?"""

import asyncio
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msys_track.config.configuration import Configuration
from msys_track.errors import KeyRingError, SettingsError, SinkError, SpoolError, describe_os_error
from msys_track.keys.file import list_keys
from msys_track.metrics import Counters
from msys_track.recording.backlog import Backlog, measure_backlog
from msys_track.service.probing.finding import Finding, approve, blame, warn
from msys_track.service.sinks import make_sinks
from msys_track.sinks.store.reading import Filter, open_store
from msys_track.sinks.store.rows import read_fields
from msys_track.smtp.address import parse_ip
from msys_track.spool import inspection

_NOTES_EACH_SECONDS: Final = 10.0
_WAIT_SECONDS: Final = 2.5
_MANY_HIT_BYTES: Final = 16 * 1024 * 1024
_MANY_EVENTS: Final = 10_000
_LITTLE_BYTES: Final = 1024 * 1024 * 1024
_HARDLY_ANY_BYTES: Final = 64 * 1024 * 1024
_OLD_COPY_SECONDS: Final = 3_600
_NEWEST: Final = 200
_MANY_READERS: Final = 20
_MEBIBYTE: Final = 1024 * 1024


def probe_keys(read: Configuration) -> list[Finding]:
    """Look at the key file; whether it can be used has been checked with the configuration."""
    if read.keys is None:
        return []
    what = f"keys {read.keys}"
    try:
        keys = list_keys(read.keys)
    except KeyRingError as error:
        return [blame(what, str(error), "msys-track keys new makes a good file")]
    count = "1 key" if len(keys) == 1 else f"{len(keys)} keys"
    return [
        approve(what, f"{count}; new links have key {keys[0].id} of {keys[0].created:%Y-%m-%d}")
    ]


def probe_store(read: Configuration) -> tuple[list[Finding], float | None]:
    """Look at the store; return when its newest event was too, in Unix seconds, if it has one."""
    store = read.report_store
    if store is None:
        return [], None
    what = f"store {store}"
    try:
        if not store.exists():
            return [_judge_missing_store(what, store)], None
    except OSError as error:
        return [_blame_access(what, error, "tracker")], None
    try:
        with open_store(store) as opened:
            count, newest = opened.last_sequence(), opened.newest(Filter(), _NEWEST)
    except SinkError as error:
        return [blame(what, str(error), "do what it says, then check again")], None
    events = [fields for _, event in newest if (fields := read_fields(event))]
    at = max((float(each["timestamp"]) for each in events), default=None)
    own = read.tracker is not None and store == read.tracker.store
    if own and not (os.access(store, os.W_OK) and os.access(store.parent, os.W_OK | os.X_OK)):
        text = "this user can't write it, or its folder"
        advice = "check as the user who runs the tracker; if it is that one, change the owner"
        return [blame(what, text, advice)], at
    text = f"holds events; the last has number {count}" if count else "holds no event yet"
    return [approve(what, text), *_find_hidden_readers(read, events)], at


def _judge_missing_store(what: str, store: Path) -> Finding:
    if os.access(store.parent, os.W_OK | os.X_OK):
        return warn(what, "is not there yet", "start the tracker, which makes it")
    text = "is not there, and this user can't make it"
    return blame(what, text, f"make {store.parent} writable for who runs the tracker")


def _find_hidden_readers(
    read: Configuration, events: Sequence[Mapping[str, Any]]
) -> Iterator[Finding]:
    """Find a front server before the tracker that is not believed: all come from its address."""
    found = {each["ip_address"] for each in events if each.get("ip_address")}
    readers = sum(1 for each in events if each.get("ip_address"))
    if read.tracker is None or len(found) != 1 or readers < _MANY_READERS:
        return
    address = parse_ip(found.pop())
    if address is not None and not address.is_global:
        text = f"the newest {readers} clicks and opens all come from {address}"
        advice = (
            "if that is a web server in front of the tracker, let it set X-Forwarded-For, and set "
            f'trusted_proxies = ["{address}"] in [tracker]'
        )
        yield warn("readers", text, advice)


async def probe_event_log(read: Configuration) -> list[Finding]:
    """Look whether what is logged becomes events, and whether sinks get them."""
    folder = read.events_folder
    if folder is None:
        return []
    what = f"event log {folder}"
    try:
        if not folder.exists():
            return []
        names = tuple(each.name for each in make_sinks(read, folder, Counters()))
        backlog = measure_backlog(folder, names)
        if backlog.hit_bytes or any(backlog.events.values()):
            # One look can't tell what waits from what has only just come.
            await asyncio.sleep(_WAIT_SECONDS)
            later = measure_backlog(folder, names)
            return list(_judge_backlog(what, backlog, later))
    except (SinkError, SettingsError) as error:
        return [blame(what, str(error), "do what it says, then check again")]
    except OSError as error:
        return [_blame_access(what, error, "tracker")]
    return [approve(what, "everything in it is recorded and delivered")]


def _judge_backlog(what: str, before: Backlog, now: Backlog) -> list[Finding]:
    findings: list[Finding] = []
    is_still = now.noted_at == before.noted_at and now.hit_bytes >= before.hit_bytes
    if now.hit_bytes and is_still and time.time() - now.noted_at > _NOTES_EACH_SECONDS:
        text = f"nobody makes events of it: {now.hit_bytes:,} bytes wait"
        advice = "start the tracker, or look for recorder and events in its log"
        findings.append(blame(what, text, advice))
    elif now.hit_bytes > _MANY_HIT_BYTES:
        text = f"{now.hit_bytes // _MEBIBYTE:,} MiB of it are no events yet"
        advice = "wait and check again; if it grows, the machine is too slow or the disk is full"
        findings.append(warn(what, text, advice))
    for name, left in now.events.items():
        is_stuck = left and left >= before.events[name]
        if left > _MANY_EVENTS or is_stuck:
            text = f"the sink {name} has {left:,} events still to get"
            advice = "look for sink in the log of the tracker; start it if it does not run"
            findings.append(warn(what, text, advice))
    return findings or [approve(what, "what is in it is being recorded and delivered")]


def probe_spool(read: Configuration) -> list[Finding]:
    """Look at mail that waits for the upstream."""
    if read.proxy is None or read.spool.mode == "off":
        return []
    what = f"spool {read.spool.path}"
    try:
        if not read.spool.path.exists():
            return [approve(what, "is not there yet; the proxy makes it")]
        count, oldest = 0, time.time()
        for copy in inspection.list_copies(read.spool.path):
            count, oldest = count + 1, min(oldest, copy.kept_at)
    except SpoolError as error:
        return [blame(what, str(error), "check as the user who runs the proxy")]
    except OSError as error:
        return [_blame_access(what, error, "proxy")]
    waits = time.time() - oldest
    text = f"{count:,} copies wait for the upstream" if count else "nothing waits"
    if waits > _OLD_COPY_SECONDS:
        text = f"{text}, the oldest for {waits / 3600:.0f} h"
        return [warn(what, text, "msys-track spool list has the upstream's answers")]
    return [approve(what, text)]


def probe_disks(read: Configuration) -> list[Finding]:
    """Look how much room there is for what servers write."""
    paths = [read.report_store, read.events_folder, read.kept_mail.folder]
    if read.proxy is not None and read.spool.mode != "off":
        paths.append(read.spool.path)
    findings: dict[int, Finding] = {}
    for path in filter(None, paths):
        try:
            if path == read.kept_mail.folder and not path.exists():
                continue
            folder = _find_existing(path)
            device, free = folder.stat().st_dev, shutil.disk_usage(folder).free
        except OSError as error:
            return [_blame_access(f"disk of {path}", error, "servers")]
        what, text = f"disk of {folder}", f"{free // _MEBIBYTE:,} MiB are free"
        advice = "make room, or keep less: keep_days of [store], [events] and [kept_mail]"
        make = blame if free < _HARDLY_ANY_BYTES else warn
        finding = make(what, text, advice) if free < _LITTLE_BYTES else approve(what, text)
        findings.setdefault(device, finding)
    return list(findings.values())


def _blame_access(what: str, error: OSError, server: str) -> Finding:
    text = f"can't be looked at: {describe_os_error(error)}"
    return blame(what, text, f"check as the user who runs the {server}")


def _find_existing(path: Path) -> Path:
    return next(each for each in (path, *path.absolute().parents) if each.is_dir())
