"""The report in a browser: every page, by keyboard, at three widths and in both colour schemes.

`make pictures` has this file write the pictures of `docs/`.
"""

import os
import re
import struct
from collections.abc import Iterator
from itertools import cycle, product
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson
import pytest
from selenium.webdriver.common.keys import Keys
from tests.report import made_day, stage
from tests.report.browser import Browser, find_axe, run_browser
from tests.report.made_day import DAYS
from tests.thoroughness import IS_THOROUGH, some_of

# A browser of its own and many pages: more than other tests have.
pytestmark = pytest.mark.timeout(180)

WIDTHS: Final = (360, 820, 1440)
SCHEMES: Final = ("light", "dark")
LINES: Final = made_day.make_day()
SALE: Final = "/campaign?name=Autumn+sale&" + DAYS
CLICKS: Final = "/campaign/clicks?name=Autumn+sale&" + DAYS


def find_reader() -> dict[str, Any]:
    """A reader's event that was judged anew."""
    events = [fields for line in LINES for fields in orjson.loads(line)["msys"].values()]
    return next(each for each in events if each["type"] == "reclassified")


READER: Final = find_reader()
PAGES: Final = {
    "overview": f"/?{DAYS}",
    "overview-of-all-events": f"/?{DAYS}&count=total&what=clicked",
    "no-numbers": "/?from=2020-01-01&to=2020-01-02",
    "campaigns": f"/campaigns?{DAYS}",
    "campaign": SALE,
    "unknown-campaign": "/campaign?name=nobody",
    "domains": f"/groups?by=domain&{DAYS}",
    "message": f"/message/{READER['message_id']}",
    "recipient": f"/recipient?address={quote(READER['rcpt_to'])}",
    "search": "/search?q=a",
    "nothing-found": "/search?q=nobody",
    "click-map": CLICKS,
    "click-map-of-text": f"{CLICKS}&part=text&who=machines",
    "click-map-without-mail": "/campaign/clicks?name=nobody",
    "no-such-page": "/no-such-page",
    "bad-day": "/?from=yesterday",
}
_NOT_THERE: Final = re.compile(r"status of 40[04] \((Not Found|Bad Request)\)")
# They stand in docs/: at this width, in this scheme.
PICTURES: Final = {
    "overview": (1440, "light"),
    "campaign": (820, "dark"),
    "click-map": (1440, "light"),
    "message": (360, "light"),
}
HEIGHT: Final = 1500


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("stage")
    made_day.keep_mails(folder / stage.KEPT_MAIL)
    running = stage.start(folder, LINES)
    try:
        with run_browser(running) as found:
            found.log_in()
            yield found
    finally:
        running.server.kill()


# By default each page once, and each scheme at each width a few times.
@pytest.mark.parametrize(
    ("name", "scheme", "width"),
    list(
        product(PAGES, SCHEMES, WIDTHS)
        if IS_THOROUGH
        else zip(PAGES, cycle(SCHEMES), cycle(WIDTHS), strict=False)
    ),
)
def test_no_page_has_a_barrier_or_a_fault_or_is_wider_than_the_window(
    browser: Browser, name: str, scheme: str, width: int
) -> None:
    axe = find_axe()
    browser.list_faults()
    browser.resize(width, scheme)
    browser.open(PAGES[name])
    assert browser.find_barriers(axe) == []
    # That a page is not there is a fault to the console.
    assert [each for each in browser.list_faults() if not _NOT_THERE.search(each)] == []
    for each in (width, *WIDTHS):  # as it came, and as it is when the window changes
        browser.resize(each, scheme)
        assert browser.run("return document.documentElement.scrollWidth") <= each


def test_a_stranger_logs_in_and_comes_to_the_page_that_they_wanted(browser: Browser) -> None:
    axe = find_axe()
    with browser.stranger():
        for scheme in SCHEMES:
            browser.resize(WIDTHS[0], scheme)
            browser.open(PAGES["campaign"])
            assert browser.title == "Log in · msys-track"
            assert browser.find_barriers(axe) == []
        browser.send_login()
        assert browser.title == "Campaign Autumn sale · msys-track"


def test_who_logs_out_sees_nothing_more_not_even_by_going_back(browser: Browser) -> None:
    with browser.stranger():
        browser.open("/login")
        browser.send_login()
        browser.open(PAGES["campaign"])
        browser.run("document.querySelector('form.logout').requestSubmit()")
        browser.wait("return document.title.startsWith('Log in')")
        browser.driver.back()
        browser.wait("return document.title.startsWith('Log in')")
        browser.open(PAGES["campaign"])
        assert browser.title == "Log in · msys-track"


def test_pictures_are_taken_at_three_widths_in_both_schemes(
    browser: Browser, tmp_path: Path
) -> None:
    wanted = os.environ.get("MSYS_TRACK_PICTURES")
    folder = Path(wanted or tmp_path)
    cases = list(product(PICTURES, WIDTHS, SCHEMES))
    seen = set()
    # By default each page, each width and each scheme, but not all with all.
    for name, width, scheme in cases if wanted else some_of(cases, 5):
        browser.resize(width, scheme, height=HEIGHT)
        browser.open(PAGES[name])
        picture = browser.take_picture()
        assert struct.unpack(">II", picture[16:24]) == (width, HEIGHT)
        assert picture not in seen
        seen.add(picture)
        if (width, scheme) == PICTURES[name]:
            (folder / f"report-{name}.png").write_bytes(picture)


def test_a_dark_page_is_dark(browser: Browser) -> None:
    colours = []
    for scheme in SCHEMES:
        browser.resize(820, scheme)
        browser.open("/search")
        found = browser.run("return getComputedStyle(document.documentElement).backgroundColor")
        if found == "rgba(0, 0, 0, 0)":
            found = browser.run("return getComputedStyle(document.body).backgroundColor")
        colours.append(sum(int(each) for each in found[4:-1].split(",")[:3]))
    assert colours[0] > 600
    assert colours[1] < 200


