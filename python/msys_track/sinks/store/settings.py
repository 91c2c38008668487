"""Settings of the store; every default is stated here."""

from dataclasses import dataclass
from typing import Annotated

from msys_track.settings.key import Key, check_settings
from msys_track.settings.kinds import COUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """How long the store keeps events.

    Raises:
        SettingsError: a value that no store could work with.
    """

    keep_days: Annotated[
        int | None,
        Key(
            COUNT,
            "older events are removed from the store; what was counted of them stays",
            example=400,
            unset="events are kept for ever",
        ),
    ] = None

    def __post_init__(self) -> None:
        check_settings(self, "store: ")
