"""Settings of classification; every default is stated here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from msys_track.settings.key import Key, check_settings
from msys_track.settings.kinds import COUNT, FILE_NAME, SECONDS, SWITCH, array, choice
from msys_track.tracking.classify.rules import Rule

_RULE: Final = choice(*Rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationSettings:
    """Which rules tell people from machines, and the windows and files that they use.

    Raises:
        SettingsError: a value that no rule could work with.
    """

    off: Annotated[
        tuple[Rule, ...],
        Key(array(_RULE, 'rules as in ["old_browser"]'), "rules that are not used"),
    ] = ()
    burst_links: Annotated[
        int, Key(COUNT, "so many different links of a message in a short time are a burst")
    ] = 3
    burst_hits: Annotated[int, Key(COUNT, "so many clicks in a short time are a burst")] = 5
    burst_seconds: Annotated[float, Key(SECONDS, "that short time")] = 2.0
    all_links_seconds: Annotated[
        float, Key(SECONDS, "every link of a message within this time is a machine's work")
    ] = 60.0
    head_seconds: Annotated[
        float, Key(SECONDS, "for so long a GET after a HEAD is a scanner's")
    ] = 60.0
    soon_seconds: Annotated[
        float, Key(SECONDS, "no person follows a link so soon after the injection")
    ] = 2.0
    proxy_prefetch_seconds: Annotated[
        float, Key(SECONDS, "an image that a mail proxy loads so soon was not looked at")
    ] = 10.0
    old_browser_days: Annotated[
        int, Key(COUNT, "a browser that was released so long before the injection is old")
    ] = 548
    networks: Annotated[
        tuple[Path, ...],
        Key(
            array(FILE_NAME, 'names of files as in ["scanners.txt"]'),
            "networks of machines, a line each (docs/classification.md)",
        ),
    ] = ()
    apple_egress: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "Apple's list of Private Relay's addresses, a CSV",
            example="egress-ip-ranges.csv",
            unset="they are not known",
        ),
    ] = None
    asn_database: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "MaxMind's ASN database, which says whose an address is",
            example="GeoLite2-ASN.mmdb",
            unset="it is not known",
        ),
    ] = None
    geo_ip: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "MaxMind's City database, for `geo_ip` of events",
            example="GeoLite2-City.mmdb",
            unset="events have no `geo_ip`",
        ),
    ] = None
    infer_opens: Annotated[
        bool, Key(SWITCH, "a person's click of a message without an open makes one too")
    ] = False
    # About 1 KB each.
    max_remembered: Annotated[int, Key(COUNT, "clicks that are remembered to find bursts")] = (
        50_000
    )
    # About 100 bytes each.
    max_first_seen: Annotated[
        int, Key(COUNT, "messages and links that are remembered to know what comes first")
    ] = 500_000

    def __post_init__(self) -> None:
        check_settings(self, "classification: ")
