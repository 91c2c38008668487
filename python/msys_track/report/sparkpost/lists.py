"""`GET /api/v1/metrics/campaigns` and `/domains`: of what there are metrics."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from msys_track.report.sparkpost.parameters import Parameters
from msys_track.report.sparkpost.tallies import read_keys
from msys_track.sinks.store.reading import Store

ListName: TypeAlias = Literal["campaigns", "domains"]

_NAMES: Final = ("from", "to", "timezone", "delimiter", "match", "limit")
_MAX_RESULTS: Final = 10_000
_LIMIT: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """A request of a list.

    Attributes:
        name: Of what.
        since: Unix seconds; None: ever.
        until: Unix seconds; None: ever.
        match: Only those that contain it.
    """

    name: ListName
    since: int | None
    until: int | None
    match: str
    limit: int


def read_list_request(name: ListName, pairs: Sequence[tuple[str, str]], now: float) -> ListRequest:
    """Read the query of a request for a list.

    Raises:
        RequestError: a parameter is unknown or wrong.
    """
    parameters = Parameters(pairs, _NAMES, {})
    since, until = parameters.window(now)
    return ListRequest(
        name=name,
        since=since if parameters.text("from") else None,
        until=until if parameters.text("to") else None,
        match=parameters.text("match") or "",
        limit=parameters.number("limit", _LIMIT, lowest=1, highest=_MAX_RESULTS),
    )


def answer_list(store: Store, request: ListRequest) -> dict[str, Any]:
    """Read a list, in the order of the alphabet.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    keys = read_keys(store, request.name, since=request.since, until=request.until)
    found = [each for each in sorted(keys) if each and request.match in each]
    return {"results": {request.name: found[: request.limit]}}
