"""Comparisons as one picture: SVG by hand, for light and dark pages and for readers who listen.

Bars are times on a scale from zero, one scale for each mail: a shorter bar is faster. One that is
far longer than all others is cut, else the others could not be told apart. Whoever damages the
mail has a hollow bar, and the count beside it.
"""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

from msys_track.comparison.measure import Comparison, Measured
from msys_track.comparison.table import describe_damage, format_digits, format_time

_WIDTH: Final = 920
_MARGIN: Final = 20
_NAMES: Final = 222
"""Where names end and bars begin."""
_BAR: Final = 290
"""The longest bar; its time stands behind it."""
_RATIO: Final = 660
_BYTES: Final = 762
_DAMAGE: Final = 780
_ROW: Final = 24
_HEAD: Final = 46
_CUT: Final = 16
"""How much longer a cut bar is drawn than the longest other."""
_HEADING: Final = 36
_FAR: Final = 3.0
"""A bar so many times as long as the next one is cut."""
_FOOT: Final = 76

_FONT: Final = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif"
_ATTRIBUTES: Final = (
    'xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc" '
    f'font-family="{_FONT}"'
)
_TITLE: Final = "CPU time to track one mail for one recipient"
_NOTE: Final = (
    "A shorter bar is faster. Dashed: readers get another mail than was sent. "
    "Next recipient: the mail was read for one before."
)


class _Colour(NamedTuple):
    """What a class of shapes is painted with, on light pages and on dark ones."""

    of: str
    """The attribute: `fill` or `stroke`."""
    light: str
    dark: str


# Attributes for every viewer; those that know style sheets and the reader's wish get the others.
_COLOURS: Final = {
    "ground": _Colour("fill", "#ffffff", "#0d1117"),
    "ink": _Colour("fill", "#1f2328", "#f0f6fc"),
    "dim": _Colour("fill", "#59636e", "#9198a1"),
    "ours": _Colour("fill", "#0969da", "#4493f8"),
    "theirs": _Colour("fill", "#8c959f", "#6e7681"),
    "bad": _Colour("fill", "#b3261e", "#ff8a80"),
    "damaged": _Colour("stroke", "#b3261e", "#ff8a80"),
    "line": _Colour("stroke", "#d1d9e0", "#3d444d"),
}
_DARK: Final = "\n".join(
    f".{name} {{ {colour.of}: {colour.dark} }}" for name, colour in _COLOURS.items()
)


class _Bar(NamedTuple):
    result: Measured
    seconds: float
    slower: float
    bytes_changed: int
    damage: str


