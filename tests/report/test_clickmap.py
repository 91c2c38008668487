"""The click map: its numbers are those of the events, and a mail in it can do nothing."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.report.shop import CAMPAIGN, FIRST, LAST, make_events, make_shop
from tests.report.visitor import make_visitor
from tests.sinks.store.events import AT, batch, line

from msys_track.kept_mail.form import KeptLink, KeptMail, list_mails, name_shape, save_mail
from msys_track.report import clickmap
from msys_track.report.settings import ReportSettings
from msys_track.sinks.store.rows import READERS, read_fields
from msys_track.sinks.store.sink import SqliteSink

DAYS = f"from={FIRST}&to={LAST}"
HOSTILE = """<!DOCTYPE html><html><head><base href="https://evil.example/">
<meta http-equiv="refresh" content="0;url=https://evil.example/">
<style>a::after{content:none!important;display:none!important}
a[href="#msys-html-1"]::after{content:"100 %"!important}</style>
<script>top.location='https://evil.example/'</script></head><body onload="alert(1)">
<svg><script>alert(2)</script></svg><form action="https://evil.example/"><input></form>
<img src="https://evil.example/pixel.gif" onerror="alert(3)">
<a href="#msys-html-1" ping="https://evil.example/">one</a>
<map><area href="#msys-html-2"></map></body></html>"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    make_shop(folder)
    return folder


def visit(folder: Path, **settings: bool) -> TestClient:
    return make_visitor(
        folder / "events.sqlite",
        clickmap.ROUTES,
        kept_mail=folder / "kept-mail",
        settings=ReportSettings(**settings),  # type: ignore[arg-type]
    )


def count_clicks(who: str) -> dict[tuple[str, int], int]:
    """A plain script's count of the campaign's clicks by place."""
    events = [read_fields(each) for each in make_events()]
    later = {
        each["x_msys_track"]["reclassifies"]: each["x_msys_track"]["class"]
        for each in events
        if each["type"] == "reclassified"
    }
    found: dict[tuple[str, int], int] = {}
    for each in events:
        day = int(each["timestamp"]) // 86_400 - LAST.toordinal() + 719_163
        if each["type"] != "click" or each["campaign_id"] != CAMPAIGN or day > 0:
            continue
        own = each["x_msys_track"]
        reader = READERS[later.get(each["event_id"], own["class"])]
        if who in {"all", reader}:
            position = own["target_link_position"]
            key = (position["part"], position["number"])
            found[key] = found.get(key, 0) + 1
    return found


@pytest.mark.parametrize("who", ["people", "machines", "all"])
def test_the_clicks_at_each_link_are_those_of_a_plain_script(shop: Path, who: str) -> None:
    wanted = count_clicks(who)
    [mail] = [each for each in list_mails(shop / "kept-mail", CAMPAIGN) if len(each.links) == 4]
    for part in ("html", "text"):
        answer = visit(shop).get(
            f"/campaign/clicks?name={CAMPAIGN}&{DAYS}&who={who}&part={part}&shape={mail.shape}"
        )
        assert answer.status_code == 200
        table = answer.text.partition("<tbody>")[2].partition("</tbody>")[0]
        rows = re.findall(r'>(\w+) (\d+)</th>.*?class="number">([\d,]+)<', table)
        found = {(row[0], int(row[1])): int(row[2].replace(",", "")) for row in rows}
        assert found == {key: count for key, count in wanted.items() if key[0] == part}


def test_a_campaign_without_kept_mail_says_what_to_do_and_shows_its_clicks(shop: Path) -> None:
    page = visit(shop).get(f"/campaign/clicks?name=Newsletter 48&{DAYS}").text
    assert "keep_messages = true" in page
    assert "https://shop.example/offers/coat" in page


def test_a_report_without_kept_mail_has_no_frame(shop: Path) -> None:
    client = make_visitor(shop / "events.sqlite", clickmap.ROUTES)
    assert client.get(f"/campaign/clicks?name={CAMPAIGN}").status_code == 200
    assert client.get(f"/campaign/clicks/frame?name={CAMPAIGN}").status_code == 404


@pytest.mark.parametrize("shape", ["", "../../users", "0" * 16, "%00"])
def test_a_frame_of_no_mail_is_404(shop: Path, shape: str) -> None:
    answer = visit(shop).get(f"/campaign/clicks/frame?name={CAMPAIGN}&shape={shape}")
    assert answer.status_code == 404


