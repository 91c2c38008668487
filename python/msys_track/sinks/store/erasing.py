"""Erases a recipient's events from a store, while a sink fills it."""

import time
from contextlib import closing
from pathlib import Path
from typing import Final

from msys_track.databases import explain_errors, open_database, transaction
from msys_track.sinks.store.form import BLOCK_BITS, FORM

_BUSY_TIMEOUT_SECONDS: Final = 5.0
_ROWS_A_STEP: Final = 500
_PAUSE_SECONDS: Final = 0.02


def erase_in_store(path: Path, address: str) -> int:
    """Delete a recipient's events and overwrite them; return how many. The counts stay.

    They are gone from the write-ahead log too, unless something reads the store now.

    Raises:
        SinkError: the store can't be written; the text says what to do.
    """
    erased = 0
    with (
        closing(open_database(path, FORM, _BUSY_TIMEOUT_SECONDS)) as connection,
        explain_errors(path, FORM),
    ):
        last = connection.execute("SELECT coalesce(max(sequence), 0) FROM events").fetchone()[0]
        block, highest = 0, last >> BLOCK_BITS
        while block <= highest:
            with transaction(connection):
                count = connection.execute(
                    "DELETE FROM events WHERE sequence IN (SELECT sequence FROM events"
                    " WHERE block = ? AND rcpt_to = ? LIMIT ?)",
                    (block, address.lower(), _ROWS_A_STEP),
                ).rowcount
            erased += count
            if count == _ROWS_A_STEP:
                time.sleep(_PAUSE_SECONDS)
            else:
                block += 1
        if erased:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return erased
