"""How old a browser is: scanners pretend to be browsers, and forget to pretend to update.

The dates are those of the browsers' own release notes: chromestatus.com/roadmap for Chrome (Edge
has the same numbers, days later), wiki.mozilla.org/Release_Management/Calendar for Firefox.
Between two of them the numbers came at an even pace, to some weeks. Safari is left out: it comes
with the system, and many systems can't be updated any more.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Final

_CHROME: Final = (
    (30, date(2013, 10, 1)), (40, date(2015, 1, 21)), (50, date(2016, 4, 13)),
    (57, date(2017, 3, 9)), (60, date(2017, 7, 25)), (70, date(2018, 10, 16)),
    (79, date(2019, 12, 10)), (80, date(2020, 2, 4)), (90, date(2021, 4, 14)),
    (96, date(2021, 11, 15)), (100, date(2022, 3, 29)), (110, date(2023, 2, 7)),
    (115, date(2023, 7, 18)), (120, date(2023, 12, 5)), (125, date(2024, 5, 14)),
    (130, date(2024, 10, 15)), (135, date(2025, 4, 1)), (140, date(2025, 9, 2)),
)  # fmt: skip
_FIREFOX: Final = (
    (30, date(2014, 6, 10)), (40, date(2015, 8, 11)), (50, date(2016, 11, 15)),
    (60, date(2018, 5, 9)), (68, date(2019, 7, 9)), (78, date(2020, 6, 30)),
    (91, date(2021, 8, 10)), (102, date(2022, 6, 28)), (115, date(2023, 7, 4)),
    (128, date(2024, 7, 9)), (140, date(2025, 6, 24)),
)  # fmt: skip
_EDGE_HTML: Final = ((12, date(2015, 7, 29)), (18, date(2018, 10, 2)))
# Mozilla supports it on Windows 7 and 8 years longer than others.
_LONG_SUPPORTED: Final = 115

# The systems on which these browsers update by themselves; macOS stopped counting at 10.15.7.
_UPDATED: Final = re.compile(r"Windows NT 10\.0|Mac OS X 10[._]15|CrOS")
_VERSION: Final = re.compile(r"\b(Edge|Firefox|Chrome)/([0-9]{1,3})\.")


def find_release(user_agent: str) -> tuple[str, float] | None:
    """Return which browser a user agent says it is, and when that was released.

    Returns:
        Its name with the version, and Unix seconds. None where the browser is not known, is newer
        than the table, or stands on a system where it may have to stay old.
    """
    if _UPDATED.search(user_agent) is None:
        return None
    found = dict(_VERSION.findall(user_agent))
    for name in ("Edge", "Firefox", "Chrome"):  # Edge says that it is Chrome too
        if name in found:
            version = int(found[name])
            if name == "Firefox" and version == _LONG_SUPPORTED:
                return None
            released = _RELEASES[name].get(version)
            return None if released is None else (f"{name} {version}", released)
    return None


def _fill(anchors: tuple[tuple[int, date], ...]) -> Iterator[tuple[int, float]]:
    for (first, begin), (last, end) in pairwise(anchors):
        for version in range(first, last + 1):
            share = (version - first) / (last - first)
            moment = begin + (end - begin) * share
            yield version, datetime(moment.year, moment.month, moment.day, tzinfo=UTC).timestamp()


_RELEASES: Final[Mapping[str, Mapping[int, float]]] = {
    "Chrome": dict(_fill(_CHROME)),
    "Firefox": dict(_fill(_FIREFOX)),
    "Edge": dict(_fill(_EDGE_HTML)),
}
