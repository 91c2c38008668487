"""The page that holds the tables: its prose stays, what stands between markers is written."""

import re
from collections.abc import Mapping


class UnmarkedPageError(ValueError):
    """The page has no markers for a table."""


def write_tables(page: str, tables: Mapping[str, str]) -> str:
    """Put each table between `<!-- tables: NAME -->` and `<!-- end of tables: NAME -->`.

    Raises:
        UnmarkedPageError: the markers of a table are not there.
    """
    for name, table in tables.items():
        marked = re.compile(
            rf"(<!-- tables: {name} -->\n).*?(<!-- end of tables: {name} -->)", re.DOTALL
        )
        page, count = marked.subn(
            lambda found, text=table: found[1] + text + "\n" + found[2], page
        )  # type: ignore[misc]
        if count != 1:
            raise UnmarkedPageError(
                f"the page has no <!-- tables: {name} --> and <!-- end of tables: {name} -->"
            )
    return page
