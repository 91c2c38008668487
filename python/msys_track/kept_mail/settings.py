"""Settings of the kept mail; every default is stated here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msys_track.settings.key import Key, check_settings
from msys_track.settings.kinds import COUNT, FILE_NAME, LARGE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptMailSettings:
    """Where mail for click maps is kept, and how long.

    Raises:
        SettingsError: a value that can't be.
    """

    folder: Annotated[
        Path,
        Key(
            FILE_NAME,
            "the folder of mail that `keep_messages` keeps; made when the first one is kept",
        ),
    ] = Path("kept-mail")
    keep_days: Annotated[
        int, Key(COUNT, "mail that was kept longer is removed, and kept anew if it still goes out")
    ] = 90
    max_bytes: Annotated[int, Key(LARGE_BYTES, "a larger mail is not kept")] = 1_048_576

    def __post_init__(self) -> None:
        """Check each value."""
        check_settings(self, "kept_mail: ")
