"""The page that holds the tables: its prose stays, what stands between markers is written."""

from collections.abc import Mapping

from msys_track.errors import TrackingError


class UnmarkedPageError(TrackingError):
    """The page has no markers for a table."""


def write_tables(page: str, tables: Mapping[str, str]) -> str:
    """Put each table between `<!-- tables: NAME -->` and `<!-- end of tables: NAME -->`.

    Raises:
        UnmarkedPageError: the markers of a table are not there.
    """
    for name, table in tables.items():
        start, end = f"<!-- tables: {name} -->\n", f"<!-- end of tables: {name} -->"
        before, _, rest = page.partition(start)
        _, marker, after = rest.partition(end)
        if not marker:
            raise UnmarkedPageError(f"the page has no {start.rstrip()} with {end} behind it")
        page = f"{before}{start}\n{table}\n{end}{after}"
    return page
