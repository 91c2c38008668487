"""What is done to the spool's tables; each function is one step of a transaction.

A copy is *kept*, *claimed* by a worker while that sends it, then *removed*, *deferred* or
*failed*; a failed copy stays until the report to its sender is in the spool.
"""

import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Final, NamedTuple

from msys_track.errors import SpoolFullError
from msys_track.relay.transaction import Delivery
from msys_track.smtp.path import Recipient
from msys_track.spool import worker
from msys_track.spool.clock import Clock
from msys_track.spool.copy import COLUMNS, KeptCopy, write_recipients
from msys_track.spool.settings import SpoolSettings

# SQLite holds a whole value in memory, up to three times while it is written.
_PIECE_BYTES: Final = 1024 * 1024
_ALPHABET: Final = "23456789BCDFGHJKMNPQRSTVWXYZ"
# What is free in the file takes what comes next; beyond this much it is given back to the disk.
_KEPT_FREE_PAGES: Final = 1024
# A restart of the machine makes copies younger by as much at most.
_CLOCK_SECONDS: Final = 60.0
# A step on a claimed copy names its mail too: where the file was moved aside meanwhile, the new
# one has the same ids for other copies.


class Totals(NamedTuple):
    """How much is in the spool."""

    copies: int
    bytes: int


class Part(NamedTuple):
    """What becomes of one recipient of a copy that is split."""

    recipient: Recipient
    answer: str
    due_seconds: float = 0
    has_failed: bool = False


def read_totals(connection: Connection) -> Totals:
    """Read how much is in the spool."""
    return Totals(*connection.execute("SELECT copies, bytes FROM totals").fetchone())


def find_oldest(connection: Connection) -> float | None:
    """Find the uptime at which the oldest copy that waits was kept."""
    oldest: float | None
    (oldest,) = connection.execute(
        "SELECT min(kept_uptime) FROM copies WHERE state = 'waiting'"
    ).fetchone()
    return oldest


def settle_clock(connection: Connection, clock: Clock) -> None:
    """Note the time; after a restart of the machine move all times to its new clock.

    The time that the machine was off does not count: nothing could be tried then.
    """
    now = clock.uptime()
    boot_id, last = connection.execute("SELECT boot_id, uptime_seconds FROM clock").fetchone()
    is_same_start = boot_id == clock.boot_id and now >= last
    if is_same_start and now - last < _CLOCK_SECONDS:
        return  # nothing to write, so that an idle spool costs no disk
    if not is_same_start:
        connection.execute(
            "UPDATE copies SET kept_uptime = kept_uptime + :shift, due_uptime = :now,"
            " failed_uptime = failed_uptime + :shift",
            {"shift": now - last, "now": now},
        )
    connection.execute("UPDATE clock SET boot_id = ?, uptime_seconds = ?", (clock.boot_id, now))


def keep(  # noqa: PLR0913 - what a mail consists of
    connection: Connection,
    clock: Clock,
    settings: SpoolSettings | None,
    *,
    mail_parameters: tuple[str, ...],
    deliveries: Iterable[Delivery],
    envelope_id: str,
    answer: str,
    due_seconds: float = 0,
    has_failed: bool = False,
) -> str:
    """Keep deliveries as the copies of one mail; return its queue id.

    Without `settings` nothing limits it: a report takes the place of what it is about.

    Raises:
        SpoolFullError: they exceed a limit; the transaction must not be committed.
    """
    settle_clock(connection, clock)
    mail, now = _make_queue_id(), clock.uptime()
    for number, delivery in enumerate(deliveries, start=1):
        body = _store_body(connection, delivery.wire)
        connection.execute(
            "INSERT INTO copies (mail, number, envelope_id, sender, mail_parameters, recipients,"
            " body, size, is_seven_bit, kept_at, kept_uptime, due_uptime, answer, state,"
            " failed_uptime) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                mail, number, envelope_id, delivery.sender, json.dumps(mail_parameters),
                write_recipients(delivery.recipients), body, delivery.size, delivery.is_seven_bit,
                clock.wall(), now, now + due_seconds, answer,
                "failed" if has_failed else "waiting", now if has_failed else None,
            ),
        )  # fmt: skip
        totals = read_totals(connection)
        if settings is not None and (
            totals.copies > settings.max_copies or totals.bytes > settings.max_bytes
        ):
            raise SpoolFullError(
                f"the spool would hold {totals.copies} copies and {totals.bytes} bytes; allowed: "
                f"{settings.max_copies} copies (max_copies), {settings.max_bytes} bytes "
                "(max_bytes)"
            )
    return mail


