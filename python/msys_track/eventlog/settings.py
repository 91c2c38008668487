"""Settings of the event log; every default is stated here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from msys_track.settings.key import Key, check_settings
from msys_track.settings.kinds import COUNT, FILE_NAME, SECONDS, SWITCH, whole_number

# A file for each line would be slow to write, and slower to find.
_SEGMENT_BYTES: Final = whole_number(lowest=64 << 10, highest=2**62, unit="bytes, ")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSettings:
    """Where events are logged, how many wait for the disk, and how long they are kept.

    Raises:
        SettingsError: a value that no log could work with.
    """

    folder: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "the folder of the event log, on a local disk",
            example="events.sqlite.d",
            unset="the store's name and `.d`",
        ),
    ] = None
    injection: Annotated[
        bool,
        Key(SWITCH, "the proxy writes `injection` and `policy_rejection` events of its mail too"),
    ] = False
    # Those being written included; more are dropped and counted. About 1 KB each.
    max_queued: Annotated[int, Key(COUNT, "events in memory")] = 200_000
    batch_seconds: Annotated[
        float, Key(SECONDS, "the longest that an event waits before it is written")
    ] = 0.1
    segment_bytes: Annotated[int, Key(_SEGMENT_BYTES, "from this size on a new file is begun")] = (
        64 << 20
    )
    keep_days: Annotated[
        int, Key(COUNT, "for so long events stay in the log once all sinks have them")
    ] = 7
    close_timeout_seconds: Annotated[
        float, Key(SECONDS, "how long stopping waits for events to be stored")
    ] = 10.0

    webhooks_json: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "Momentum's file of webhooks; each is one more beside `[webhook.NAME]`",
            example="webhooks.json",
            unset="none",
        ),
    ] = None
    webhooks_json_allow_private: Annotated[
        bool, Key(SWITCH, "allow addresses in it that are not on the public internet")
    ] = False

    def __post_init__(self) -> None:
        check_settings(self, "events: ")
