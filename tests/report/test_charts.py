"""Charts: what they draw of their numbers, held in files, and that labels stay text."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.report.charts import (
    Row,
    Series,
    draw_rows,
    draw_series,
    round_up,
)

GOLDEN = Path(__file__).parent / "golden"
DAYS = [f"2023-11-{day:02}" for day in range(1, 8)]
PARTS = [
    Series("people", [3, 0, 12, 1, 0, 0, 5]),
    Series("machines", [1, 0, 8, 0, 2, 0, 5]),
    Series("unknown", [0, 0, 2, 0, 0, 0, 1]),
]
ROWS = [
    Row("Summer Sale", [("people", 1200), ("machines", 300), ("unknown", 0)]),
    Row("A name that is longer than there is room for above a bar", [("people", 7)]),
    Row("Nobody", [("people", 0), ("machines", 0), ("unknown", 0)]),
]


def read(chart: str) -> ET.Element:
    return ET.fromstring(chart)  # noqa: S314 - our own


def list_bars(chart: str) -> list[float]:
    """The height of each bar of each series, in the order they are drawn."""
    paths = read(chart).findall(".//path")
    return [
        float(each.partition("v")[2].partition("h")[0])
        for path in paths
        for each in path.attrib["d"].split("M")[1:]
    ]


@pytest.mark.parametrize(
    ("name", "chart"),
    [
        ("series.svg", draw_series("opened", "Opens", "People: 21.", DAYS, PARTS)),
        ("one.svg", draw_series("sent", "Sent", "1.", DAYS[:1], [Series("sent", [1])])),
        ("none.svg", draw_series("sent", "Sent", "Nothing.", [], [Series("sent", [])])),
        ("rows.svg", draw_rows("campaigns", "Campaigns", "By people + machines.", ROWS)),
        ("no_rows.svg", draw_rows("campaigns", "Campaigns", "Nothing.", [])),
    ],
)
def test_a_chart_is_the_one_that_was_looked_at(name: str, chart: str) -> None:
    assert f"{chart}\n" == (GOLDEN / name).read_text("utf-8")


HOSTILE = "</text></svg><script>alert('x')</script>\"&{{ 1 }}\u202e"


def test_a_label_stays_text() -> None:
    series = draw_series(HOSTILE, HOSTILE, HOSTILE, [HOSTILE], [Series(HOSTILE, [1])])
    rows = draw_rows(HOSTILE, HOSTILE, HOSTILE, [Row(HOSTILE, [(HOSTILE, 1)])])

    for chart in (series, rows):
        tree = read(chart)
        assert {each.tag for each in tree.iter()} <= {
            "svg", "title", "desc", "line", "path", "rect", "text",
        }  # fmt: skip
        assert tree.findtext("title") == HOSTILE
        assert tree.findtext("desc") == HOSTILE
    assert HOSTILE in [each.text for each in read(series).iter("text")]


def test_nothing_is_styled_inline_or_loaded() -> None:
    chart = draw_series("opened", "Opens", "People: 21.", DAYS, PARTS) + draw_rows(
        "campaigns", "Campaigns", "", ROWS
    )

    for word in ("style", "href", "url(", "fill=", "on"):
        assert f" {word}=" not in chart
        assert "url(" not in chart


def test_a_chart_has_a_name_and_a_description() -> None:
    tree = read(draw_series("opened", "Opens", "People: 21.", DAYS, PARTS))

    named = [tree.find(f".//*[@id='{each}']") for each in tree.attrib["aria-labelledby"].split()]
    assert tree.attrib["role"] == "img"
    assert [each.text for each in named if each is not None] == ["Opens", "People: 21."]


def test_a_series_without_a_value_for_each_label_is_refused() -> None:
    with pytest.raises(ValueError, match="7 values"):
        draw_series("opened", "Opens", "", DAYS, [Series("people", [1])])


@given(st.lists(st.integers(0, 10**6), max_size=130))
def test_each_bar_is_as_tall_as_its_number(values: list[int]) -> None:
    labels = [str(each) for each in range(len(values))]
    bars = list_bars(draw_series("sent", "Sent", "", labels, [Series("sent", values)]))

    top = round_up(max(values, default=0))
    assert bars == [pytest.approx(160 * each / top, abs=0.01) for each in values if each]


@given(st.integers(0, 10**12))
def test_an_axis_ends_at_a_round_number_not_far_above(number: int) -> None:
    top = round_up(number)

    assert max(number, 1) <= top <= max(2 * number, 1)
    assert len(str(top).rstrip("0")) == 1
