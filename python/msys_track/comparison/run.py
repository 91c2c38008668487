"""A whole bench: every mail, every peer that is installed, in the time that there is."""

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from msys_track.comparison.machine import describe_machine
from msys_track.comparison.mail import Mail, list_bundled, read_mail
from msys_track.comparison.measure import Comparison, compare
from msys_track.comparison.peers import find_peers, list_missing


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a bench found."""

    comparisons: Sequence[Comparison]
    """One for each mail."""
    missing: Sequence[str]
    """What to hand to `pip install` for the peers that were not there."""
    where: str
    """What was measured, when and on what machine, in one line."""


def compare_all(
    files: Collection[Path],
    names: Collection[str],
    *,
    seconds: float,
    tell: Callable[[float], None] = lambda _: None,
) -> Outcome:
    """Compare on files and on the mails that come with this package.

    Args:
        files: messages, or HTML documents.
        names: the mails of the package to take; all, if there are neither files nor names.
        seconds: for the rounds of all mails together.
        tell: is told how many of the seconds have gone by, as they do.

    Raises:
        UnfitMailError: nothing is tracked in a mail.
        DamagedError: our own copy is not what it must be.
        HeaderRefusedError: a file's `X-MSYS-API` is malformed.
        OSError: a file can't be read.
    """
    mails = [read_mail(path) for path in files] + _select(names, is_default=not files)
    missing = list_missing()
    has_reference = find_spec("cryptography") is not None
    if not has_reference:
        missing = ["cryptography", *missing]  # our engine in pure Python needs it
    peers = find_peers()
    where = f"msys-track {version('msys-track')}, {dt.datetime.now(dt.UTC):%Y-%m-%d}"
    where += f", {describe_machine()}"
    return Outcome(
        comparisons=[
            compare(
                mail, peers, seconds=seconds / len(mails), with_reference=has_reference, tell=tell
            )
            for mail in mails
        ],
        missing=missing,
        where=where,
    )


def _select(names: Collection[str], *, is_default: bool) -> list[Mail]:
    if not names and not is_default:
        return []
    return [mail for mail in list_bundled() if not names or mail.name in names]
