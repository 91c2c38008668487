"""Erases what is known of one recipient, wherever this machine keeps events."""

import gzip
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from msys_track.errors import SinkError, describe_os_error
from msys_track.eventlog.erasing import ERASED_HIT, Recipient, erase_in_file, erase_in_log
from msys_track.sinks.dead_letters import DeadLetters
from msys_track.sinks.file import list_finished, write_compressed
from msys_track.sinks.store.erasing import erase_in_store

# What was under way at the first look has arrived at the second: a batch waits 0.1 s for others.
_LOOKS: Final = 3
_PAUSE_SECONDS: Final = 1.0


class Erased(NamedTuple):
    """What was erased in one place."""

    place: str
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where events are kept.

    Attributes:
        folder: Of the event log, with the logs of hits and the dead letters.
        store: The SQLite file.
        files: That sinks write lines to.
    """

    folder: Path | None = None
    store: Path | None = None
    files: Sequence[Path] = field(default=())

    def size_bytes(self) -> int:
        """Return how much there is to look through, about."""
        found = [] if self.folder is None else list(self.folder.rglob("*.ndjson"))
        for path in self.files:
            found += [path, *list_finished(path)]
        return sum(each.stat().st_size for each in found if each.exists())


def erase_recipient(address: str, places: Places, note: Callable[[int], None]) -> Iterator[Erased]:
    """Erase a recipient's events in the order in which they travel, until there are none.

    Args:
        address: The recipient's; case is ignored.
        places: Where to look.
        note: Called with the number of bytes that were looked through since the last call.

    Yields:
        What was erased, each place once a look.

    Raises:
        SinkError: one can't be read or written; those before it are erased.
    """
    recipient = Recipient(address)
    for look in range(_LOOKS):
        if look:
            time.sleep(_PAUSE_SECONDS)
        found = 0
        for each in _erase_once(address, recipient, places, note):
            found += each.events
            yield each
        if not found:
            return


def _erase_once(
    address: str, recipient: Recipient, places: Places, note: Callable[[int], None]
) -> Iterator[Erased]:
    if places.folder is not None:
        for hits in sorted((places.folder / "hits").glob("*")):
            yield Erased(str(hits), erase_in_log(hits, recipient, note))
        events = places.folder / "events"
        yield Erased(str(events), erase_in_log(events, recipient, note))
        for path in sorted((places.folder / "dead").glob("*.ndjson")):
            if path.stem == "hits":  # lines that were damaged
                yield Erased(str(path), erase_in_file(path, recipient, note, ERASED_HIT))
                continue
            letters = DeadLetters(places.folder, path.stem)
            yield Erased(str(path), letters.rewrite(lambda event: not recipient.owns(event)))
    if places.store is not None and places.store.exists():
        yield Erased(str(places.store), erase_in_store(places.store, address))
    for path in places.files:
        for each in (path, *list_finished(path)):
            if each.suffix == ".gz":
                yield Erased(str(each), _erase_compressed(each, recipient, note))
            else:
                yield Erased(str(each), erase_in_file(each, recipient, note))


def _erase_compressed(path: Path, recipient: Recipient, note: Callable[[int], None]) -> int:
    erased = 0

    def keep(lines: Iterator[bytes]) -> Iterator[bytes]:
        nonlocal erased
        for line in lines:
            if recipient.may_own(line) and recipient.owns(line):
                erased += 1
            else:
                yield line

    try:
        # Most files hold nothing of one recipient, and need not be written.
        with gzip.open(path) as file:
            is_there = any(recipient.may_own(line) and recipient.owns(line) for line in file)
        if is_there:
            with gzip.open(path) as file:
                write_compressed(path, keep(iter(file)))
        note(path.stat().st_size)
    except FileNotFoundError:
        return erased  # removed meanwhile
    except (OSError, EOFError) as error:
        reason = describe_os_error(error) if isinstance(error, OSError) else "it is cut off"
        raise SinkError(f"{path}: can't be erased: {reason}") from error
    return erased
