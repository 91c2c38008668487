"""Writes stored events for other programs: lines of JSON, CSV, Parquet."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, TypeAlias

import orjson

from msys_track.extras import needed_extra
from msys_track.sinks.store.rows import read_fields

Format: TypeAlias = Literal["ndjson", "csv", "parquet"]

_TEXTS: Final = (
    "type", "class", "event_id", "message_id", "transmission_id", "customer_id", "subaccount_id",
    "campaign_id", "rcpt_to", "raw_rcpt_to", "rcpt_type", "recipient_domain", "injection_time",
    "open_tracking", "click_tracking", "initial_pixel", "amp_enabled", "transactional",
    "delv_method", "recv_method", "subject", "friendly_from", "msg_from", "mailfrom",
    "sending_domain", "msg_size", "ip_address", "user_agent", "accept_language",
    "target_link_url", "target_link_name", "reason",
)  # fmt: skip
_OBJECTS: Final = (
    "rcpt_meta",
    "rcpt_tags",
    "user_agent_parsed",
    "geo_ip",
    "x_msys_track",
)
COLUMNS: Final = ("sequence", "timestamp", *_TEXTS, *_OBJECTS, "other")
"""Of CSV and Parquet, where all but `sequence` are text.

`timestamp` is ISO 8601, objects and arrays are JSON, and `other` is a JSON object of the fields
that have no column.
"""

# A spreadsheet takes a text that begins like this for a formula, and clients choose some texts.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_KNOWN: Final = frozenset({*_TEXTS, *_OBJECTS, "timestamp"})

Page: TypeAlias = Sequence[tuple[int, bytes]]


def write_ndjson(pages: Iterable[Page], file: BinaryIO) -> None:
    """Write events as they are stored, a line each.

    Raises:
        OSError: the file can't be written.
    """
    file.writelines(b"".join([b"%b\n" % event for _, event in page]) for page in pages)


def write_csv(pages: Iterable[Page], file: BinaryIO) -> None:
    """Write events as CSV (RFC 4180) in UTF-8, with a line of names.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.

    Raises:
        OSError: the file can't be written.
    """
    file.writelines(make_csv(pages))


def make_csv(pages: Iterable[Page]) -> Iterator[bytes]:
    """Make the same in pieces: the line of names, then one for each page."""
    yield make_csv_lines([COLUMNS])
    for page in pages:
        yield make_csv_lines((sequence, *texts) for sequence, texts in _read(page))


def make_csv_lines(rows: Iterable[Sequence[str | int]]) -> bytes:
    """Make lines of CSV in UTF-8; a text that would be a formula gets an apostrophe in front."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(map(_guard, row) for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def write_parquet(pages: Iterable[Page], path: Path) -> None:
    """Write events as Parquet, compressed with Zstandard.

    Raises:
        MissingExtraError: `pyarrow` is not installed.
        OSError: the file can't be written.
    """
    with needed_extra("parquet", "Parquet"):
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415
    names = COLUMNS[1:]
    schema = pa.schema([("sequence", pa.int64()), *((name, pa.string()) for name in names)])
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for page in pages:
            rows = [
                {"sequence": sequence}
                | {name: text or None for name, text in zip(names, texts, strict=True)}
                for sequence, texts in _read(page)
            ]
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))


def _read(page: Page) -> Iterator[tuple[int, list[str]]]:
    for sequence, event in page:
        fields = read_fields(event)
        other = {name: value for name, value in fields.items() if name not in _KNOWN}
        own = fields.get("x_msys_track")
        known: Mapping[str, Any] = {
            **fields,
            "class": own.get("class") if isinstance(own, dict) else None,
            "other": other if fields else event.decode("utf-8", "replace"),
        }
        texts = [_write_time(fields.get("timestamp"))]
        texts += [_write_text(known.get(name)) for name in COLUMNS[2:]]
        yield sequence, texts


def _write_time(seconds: Any) -> str:
    try:
        return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (TypeError, ValueError, OverflowError, OSError):
        return _write_text(seconds)


def _write_text(value: Any) -> str:
    if value is None or value == {}:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _guard(cell: str | int) -> str | int:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
