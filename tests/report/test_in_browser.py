"""The report in a browser: for keyboards, phones, both schemes of colour, and those who can't see.

`make pictures` keeps the pictures that docs/ shows.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import pytest
from tests.processes import Server
from tests.report.shop import CAMPAIGN, FIRST, LAST, RECIPIENT, make_shop
from tests.users import PASSWORD

selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

_AXE_VERSION: Final = "4.14.1"
_PICTURES: Final = Path(__file__).parents[2] / "docs" / "images"
_DAYS: Final = {"from": str(FIRST), "to": str(LAST)}
_MESSAGE: Final = f"{8:020x}"  # of the reader below


def _page(path: str, **query: str) -> str:
    return f"{path}?{urlencode({**query, **_DAYS})}"


PAGES: Final = {
    "overview": _page("/"),
    "campaigns": _page("/campaigns"),
    "campaign": _page("/campaign", name=CAMPAIGN),
    "click-map": _page("/campaign/clicks", name=CAMPAIGN, who="people"),
    "click-map-text": _page("/campaign/clicks", name=CAMPAIGN, who="all", part="text"),
    "message": f"/message/{_MESSAGE}",
    "recipient": f"/recipient?{urlencode({'address': RECIPIENT})}",
    "search": "/search?q=reader7",
    "nothing": _page("/campaign", name="No such campaign"),
    "no-page": "/no/such/page",
    "bad-days": "/?from=2026-02-30",
}
WIDTHS: Final = (360, 820, 1440)
SCHEMES: Final = ("light", "dark")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a shop's report."""
    folder = tmp_path_factory.mktemp("shop")
    make_shop(folder)
    (folder / "msys-track.toml").write_text(
        '[report]\nlisten = "127.0.0.1:0"\nusers = "users.toml"\nstore = "events.sqlite"\n',
        encoding="utf-8",
    )
    server = Server(folder, "report").listening()
    yield f"http://127.0.0.1:{server.port}"
    server.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    """Debian's Chromium, without a window."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("chromium was not found; apt-get install chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    made.set_page_load_timeout(60)
    yield made
    made.quit()


@pytest.fixture
def visitor(browser: Chrome, report: str) -> Chrome:
    """Somebody who is logged in, in a window of a usual size."""
    look(browser, 1440, "light")
    browser.get(f"{report}/")
    if browser.find_elements(By.NAME, "password"):
        log_in(browser)
    return browser


def log_in(browser: Chrome) -> None:
    browser.find_element(By.NAME, "user").send_keys("shop")
    browser.find_element(By.NAME, "password").send_keys(PASSWORD, Keys.ENTER)
    WebDriverWait(browser, 30).until(
        lambda browser: browser.find_elements(By.CSS_SELECTOR, "form.logout")
    )


def look(browser: Chrome, width: int, scheme: str) -> None:
    size = {"width": width, "height": 1_000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def read_axe() -> str:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = os.environ.get("AXE_CORE") or cache / "msys-track" / f"axe-core-{_AXE_VERSION}"
    script = Path(folder) / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        pytest.skip("axe-core was not found; scripts/axe-core fetches it")
    return script.read_text(encoding="utf-8")


def find_faults(browser: Chrome, axe: str) -> list[str]:
    """What axe-core finds that keeps somebody from using the page."""
    browser.execute_script(axe)
    found: dict[str, Any] = browser.execute_async_script(
        "const done = arguments[0];"
        "axe.run({iframes: false, runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', "
        "'wcag22aa', 'best-practice']}).then(done, error => done({error: String(error)}));"
    )
    assert "error" not in found, found
    return [
        f"{fault['impact']} {fault['id']}: {fault['nodes'][0]['html'][:120]}"
        for fault in found["violations"]
        if fault["impact"] in {"serious", "critical"}
    ]


def errors_of(browser: Chrome) -> list[str]:
    """What the console says; that a page answers 404 is part of the test."""
    logged: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [each["message"] for each in logged if "status of 4" not in each["message"]]


def test_whoever_is_not_logged_in_sees_the_form_and_comes_to_the_page_they_wanted(
    browser: Chrome, report: str
) -> None:
    look(browser, 820, "light")
    browser.get(f"{report}/")
    browser.delete_all_cookies()
    browser.get(f"{report}{PAGES['campaign']}")
    assert browser.find_elements(By.NAME, "password")
    assert find_faults(browser, read_axe()) == []
    log_in(browser)
    assert CAMPAIGN in browser.find_element(By.TAG_NAME, "h1").text
    assert errors_of(browser) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_every_width_in_both_schemes_and_has_no_serious_fault(
    visitor: Chrome, report: str, name: str
) -> None:
    axe, faults = read_axe(), {}
    for width in WIDTHS:
        for scheme in SCHEMES:
            look(visitor, width, scheme)
            visitor.get(f"{report}{PAGES[name]}")
            wide = visitor.execute_script("return document.documentElement.scrollWidth")
            assert wide <= width, f"{name} is {wide} wide in a window of {width}"
            faults[width, scheme] = find_faults(visitor, axe)
            keep_picture(visitor, f"{name}-{width}-{scheme}")
    assert {key: found for key, found in faults.items() if found} == {}
    assert errors_of(visitor) == []


def keep_picture(browser: Chrome, name: str) -> None:
    """Keep what docs/ shows, where somebody asks for it."""
    if os.environ.get("MSYS_TRACK_PICTURES") and name in {
        "overview-1440-light", "overview-360-dark", "click-map-1440-light", "message-820-light",
    }:  # fmt: skip
        _PICTURES.mkdir(exist_ok=True)
        browser.save_screenshot(str(_PICTURES / f"report-{name}.png"))


def test_the_keyboard_reaches_every_link_and_button_and_one_sees_where_it_is(
    visitor: Chrome, report: str
) -> None:
    visitor.get(f"{report}{PAGES['overview']}")
    wanted = visitor.execute_script(
        "return document.querySelectorAll('a[href], button, input:not([type=hidden]), select, "
        'summary, [tabindex="0"]\').length'
    )
    body = visitor.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    first = visitor.switch_to.active_element
    assert first.get_attribute("class") == "skip"
    assert first.rect["x"] >= 0  # it is shown when it has the focus
    reached = set()
    for _ in range(3 * wanted):
        focus = visitor.switch_to.active_element
        if focus.tag_name == "body":
            break
        reached.add(focus.id)
        style = "return getComputedStyle(arguments[0]).outlineStyle"
        assert visitor.execute_script(style, focus) != "none", focus.get_attribute("outerHTML")
        focus.send_keys(Keys.TAB)
    shown = visitor.execute_script(
        "return [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, "
        'summary, [tabindex="0"]\')].filter(each => each.checkVisibility()).length'
    )
    assert len(reached) >= shown


def test_the_skip_link_leads_past_the_navigation(visitor: Chrome, report: str) -> None:
    visitor.get(f"{report}{PAGES['overview']}")
    visitor.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    visitor.switch_to.active_element.send_keys(Keys.ENTER)
    assert visitor.switch_to.active_element.get_attribute("id") == "content"


def test_a_filter_stands_in_the_address(visitor: Chrome, report: str) -> None:
    visitor.get(f"{report}/")
    for name, day in _DAYS.items():
        field = visitor.find_element(By.NAME, name)
        visitor.execute_script("arguments[0].value = arguments[1]", field, day)
    visitor.find_element(By.CSS_SELECTOR, "main form button[type=submit]").click()
    WebDriverWait(visitor, 10).until(lambda each: f"from={FIRST}" in each.current_url)
    assert "1,120" in visitor.find_element(By.TAG_NAME, "main").text  # 40 mails a day
    visitor.refresh()
    assert "1,120" in visitor.find_element(By.TAG_NAME, "main").text


def test_the_click_map_shows_shares_at_the_links_and_people_apart_from_machines(
    visitor: Chrome, report: str
) -> None:
    shares = {}
    for who in ("people", "machines"):
        visitor.get(f"{report}{_page('/campaign/clicks', name=CAMPAIGN, who=who)}")
        frame = visitor.find_element(By.TAG_NAME, "iframe")
        assert frame.get_attribute("sandbox") == ""
        rows = visitor.find_elements(By.CSS_SELECTOR, "main table tbody tr")
        shares[who] = [row.find_elements(By.TAG_NAME, "td")[-1].text for row in rows[:3]]
        visitor.switch_to.frame(frame)
        badge = "return getComputedStyle(arguments[0], '::after').content"
        links = visitor.find_elements(By.TAG_NAME, "a")
        assert [json.loads(visitor.execute_script(badge, link)) for link in links] == shares[who]
        visitor.switch_to.default_content()
    assert shares["people"] != shares["machines"]
    assert errors_of(visitor) == []


def test_numbers_go_on_by_themselves(visitor: Chrome, report: str) -> None:
    visitor.get(f"{report}/")
    WebDriverWait(visitor, 20).until(
        lambda browser: "UTC" in browser.find_element(By.CSS_SELECTOR, "[data-live-state]").text
    )
    assert errors_of(visitor) == []


def test_somebody_who_logs_out_sees_nothing_more(browser: Chrome, report: str) -> None:
    browser.get(f"{report}/")
    if browser.find_elements(By.NAME, "password"):
        log_in(browser)
    browser.find_element(By.CSS_SELECTOR, "form.logout button").click()
    browser.get(f"{report}{PAGES['overview']}")
    assert browser.find_elements(By.NAME, "password")
    browser.back()
    assert "1,120" not in browser.page_source