def draw(comparisons: Sequence[Comparison], *, remark: str) -> str:
    """Draw comparisons below each other.

    Args:
        comparisons: one panel each.
        remark: where and when it was measured; stands at the bottom.
    """
    parts = [_text(_MARGIN, _MARGIN + 16, _TITLE, size=17, is_bold=True)]
    top = _MARGIN + _HEADING
    for comparison in comparisons:
        bars = _list_bars(comparison)
        parts.extend(_draw_panel(comparison, bars, top))
        top += _HEAD + _ROW * len(bars) + _MARGIN
    height = top + _FOOT - _MARGIN
    for up, line in zip((54, 36, 18), (_NOTE, _name_sealers(comparisons), remark), strict=True):
        parts.append(_text(_MARGIN, height - up, line, "dim", size=12))
    return "\n".join(
        [
            f'<svg {_ATTRIBUTES} viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}">',
            f'<title id="title">{escape(_TITLE)}</title>',
            f'<desc id="desc">{escape(_describe(comparisons))}</desc>',
            f"<style>@media (prefers-color-scheme: dark) {{\n{_DARK}\n}}</style>",
            f'<rect {_paint("ground")} width="{_WIDTH}" height="{height}" rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _name_sealers(comparisons: Sequence[Comparison]) -> str:
    """Say who does more than the others."""
    results = [each for comparison in comparisons for each in comparison.results]
    sealers = dict.fromkeys(each.name for each in results if each.seals and not each.is_ours)
    names = " and ".join(["msys-track", *sealers])
    return (
        f"Only {names} encrypt{'' if sealers else 's'} each link. "
        "Only msys-track reads the mail, the others get its HTML."
    )


def _list_bars(comparison: Comparison) -> Sequence[_Bar]:
    return [
        _Bar(
            each,
            each.times.median,
            each.slower.median,
            each.work.bytes_changed,
            describe_damage(each.work),
        )
        for each in comparison.results
        if each.work is not None and each.times is not None and each.slower is not None
    ]


def _draw_panel(comparison: Comparison, bars: Sequence[_Bar], top: int) -> Iterator[str]:
    longest = _find_scale([bar.seconds for bar in bars])
    yield _text(_MARGIN, top + 14, comparison.title, size=14, is_bold=True)
    yield _text(_RATIO, top + 34, "times ours", "dim", size=12, is_end=True)
    yield _text(_BYTES, top + 34, "bytes changed", "dim", size=12, is_end=True)
    yield _text(_DAMAGE, top + 34, "damage", "dim", size=12)
    ground = top + _HEAD - 6
    yield f'<path {_paint("line")} d="M{_MARGIN} {ground}H{_WIDTH - _MARGIN}"/>'
    for number, bar in enumerate(bars):
        yield from _draw_bar(bar, bar.seconds / longest, top + _HEAD + _ROW * number)


def _find_scale(times: Sequence[float]) -> float:
    """Return the time of the longest bar that is not cut."""
    ordered = sorted(times)
    return ordered[-2] if len(ordered) > 1 and ordered[-1] > _FAR * ordered[-2] else ordered[-1]


def _draw_bar(bar: _Bar, share: float, top: int) -> Iterator[str]:
    length = min(max(1.5, share * _BAR), _BAR + _CUT)
    is_ours = bar.result.is_ours
    look = "ours" if is_ours else "damaged" if bar.damage else "theirs"
    base = top + 13
    yield _text(_NAMES - 8, base, bar.result.title, is_end=True, is_bold=is_ours)
    yield (
        f'<rect {_paint(look)} x="{_NAMES}" y="{top + 2}" width="{length:.1f}" height="14" '
        'rx="2"/>'
    )
    if share > 1:
        at = _NAMES + length - 2 * _CUT
        yield f'<path {_paint("ground")} d="M{at} {top + 18}l6 -18h5l-6 18z"/>'
    yield _text(_NAMES + length + 6, base, f"{format_time(bar.seconds)} ms", is_bold=is_ours)
    times = f"{format_digits(bar.slower)} \N{MULTIPLICATION SIGN}"
    yield _text(_RATIO, base, times, is_end=True, is_bold=is_ours)
    yield _text(_BYTES, base, f"{bar.bytes_changed:,}", is_end=True)
    if bar.damage:
        yield _text(_DAMAGE, base, bar.damage, "bad")
    else:
        yield _text(_DAMAGE, base, "none", "dim", size=12)


def _text(  # noqa: PLR0913 - one a property of a text
    x: float,
    y: float,
    text: str,
    look: str = "ink",
    *,
    size: int = 13,
    is_bold: bool = False,
    is_end: bool = False,
) -> str:
    attributes = [f'x="{x:.4g}" y="{y}"', _paint(look), f'font-size="{size}"']
    if is_bold:
        attributes.append('font-weight="600"')
    if is_end:
        attributes.append('text-anchor="end"')
    return f"<text {' '.join(attributes)}>{escape(text, quote=False)}</text>"


def _paint(look: str) -> str:
    """Write the class of a shape, and its colour for viewers that know no classes."""
    colour = _COLOURS[look]
    hollow = ' fill="none" stroke-dasharray="4 2"' if look == "damaged" else ""
    return f'class="{look}" {colour.of}="{colour.light}"{hollow}'


def _describe(comparisons: Sequence[Comparison]) -> str:
    """Say what the picture shows, for readers who don't see it."""
    return " ".join(
        f"{comparison.title}: "
        + "; ".join(
            f"{bar.result.title} {format_time(bar.seconds)} ms"
            + (f", damage: {bar.damage}" if bar.damage else "")
            for bar in _list_bars(comparison)
        )
        + "."
        for comparison in comparisons
    )
