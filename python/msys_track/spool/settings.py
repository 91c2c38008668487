"""Settings of the spool; every default is stated here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias, get_args

from msys_track.settings.key import Key, check_settings
from msys_track.settings.kinds import (
    COUNT,
    FILE_NAME,
    LARGE_BYTES,
    SECONDS,
    choice,
    text,
    whole_number,
)
from msys_track.smtp.path import is_path

Mode: TypeAlias = Literal["off", "partial", "always"]

_MEBIBYTE: Final = 1024 * 1024
_HOURS: Final = whole_number(highest=10_000, unit="hours, ")
_MAILBOX: Final = text(
    lambda address: address.isascii() and is_path(address) and "@" in address,
    'a mail address in ASCII, as "mailer-daemon@example.com"',
    {"pattern": "^[!-~]+@[!-~]+$"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolSettings:
    """What is kept, how much of it, and how often it is tried again.

    Raises:
        SettingsError: a value that no spool could work with.
    """

    mode: Annotated[
        Mode,
        Key(
            choice(*get_args(Mode)),
            "`partial` keeps what remains once a copy of the mail is out; `always` also keeps "
            "mail while the upstream can't be reached",
        ),
    ] = "off"
    path: Annotated[
        Path, Key(FILE_NAME, "its folder on a local disk; all workers of the proxy share it")
    ] = Path("spool")
    max_bytes: Annotated[
        int, Key(LARGE_BYTES, "all kept mail; beyond it nothing more is kept")
    ] = 1024 * _MEBIBYTE
    max_copies: Annotated[int, Key(COUNT, "kept copies of mails")] = 100_000
    copies_at_once: Annotated[int, Key(COUNT, "copies that a worker sends at one time")] = 5
    first_retry_seconds: Annotated[
        float, Key(SECONDS, "pause before the first retry; doubled after each further one")
    ] = 60
    last_retry_seconds: Annotated[float, Key(SECONDS, "the longest such pause")] = 3600
    # RFC 5321 section 4.5.4.1: "generally needs to be at least 4-5 days".
    give_up_hours: Annotated[
        int,
        Key(_HOURS, "how long a copy is tried; then a report goes to its sender"),
    ] = 120
    delay_notice_hours: Annotated[
        int,
        Key(_HOURS, "age at which a sender who gave `NOTIFY=DELAY` gets a report of the delay"),
    ] = 4
    report_sender: Annotated[
        str | None,
        Key(
            _MAILBOX,
            "the From of reports to senders",
            example="mailer-daemon@example.com",
            unset="mailer-daemon at `proxy.hostname`",
        ),
    ] = None

    def __post_init__(self) -> None:
        check_settings(self, "spool: ")
