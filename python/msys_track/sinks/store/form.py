"""The tables of a store, and why they can be filled as fast at ten million events as at none.

An index over values in no order, such as addresses, grows until each new event changes a page of
its own. Three orders keep new entries close together. Ids and times of events grow by themselves.
Recipients and campaigns are sorted within a *block* of 65,536 events that came one after another:
SQLite looks through the few blocks by itself ("skip-scan"), because `sqlite_stat1` says how few
they are. Messages are sorted within the day that they were injected on, by a number made of both,
since comparing numbers takes half of the time.
"""

from typing import Final

from msys_track.databases import Form
from msys_track.errors import SinkError

BLOCK_BITS: Final = 16
"""`block` is `sequence` without so many bits."""
DAY_BITS: Final = 48
"""`message_key` without so many bits is the day of injection, in days since 1970."""

PAGE_BYTES: Final = 8_192
CHECKPOINT_BYTES: Final = 32 << 20
"""A checkpoint is made beside the writes once the write-ahead log has grown by so much."""
MAX_WAL_BYTES: Final = 256 << 20
"""Writes wait for a checkpoint at this size, which lets the log begin anew."""

_STATISTICS: Final = (
    ("events_id", "10000000 1"),
    ("events_at", "10000000 10"),
    ("events_recipient", "10000000 65536 4"),
    ("events_campaign", "10000000 65536 600"),
    ("events_message", "10000000 2 2 2"),
)

FORM: Final = Form(
    application_id=0x6D737973,  # "msys"
    version=3,
    first_pragmas=(f"PRAGMA page_size = {PAGE_BYTES}",),
    # What is erased is overwritten. Checkpoints are rare, so that a page is not copied again and
    # again while a run of events changes it; `SqliteSink` makes most of them beside its writes.
    pragmas=(
        "PRAGMA secure_delete = ON",
        "PRAGMA cache_size = -65536",
        f"PRAGMA wal_autocheckpoint = {MAX_WAL_BYTES // PAGE_BYTES}",
        f"PRAGMA journal_size_limit = {CHECKPOINT_BYTES}",
    ),
    statements=(
        """CREATE TABLE events (
            sequence INTEGER PRIMARY KEY,
            block INTEGER NOT NULL,
            event_id BLOB NOT NULL,
            at INTEGER NOT NULL,
            type TEXT NOT NULL,
            action TEXT NOT NULL,
            class TEXT NOT NULL,
            reader TEXT NOT NULL,
            campaign_id TEXT,
            rcpt_to TEXT,
            message_id TEXT NOT NULL,
            message_key INTEGER NOT NULL,
            link TEXT,
            event TEXT NOT NULL
        )""",
        "CREATE UNIQUE INDEX events_id ON events (event_id)",
        "CREATE INDEX events_at ON events (at)",
        "CREATE INDEX events_recipient ON events (block, rcpt_to)",
        "CREATE INDEX events_campaign ON events (block, campaign_id)",
        "CREATE INDEX events_message ON events (message_key, action, reader)",
        # The highest sequence so far, whatever was deleted. AUTOINCREMENT would note it for each
        # row, which takes as long as an index.
        "CREATE TABLE progress (last_sequence INTEGER NOT NULL)",
        "INSERT INTO progress VALUES (0)",
        """CREATE TABLE counts (
            campaign_id TEXT NOT NULL,
            hour INTEGER NOT NULL,
            type TEXT NOT NULL,
            class TEXT NOT NULL,
            events INTEGER NOT NULL,
            PRIMARY KEY (campaign_id, hour, type, class)
        ) WITHOUT ROWID""",
        """CREATE TABLE uniques (
            campaign_id TEXT NOT NULL,
            hour INTEGER NOT NULL,
            action TEXT NOT NULL,
            reader TEXT NOT NULL,
            messages INTEGER NOT NULL,
            new_messages INTEGER NOT NULL,
            direct_messages INTEGER NOT NULL,
            PRIMARY KEY (campaign_id, hour, action, reader)
        ) WITHOUT ROWID""",
        """CREATE TABLE groups (
            dimension TEXT NOT NULL,
            day INTEGER NOT NULL,
            campaign_id TEXT NOT NULL,
            value TEXT NOT NULL,
            type TEXT NOT NULL,
            class TEXT NOT NULL,
            events INTEGER NOT NULL,
            PRIMARY KEY (dimension, day, campaign_id, value, type, class)
        ) WITHOUT ROWID""",
        """CREATE TABLE group_uniques (
            dimension TEXT NOT NULL,
            day INTEGER NOT NULL,
            campaign_id TEXT NOT NULL,
            value TEXT NOT NULL,
            action TEXT NOT NULL,
            reader TEXT NOT NULL,
            messages INTEGER NOT NULL,
            new_messages INTEGER NOT NULL,
            direct_messages INTEGER NOT NULL,
            PRIMARY KEY (dimension, day, campaign_id, value, action, reader)
        ) WITHOUT ROWID""",
        # Where a link led to when it was first clicked, without query and fragment.
        """CREATE TABLE links (
            campaign_id TEXT NOT NULL,
            link TEXT NOT NULL,
            target TEXT NOT NULL,
            PRIMARY KEY (campaign_id, link)
        ) WITHOUT ROWID""",
        "ANALYZE sqlite_schema",
        *(
            f"INSERT INTO sqlite_stat1 VALUES ('events', '{index}', '{figures}')"  # noqa: S608
            for index, figures in _STATISTICS
        ),
    ),
    name="event store",
    contents="events",
    maker="the tracker makes it when it starts",
    error=SinkError,
    earlier='move it away, and add its events to a new store with "msys-track events import"',
)