def _store_body(connection: Connection, wire: bytes) -> int:
    body = connection.execute("INSERT INTO bodies (bytes) VALUES (?)", (len(wire),)).lastrowid
    view = memoryview(wire)
    for number, start in enumerate(range(0, len(wire), _PIECE_BYTES)):
        connection.execute(
            "INSERT INTO pieces VALUES (?, ?, ?)",
            (body, number, view[start : start + _PIECE_BYTES]),
        )
    return int(body or 0)


def read_body(connection: Connection, body: int) -> bytes:
    """Read the wire bytes of a copy."""
    return b"".join(_read_pieces(connection, body))


def read_head(connection: Connection, body: int) -> bytes:
    """Read the first piece of the wire bytes, which holds the header of any usual mail."""
    return next(_read_pieces(connection, body), b"")


def _read_pieces(connection: Connection, body: int) -> Iterator[bytes]:
    rows = connection.execute("SELECT wire FROM pieces WHERE body = ? ORDER BY number", (body,))
    return (wire for (wire,) in rows)


def claim_due(
    connection: Connection,
    clock: Clock,
    name: str,
    *,
    max_copies: int,
    max_bytes: int,
) -> list[KeptCopy]:
    """Claim what is due for one worker, the longest due first; one copy may exceed the bytes."""
    claimed: list[KeptCopy] = []
    total = 0
    for row in connection.execute(
        f"SELECT {COLUMNS} FROM copies WHERE state = 'waiting' AND claimed_by IS NULL"  # noqa: S608 - our own names
        " AND due_uptime <= ? ORDER BY due_uptime LIMIT ?",
        (clock.uptime(), max_copies),
    ).fetchall():
        copy = KeptCopy.of_row(row)
        total += copy.size
        if claimed and total > max_bytes:
            break
        claimed.append(copy)
    connection.executemany(
        "UPDATE copies SET claimed_by = ? WHERE id = ?", ((name, copy.id) for copy in claimed)
    )
    return claimed


def free_dead_claims(connection: Connection, folder: Path, own_name: str) -> int:
    """Free what workers had claimed that are gone; return how many copies."""
    names = connection.execute(
        "SELECT DISTINCT claimed_by FROM copies WHERE claimed_by IS NOT NULL AND claimed_by != ?",
        (own_name,),
    ).fetchall()
    dead = [(name,) for (name,) in names if not worker.is_alive(folder, name)]
    if not dead:
        return 0
    return connection.executemany(
        "UPDATE copies SET claimed_by = NULL WHERE claimed_by = ?", dead
    ).rowcount


def find_next_due(connection: Connection) -> float | None:
    """Find the uptime at which the next copy is due; None if none waits."""
    (due,) = connection.execute(
        "SELECT min(due_uptime) FROM copies WHERE state = 'waiting' AND claimed_by IS NULL"
    ).fetchone()
    return None if due is None else float(due)


def remove(connection: Connection, copy: KeptCopy) -> None:
    """Remove a copy that has been relayed."""
    connection.execute("DELETE FROM copies WHERE id = ? AND mail = ?", (copy.id, copy.mail))


