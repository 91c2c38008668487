"""Reads the parameters that SparkPost's read APIs share: lists, numbers, times and zones.

A parameter that is not known is refused: a filter that is passed over would make a wrong number.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msys_track.report.sparkpost.problems import refuse

_MAX_VALUES: Final = 500
_DAY: Final = timedelta(days=1)


class Parameters:
    """The query string of a request.

    Args:
        pairs: Names and values, decoded.
        known: The names that the endpoint takes.
        unknowable: Names that SparkPost's endpoint takes but this one can't, and why.

    Raises:
        RequestError: a name is unknown or stands there twice.
    """

    def __init__(
        self,
        pairs: Iterable[tuple[str, str]],
        known: Collection[str],
        unknowable: Mapping[str, str],
    ) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            if name in unknowable:
                raise refuse(f"{name} can't be used here: {unknowable[name]}")
            if name not in known:
                raise refuse(f"{name[:100]} is not a parameter of this endpoint")
            if name in self._values:
                raise refuse(f"{name} stands there twice; give a list in one")
            self._values[name] = value
        self._delimiter = self._values.get("delimiter") or ","
        self.zone = _read_zone(self._values.get("timezone") or "UTC")

    def text(self, *names: str) -> str | None:
        """Return the first of these parameters that has a value."""
        return next((self._values[name] for name in names if self._values.get(name)), None)

    def values(self, *names: str) -> tuple[str, ...]:
        """Return the values of a list; empty where it is not there.

        Raises:
            RequestError: there are too many.
        """
        text = self.text(*names)
        values = () if text is None else tuple(text.split(self._delimiter))
        if len(values) > _MAX_VALUES:
            raise refuse(f"{names[0]} has more than {_MAX_VALUES} values")
        return tuple(each.strip() for each in values if each.strip())

    def number(self, name: str, default: int, *, lowest: int, highest: int) -> int:
        """Return a whole number.

        Raises:
            RequestError: it is none, or out of range.
        """
        text = self.text(name)
        if text is None:
            return default
        # So short that reading it costs nothing.
        if not (text.isascii() and text.isdigit() and len(text) <= 9):  # noqa: PLR2004
            raise refuse(f"{name} must be a number from {lowest} to {highest}")
        number = int(text)
        if not lowest <= number <= highest:
            raise refuse(f"{name} must be from {lowest} to {highest}")
        return number

    def choice(self, name: str, allowed: Sequence[str]) -> str | None:
        """Return one of a few words; None where it is not there.

        Raises:
            RequestError: it is another one.
        """
        text = self.text(name)
        if text is not None and text not in allowed:
            raise refuse(f"{name} must be one of: {', '.join(allowed)}")
        return text

    def time(self, name: str) -> datetime | None:
        """Return a time as `YYYY-MM-DDTHH:MM` has it, in the zone of the request.

        Seconds may follow, and a zone of its own (`Z`, `+01:00`).

        Raises:
            RequestError: it is none.
        """
        text = self.text(name)
        if text is None:
            return None
        try:
            # A plus sign of a zone that was not escaped has become a space.
            at = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
            local = at if at.tzinfo is not None else at.replace(tzinfo=self.zone)
            local.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise refuse(f"{name} must be a time as in 2026-11-29T08:00") from error
        return local

    def window(self, now: float) -> tuple[int, int]:
        """Return the Unix seconds that `from` and `to` begin at: the second is not included.

        As with SparkPost `from` is a day ago and `to` is now where they are left out.

        Raises:
            RequestError: one is no time, or they are in the wrong order.
        """
        since, until = self.time("from"), self.time("to")
        # What comes in this second is left for the next request: it may not all be stored yet.
        end = int(now) if until is None else int(until.timestamp())
        begin = end - int(_DAY.total_seconds()) if since is None else int(since.timestamp())
        if begin > end:
            raise refuse("from must not be later than to")
        return begin, end


def _read_zone(name: str) -> tzinfo:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        raise refuse("timezone must be a name as in Europe/Berlin") from error