@pytest.mark.parametrize("name", ["overview", "campaign", "click-map", "search", "recipient"])
def test_all_of_a_page_is_reached_by_the_keyboard_and_focus_is_seen(
    browser: Browser, name: str
) -> None:
    browser.resize(1440)
    browser.open(PAGES[name])
    browser.run("document.activeElement.blur()")
    stops = browser.count_stops()
    assert stops > 5
    places: list[int] = []
    for _ in range(3 * stops):  # the field of a date has three stops and a button
        browser.press(Keys.TAB)
        focus = browser.find_focus()
        if focus is None or (places and focus["place"] == places[0]):
            break
        if not places:
            assert focus["text"] == "Skip to content"
        assert focus["isSeen"], focus
        assert focus["outline"] or focus["tag"] == "IFRAME", focus
        if not places or places[-1] != focus["place"]:
            places.append(focus["place"])
    assert places == sorted(places)
    assert len(places) == stops


def test_the_skip_link_leads_past_the_navigation(browser: Browser) -> None:
    browser.resize(1440)
    browser.open(PAGES["search"])
    browser.run("document.activeElement.blur()")
    browser.press(Keys.TAB, Keys.ENTER)
    assert browser.run("return document.activeElement.id") == "content"
    browser.press(Keys.TAB)
    assert browser.run("return document.activeElement.id") == "q"


def test_one_walks_from_the_overview_to_a_reader_and_back(browser: Browser) -> None:
    browser.resize(1440)
    browser.open(PAGES["overview"])
    browser.click_link("Autumn sale")
    assert browser.title == "Campaign Autumn sale · msys-track"
    browser.click_link("See the clicks on the mail itself")
    assert browser.title == "Clicks on the mail of Autumn sale · msys-track"
    browser.click_link("All numbers of the campaign")
    browser.click_link("Search")
    browser.run("document.getElementById('q').focus()")
    browser.press(READER["rcpt_to"], Keys.ENTER)
    browser.wait("return document.querySelector('tbody a') !== null")
    browser.click_link(READER["rcpt_to"])
    browser.click_link(READER["message_id"][:20])
    assert browser.title == f"Message {READER['message_id']} · msys-track"
    timeline = browser.run("return document.querySelector('.timeline').textContent")
    assert "Many links of the message were followed at once." in timeline
    browser.driver.back()
    assert browser.title.startswith("Recipient ")


def test_days_are_chosen_and_stay_in_the_address(browser: Browser) -> None:
    browser.resize(1440)
    browser.open("/?count=total")
    browser.run(
        "document.getElementById('from').value = arguments[0];"
        "document.getElementById('to').value = arguments[0];"
        "document.querySelector('form.filters').requestSubmit()",
        str(made_day.DAY),
    )
    browser.wait("return location.search.includes('from=2026-11-17')")
    assert browser.run("return location.search") == ("?count=total&from=2026-11-17&to=2026-11-17")
    shown = browser.run("return document.querySelector('.tile dd').textContent")
    sent = sum(b'"injection"' in line for line in LINES)
    assert 0 < int(shown.split()[0].replace(",", "")) <= sent


def test_the_click_map_shows_the_mail_with_its_shares(browser: Browser) -> None:
    browser.resize(1440)
    shown = {}
    for who in ("people", "machines"):
        browser.open(f"{CLICKS}&who={who}")
        rows = browser.run(
            "return [...document.querySelectorAll('.table tbody tr')]"
            ".map(row => row.cells[4].textContent)"
        )[: len(made_day.CAMPAIGNS[0].links)]
        with browser.frame():
            # It has no scripts; what its rules say is read by the driver.
            seen = browser.list_badges()
        assert seen == rows
        shown[who] = seen
    assert shown["people"] != shown["machines"]


def test_live_numbers_come_and_can_be_paused(browser: Browser) -> None:
    browser.resize(820)
    browser.open(PAGES["overview"])
    browser.wait("return document.querySelector('[data-live-state]').textContent.includes('UTC')")
    browser.run("document.querySelector('[data-live-pause]').click()")
    assert browser.run("return document.querySelector('[data-live-state]').textContent") == (
        "Paused."
    )
    browser.run("document.querySelector('[data-live-pause]').click()")
    browser.wait("return document.querySelector('[data-live-state]').textContent.includes('UTC')")


def test_a_printed_page_has_numbers_and_no_controls(browser: Browser) -> None:
    browser.resize(820)
    browser.open(PAGES["campaign"])
    browser.tell("Emulation.setEmulatedMedia", media="print")
    try:
        assert browser.run("return document.querySelector('.tiles').checkVisibility()")
        controls = ".top a, .choices a, input, button, .skip, .exports a"
        seen = (
            "return [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility())"
        )
        assert browser.run(f"{seen}.length", controls) == 0
    finally:
        browser.tell("Emulation.setEmulatedMedia", media="")


@pytest.mark.parametrize("name", some_of(["overview", "campaign", "click-map", "recipient"]))
def test_how_long_the_first_paint_takes_is_noted(
    browser: Browser, name: str, record_property: Any
) -> None:
    browser.resize(1440)
    browser.open(PAGES[name])
    browser.wait("return performance.getEntriesByName('first-contentful-paint').length")
    found = browser.run(
        "return performance.getEntriesByName('first-contentful-paint')[0].startTime"
    )
    record_property("first_paint_ms", found)
    print(f"{name}: first paint after {found:.0f} ms")  # noqa: T201 - shown by -rP
    assert found > 0
