"""What every bench shares: whether bars are asserted, and one report at the end of the run."""

from collections.abc import Sequence

import pytest

TABLES = pytest.StashKey[list[str]]()


class Report:
    """Tables in Markdown, printed when the run ends, so that a document can hold them."""

    def __init__(self, tables: list[str]) -> None:
        self._tables = tables

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table; the first column is text, the others stand on the right."""
        ruler = ["---", *["---:"] * (len(head) - 1)]
        lines = [f"| {' | '.join(cells)} |" for cells in (head, ruler, *rows)]
        self._tables.append("\n".join([f"### {title}", "", *lines, ""]))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bars", action="store_true", help="fail where a bar is missed")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLES] = []


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    return Report(request.config.stash[TABLES])


@pytest.fixture(scope="session")
def bars(request: pytest.FixtureRequest) -> bool:
    """Whether this run is to fail where a bar is missed; else it only reports."""
    return bool(request.config.getoption("--bars"))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if tables := config.stash[TABLES]:
        terminalreporter.section("benches")
        terminalreporter.write("\n" + "\n".join(tables))
