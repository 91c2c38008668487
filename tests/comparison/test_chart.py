"""Comparisons as a picture."""

import re
from xml.etree import ElementTree as ET

import pytest
from tests.comparison.results import OURS, comparison, failed, measured

from msys_track.comparison import chart

SVG = "{http://www.w3.org/2000/svg}"
PEERS = (
    measured("quick", 1),
    measured("damaging <peer>", 2, structures=3),
    measured("slow", 3),
)


def draw(*results: object) -> ET.Element:
    drawn = chart.draw([comparison(*results)], remark="here & now")  # type: ignore[arg-type]
    return ET.fromstring(drawn)  # noqa: S314 - our own


def bars(svg: ET.Element) -> list[tuple[str | None, float]]:
    rects = svg.findall(f"{SVG}rect")[1:]  # the first is the ground
    return [(each.get("class"), float(each.get("width", "0"))) for each in rects]


def texts(svg: ET.Element) -> list[str]:
    return [each.text or "" for each in svg.iter(f"{SVG}text")]


def test_a_bar_is_as_long_as_its_time() -> None:
    (_, ours), (_, quick), (_, damaging), (_, slow) = bars(draw(OURS, *PEERS))
    assert damaging / slow == pytest.approx(2 / 3, abs=0.001)
    assert quick / slow == pytest.approx(1 / 3, abs=0.001)
    assert 0 < ours < quick


def test_who_damages_the_mail_looks_so_and_has_the_count_beside_it() -> None:
    svg = draw(OURS, *PEERS)
    assert [look for look, _ in bars(svg)] == ["ours", "theirs", "damaged", "theirs"]
    assert [text for text in texts(svg) if "structure" in text] == ["3 structures"]


def test_a_bar_far_longer_than_all_others_is_cut_and_keeps_its_time() -> None:
    svg = draw(OURS, *PEERS, measured("far slower", 3_000))
    (_, slow), (_, far) = bars(svg)[-2:]
    assert slow < far < 1.1 * slow
    assert len(svg.findall(f"{SVG}path[@class='ground']")) == 1
    assert "3,000 ms" in texts(svg)


def test_who_failed_has_no_bar() -> None:
    assert len(bars(draw(OURS, failed("peer")))) == 1


def test_it_is_read_to_those_who_do_not_see_it() -> None:
    svg = draw(OURS, *PEERS)
    assert svg.get("role") == "img"
    named = (svg.get("aria-labelledby") or "").split()
    title, desc = (svg.find(f"*[@id='{name}']") for name in named)
    assert title is not None
    assert title.text == "CPU time to track one mail for one recipient"
    assert desc is not None
    assert desc.text == (
        "a <letter>: 0.0 kB of HTML, 5 links: msys-track 0.100 ms; quick 1.0 1.00 ms; "
        "damaging <peer> 1.0 2.00 ms, damage: 3 structures; slow 1.0 3.00 ms."
    )


def test_on_a_dark_page_every_colour_is_another_one() -> None:
    svg = draw(OURS, *PEERS)
    style = svg.findtext(f"{SVG}style") or ""
    assert style.startswith("@media (prefers-color-scheme: dark) {")
    dark = dict(re.findall(r"\.(\w+) \{ ((?:fill|stroke): #\w+) \}", style))
    painted = [each for each in svg.iter() if each.get("class")]
    assert painted
    for each in painted:
        attribute, colour = dark[each.get("class", "")].split(": ")
        assert each.get(attribute) not in (None, "none", colour)


def test_a_viewer_without_style_sheets_has_a_colour_for_everything() -> None:
    svg = draw(OURS, *PEERS, measured("far slower", 3_000))
    shapes = [
        each for each in svg.iter() if each.tag.removeprefix(SVG) in ("rect", "path", "text")
    ]
    assert all(each.get("fill") or each.get("stroke") for each in shapes)


def test_where_it_was_measured_and_who_encrypts_stand_below() -> None:
    sealers, where = texts(draw(OURS, *PEERS))[-2:]
    assert sealers.startswith("Only msys-track encrypts each link. ")
    assert where == "here & now"
