"""`docs/fidelity.md` shows what its command wrote, and that ours did no damage."""

import re
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("selectolax", reason="Lexbor (selectolax) is not installed")

from msys_track.comparison.fidelity.inputs import BUNDLED, CORPUS, list_bundled

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "fidelity.md").read_text(encoding="utf-8")
NO_DAMAGE = (
    "missed",
    "broken",
    "for Outlook, missed",
    "bytes changed",
    "structures",
    "inputs damaged",
)


def read_tables(source: str) -> tuple[int, list[dict[str, str]]]:
    """How many inputs a source has, and the rows of its table by the names of the columns."""
    head = re.search(
        rf"^#### {source[0].upper()}{source[1:]}: ([\d,]+) inputs$", PAGE, re.MULTILINE
    )
    assert head is not None
    lines = PAGE[head.end() :].partition("\n####")[0].splitlines()
    names, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("|")
    ]
    return int(head[1].replace(",", "")), [dict(zip(names, row, strict=True)) for row in rows]


@pytest.mark.parametrize("source", [*BUNDLED, *CORPUS])
def test_the_page_shows_no_damage_by_ours_and_some_work(source: str) -> None:
    _, rows = read_tables(source)
    ours = [row for row in rows if row["way"].startswith("msys-track")]
    assert len(ours) == 2
    for row in ours:
        assert {row[name] for name in NO_DAMAGE} == {"0"}
        assert row["links wrapped"] != "0"


@pytest.mark.parametrize("source", BUNDLED)
def test_the_page_is_of_the_inputs_that_come_with_the_package(source: str) -> None:
    inputs, rows = read_tables(source)
    assert inputs == Counter(each.source for each in list_bundled())[source], "run: make fidelity"
    assert len(rows) == 8, "not all peers were installed"
