"""Makes the folders of the log: what is in them says who read which mail, and is nobody else's."""

from pathlib import Path
from typing import Final

_MODE: Final = 0o700


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner alone.

    `Path.mkdir` would open those above to everybody. One that is there keeps its mode.

    Raises:
        OSError: one can't be made.
    """
    for each in (*reversed(folder.parents), folder):
        if not each.exists():
            each.mkdir(mode=_MODE, exist_ok=True)
    folder.mkdir(mode=_MODE, exist_ok=True)  # says so where it is a file