def give_pages_back(connection: Connection, pages: int, *, is_scarce: bool) -> bool:
    """Give free pages of the file back to the disk; return whether there are more."""
    kept = 0 if is_scarce else _KEPT_FREE_PAGES
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    if free <= kept:
        return False
    connection.execute(f"PRAGMA incremental_vacuum({min(pages, free - kept)})").fetchall()
    return bool(free - kept > pages)


def defer(
    connection: Connection, clock: Clock, copy: KeptCopy, answer: str, seconds: float
) -> None:
    """Note a failed attempt and when the next one is due; end the claim."""
    connection.execute(
        "UPDATE copies SET attempts = attempts + 1, answer = ?, due_uptime = ?, claimed_by = NULL"
        " WHERE id = ? AND mail = ?",
        (answer, clock.uptime() + seconds, copy.id, copy.mail),
    )


def release(connection: Connection, copy: KeptCopy) -> None:
    """End a claim of which nothing has come."""
    connection.execute(
        "UPDATE copies SET claimed_by = NULL WHERE id = ? AND mail = ?", (copy.id, copy.mail)
    )


def fail(connection: Connection, clock: Clock, copy: KeptCopy, answer: str) -> None:
    """Give a copy up; the report to its sender is made next."""
    connection.execute(
        "UPDATE copies SET state = 'failed', failed_uptime = ?, attempts = attempts + 1,"
        " answer = ?, claimed_by = NULL WHERE id = ? AND mail = ?",
        (clock.uptime(), answer, copy.id, copy.mail),
    )


def split(connection: Connection, clock: Clock, copy: KeptCopy, parts: Sequence[Part]) -> None:
    """Replace a copy by one for each of these recipients: one's refusal must not stop others."""
    (last,) = connection.execute(
        "SELECT max(number) FROM copies WHERE mail = ?", (copy.mail,)
    ).fetchone()
    if last is None:
        return  # the file was moved aside
    now = clock.uptime()
    rows: list[Any] = [
        (
            copy.mail, number, copy.envelope_id, copy.sender, json.dumps(copy.mail_parameters),
            write_recipients((part.recipient,)), copy.body, copy.size, copy.is_seven_bit,
            copy.kept_at, copy.kept_uptime, now + part.due_seconds, copy.attempts + 1,
            part.answer, "failed" if part.has_failed else "waiting",
            now if part.has_failed else None, copy.is_delay_reported,
        )
        for number, part in enumerate(parts, start=last + 1)
    ]  # fmt: skip
    connection.executemany(
        "INSERT INTO copies (mail, number, envelope_id, sender, mail_parameters, recipients, body,"
        " size, is_seven_bit, kept_at, kept_uptime, due_uptime, attempts, answer, state,"
        " failed_uptime, is_delay_reported)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    connection.execute("DELETE FROM copies WHERE id = ? AND mail = ?", (copy.id, copy.mail))


def fail_expired(connection: Connection, clock: Clock, give_up_seconds: float) -> int:
    """Give up what was kept for long enough and is not being sent; return how many copies."""
    now = clock.uptime()
    return connection.execute(
        "UPDATE copies SET state = 'failed', failed_uptime = ? WHERE kept_uptime <= ?"
        " AND state = 'waiting' AND claimed_by IS NULL AND attempts > 0",
        (now, now - give_up_seconds),
    ).rowcount


def read_copies(
    connection: Connection, where: str, *values: object, limit: int = -1
) -> list[KeptCopy]:
    """Read the copies that a condition of SQL selects, in the order in which they were kept."""
    # The sign keeps SQLite from reading all copies in this order to find the few that are meant.
    order = "id" if where.startswith("id") else "+id"
    statement = f"SELECT {COLUMNS} FROM copies WHERE {where} ORDER BY {order} LIMIT {limit}"  # noqa: S608 - callers' constants
    return [KeptCopy.of_row(row) for row in connection.execute(statement, values)]


def _make_queue_id() -> str:
    # Without vowels and look-alikes; 48 bits, unique among the few thousand that there are.
    return "".join(secrets.choice(_ALPHABET) for _ in range(10))
