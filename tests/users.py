"""Users of a test: their file, with a cost that costs no time, and the password of them all."""

from pathlib import Path
from typing import Final

from msys_track.accounts.passwords import Cost
from msys_track.accounts.users import add_user

CHEAP: Final = Cost(log_n=10, block_size=1, parallelism=1)
PASSWORD: Final = "correct horse"  # noqa: S105 - of no real user


def write_users(file: Path, *names: str) -> Path:
    """Write a file with these users, or with one called shop."""
    for name in names or ("shop",):
        add_user(file, name, PASSWORD, cost=CHEAP)
    return file
