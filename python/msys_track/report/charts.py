"""Charts as SVG, from numbers: coloured by class alone, as wide as the page, with text that stays.

A chart says what it shows in its title and its description, and a page has the same numbers in a
table beside it. Texts may be anybody's: they are escaped here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from markupsafe import Markup

_PLOT_HEIGHT: Final = 160
# Above the plot there is place for the number at its upper line, below for the days.
_TOP: Final = 18
_BOTTOM: Final = 24
_MAX_LABELS: Final = 4
# In the units of the plot's own box, which is drawn as wide as there is room.
_STEP: Final = 10
_BAR: Final = 8
_ROW_HEIGHT: Final = 40
_MAX_LABEL: Final = 36
# Half of each is a number of few digits too.
_ROUND_UNITS: Final = (1, 2, 4, 6, 8, 10)
_ROUND_STEPS: Final = (1, 2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers of one kind.

    Attributes:
        kind: The class of its marks: `sent`, `people`, `machines` or `unknown`.
        values: None is below 0.
    """

    kind: str
    values: Sequence[int]


@dataclass(frozen=True, slots=True)
class Row:
    """One bar of a list.

    Attributes:
        label: Anybody's text.
        parts: The class and the number of each part, in the order that they are drawn in.
    """

    label: str
    parts: Sequence[tuple[str, int]]


def draw_series(
    chart: str, title: str, description: str, labels: Sequence[str], series: Sequence[Series]
) -> Markup:
    """Draw a bar for each label, with a part for each series, one on the other.

    Args:
        chart: Its name on the page, which becomes part of ids.
        title: What it shows.
        description: Its numbers in short.
        labels: One for each value, the earliest first; some of them are shown.
        series: Each with a value for each label.

    Raises:
        ValueError: a series has not as many values as there are labels.
    """
    if any(len(each.values) != len(labels) for each in series):
        raise ValueError(f"{chart}: a series has not {len(labels)} values")
    stacks = [[each.values[place] for each in series] for place in range(len(labels))]
    top = round_up(max((sum(stack) for stack in stacks), default=0))
    height = _TOP + _PLOT_HEIGHT + _BOTTOM
    marks = [
        f'<path class="bar {escape(each.kind)}" d="{path}"/>'
        for place, each in enumerate(series)
        if (path := "".join(_outline(stacks, place, top)))
    ]
    # Its box is stretched, so that bars fill the width and the text beside them is not distorted.
    plot = (
        f'<svg y="{_TOP}" width="100%" height="{_PLOT_HEIGHT}" preserveAspectRatio="none"'
        f' viewBox="0 0 {_STEP * max(len(labels), 1)} {_PLOT_HEIGHT}">{"".join(marks)}</svg>'
    )
    parts = [*_draw_grid(top), plot, *_draw_scale(top), *_draw_labels(labels)]
    return _wrap(chart, title, description, height, parts)


def draw_rows(chart: str, title: str, description: str, rows: Sequence[Row]) -> Markup:
    """Draw a list of bars, each with its label above, and its numbers at the end of that line.

    Args:
        chart: Its name on the page, which becomes part of ids.
        title: What it shows.
        description: Its numbers in short.
        rows: From top to bottom; the longest bar is as wide as the chart.
    """
    top = max((_total(row) for row in rows), default=0) or 1
    parts: list[str] = []
    for place, row in enumerate(rows):
        y = place * _ROW_HEIGHT
        parts += (
            f'<text x="0" y="{y + 14}">{escape(shorten(row.label))}</text>',
            f'<text class="value" x="100%" y="{y + 14}" text-anchor="end">{_write(row)}</text>',
        )
        begin = 0
        for kind, number in row.parts:
            if number > 0:
                parts.append(
                    f'<rect class="bar {escape(kind)}" x="{_percent(begin, top)}" y="{y + 20}"'
                    f' width="{_percent(number, top)}" height="10"/>'
                )
                begin += number
    return _wrap(chart, title, description, max(len(rows), 1) * _ROW_HEIGHT, parts)


def round_up(number: int) -> int:
    """Return what an axis ends at: a round number, at least 1, not below the given one."""
    power = int("1".ljust(len(str(max(number, 1))), "0"))
    steps = _ROUND_UNITS if power == 1 else _ROUND_STEPS
    return next(step * power for step in steps if step * power >= number)


def shorten(text: str) -> str:
    """Return a text that fits above a bar; the table has all of it."""
    return text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 1]}…"


def _outline(stacks: Sequence[Sequence[int]], place: int, top: int) -> Iterator[str]:
    for number, stack in enumerate(stacks):
        if stack[place] > 0:
            left = _STEP * number + (_STEP - _BAR) // 2
            upper = _PLOT_HEIGHT - _scale(sum(stack[: place + 1]), top)
            tall = _scale(stack[place], top)
            yield f"M{left} {upper:g}h{_BAR}v{tall:g}h-{_BAR}z"


def _draw_grid(top: int) -> Iterator[str]:
    for number in (0, *_list_scale(top)):
        y, kind = _find_height(number, top), "grid" if number else "axis"
        yield f'<line class="{kind}" x1="0" x2="100%" y1="{y:g}" y2="{y:g}"/>'


def _draw_scale(top: int) -> Iterator[str]:
    """Draw the number of each line above it, over the bars."""
    for number in _list_scale(top):
        y = _find_height(number, top) - 4
        yield f'<text class="scale" x="0" y="{y:g}">{number:,.10g}</text>'


def _list_scale(top: int) -> Sequence[float]:
    return (top / 2, top) if top > 1 else (top,)


def _find_height(number: float, top: int) -> float:
    return _TOP + _PLOT_HEIGHT - _scale(number, top)


def _draw_labels(labels: Sequence[str]) -> Iterator[str]:
    """Draw some labels, each under its bar; the first and the last one keep within the chart."""
    y = _TOP + _PLOT_HEIGHT + 16
    last = len(labels) - 1
    count = min(len(labels), _MAX_LABELS)
    for place in sorted({round(last * each / max(count - 1, 1)) for each in range(count)}):
        x, anchor = _percent(2 * place + 1, 2 * len(labels)), "middle"
        if len(labels) > _MAX_LABELS and place in {0, last}:
            x, anchor = ("0", "start") if place == 0 else ("100%", "end")
        yield f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(labels[place])}</text>'


def _wrap(chart: str, title: str, description: str, height: int, parts: Sequence[str]) -> Markup:
    name = escape(chart)
    lines = "\n".join(parts)
    return Markup(  # noqa: S704 - each text in it has been escaped
        f'<svg class="chart" role="img" width="100%" height="{height}"'
        f' aria-labelledby="{name}-title {name}-description">\n'
        f'<title id="{name}-title">{escape(title)}</title>\n'
        f'<desc id="{name}-description">{escape(description)}</desc>\n'
        f"{lines}\n</svg>"
    )


def _scale(number: float, top: int) -> float:
    return round(_PLOT_HEIGHT * number / top, 2)


def _percent(number: int, of: int) -> str:
    return f"{round(100 * number / of, 3):g}%"


def _total(row: Row) -> int:
    return sum(number for _, number in row.parts)


def _write(row: Row) -> str:
    return " + ".join(f"{number:,}" for _, number in row.parts)
