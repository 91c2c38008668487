"""What a reader sees of a page of the report: its tables and tiles as text."""

import html
import re


def read_text(page: str) -> str:
    """Return the text of a piece of a page, on one line."""
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page)).split())


def read_table(page: str, caption: str) -> list[list[str]]:
    """Return the rows of the body of the table whose caption begins so."""
    for table in re.findall("(?s)<table>.*?</table>", page):
        if read_text(table.partition("</caption>")[0]).startswith(caption):
            rows = re.findall("(?s)<tr>(.*?)</tr>", table.partition("<tbody>")[2])
            return [
                [read_text(cell) for cell in re.findall("(?s)<t[hd].*?</t[hd]>", row)]
                for row in rows
            ]
    raise AssertionError(f"no table is called {caption}")


def read_tiles(page: str) -> dict[str, str]:
    """Return the numbers of the tiles, without what stands beside them."""
    return {
        name: read_text(number.partition("<span")[0])
        for name, number in re.findall("(?s)<dt>(.*?)</dt><dd>(.*?)</dd>", page)
    }