@pytest.fixture
def hostile(tmp_path: Path) -> tuple[Path, KeptMail]:
    """A kept mail that tries what it can, and one click in the store."""
    links = tuple(
        KeptLink(part="html", number=number, name=f'"}}</style><script>{number}', target="x:")
        for number in (1, 2)
    )
    mail = KeptMail(
        campaign="<b>", shape=name_shape(links), kept_at=AT, subject="<script>alert(4)</script>",
        html=HOSTILE, text="<script>alert(5)</script> #msys-html-1", links=links,
    )  # fmt: skip
    save_mail(tmp_path / "kept-mail", mail)

    async def fill() -> None:
        own = {"target_link_position": {"part": "html", "number": 1}}
        clicked = line(campaign_id="<b>", target_link_name=links[0].name, own=own)
        async with SqliteSink(tmp_path / "events.sqlite") as sink:
            await sink.write(batch(clicked))

    asyncio.run(fill())
    return tmp_path, mail


def test_a_mail_is_shown_in_a_frame_that_can_do_nothing(hostile: tuple[Path, KeptMail]) -> None:
    folder, mail = hostile
    query = f"name=%3Cb%3E&from=2023-11-14&to=2023-11-14&shape={mail.shape}"
    answer = visit(folder).get(f"/campaign/clicks/frame?{query}")
    policy = answer.headers["Content-Security-Policy"]
    directives = dict(each.strip().partition(" ")[::2] for each in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["sandbox"] == ""
    assert "script-src" not in directives
    assert directives["img-src"] == "data:"
    assert directives["base-uri"] == directives["form-action"] == "'none'"
    assert directives["frame-ancestors"] == "'self'"
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert answer.headers["X-DNS-Prefetch-Control"] == "off"
    assert answer.headers["Cache-Control"] == "no-store"
    # Ours comes first, and nothing of a name or a target is in it.
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    assert answer.text.lower().startswith("<!doctype html>")
    assert "100.0 %" in style
    assert "script" not in style


def test_pages_quote_a_mail_and_frame_it_without_any_right(
    hostile: tuple[Path, KeptMail],
) -> None:
    folder, mail = hostile
    query = f"name=%3Cb%3E&from=2023-11-14&to=2023-11-14&shape={mail.shape}"
    for part in ("html", "text"):
        page = visit(folder).get(f"/campaign/clicks?{query}&part={part}").text
        assert "<script>" not in page
        assert "&lt;script&gt;alert(4)" in page
        if part == "html":
            assert '<iframe class="mail" sandbox=""' in page


def test_remote_images_are_loaded_only_where_that_is_allowed(shop: Path) -> None:
    [mail, *_] = list_mails(shop / "kept-mail", CAMPAIGN)
    address = f"/campaign/clicks/frame?name={CAMPAIGN}&shape={mail.shape}"
    policy = visit(shop, allow_remote_images=True).get(address).headers["Content-Security-Policy"]
    assert "img-src data: http: https:;" in policy


def test_a_text_is_cut_at_its_links() -> None:
    link = KeptLink(part="text", number=1, name="", target="https://a.example/")
    place = clickmap.Place(link=link, clicks=1, share=1.0)
    pieces = list(clickmap.split_text("a #msys-text-1 b #msys-text-10", [place]))
    assert pieces == [("a ", place), (" b #msys-text-10", None)]


def test_colours_grow_with_the_share() -> None:
    link = KeptLink(part="text", number=1, name="", target="https://a.example/")
    place = clickmap.Place(link=link, clicks=0, share=0.0)
    shares = (0.0, 0.05, 0.2, 0.4, 0.9)
    assert len({replace(place, share=share).colour for share in shares}) == len(shares)


def test_a_mail_of_text_alone_is_shown_as_text(tmp_path: Path) -> None:
    links = (KeptLink(part="text", number=1, name="", target="https://shop.example/"),)
    mail = KeptMail(
        campaign="Plain", shape=name_shape(links), kept_at=AT, subject="Hi", html="",
        text="<b>Hello</b>", links=links,
    )  # fmt: skip
    save_mail(tmp_path / "kept-mail", mail)

    async def fill() -> None:
        async with SqliteSink(tmp_path / "events.sqlite") as sink:
            await sink.write(batch(line(campaign_id="Plain")))

    asyncio.run(fill())
    query = f"name=Plain&from=2023-11-14&to=2023-11-14&shape={mail.shape}"
    answer = visit(tmp_path).get(f"/campaign/clicks/frame?{query}")
    assert answer.status_code == 200
    assert "<pre>&lt;b&gt;Hello&lt;/b&gt;</pre>" in answer.text
