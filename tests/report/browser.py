"""Debian's Chromium, driven by its own driver, and what it sees of a page."""

import base64
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from tests.processes import PATIENCE_SECONDS
from tests.report.stage import Stage
from tests.users import PASSWORD

_AXE_VERSION: Final = "4.14.1"
_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Chromium as it is in tests: nothing of its own goes out, or is asked for.
_ARGUMENTS: Final = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root, who has none
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--lang=en-GB",
)
# Ones that a reader gets to by Tab, as far as they are seen.
_FIND_STOPS: Final = """
return [...document.querySelectorAll(
  'a[href], button, input:not([type=hidden]), summary, iframe, [tabindex="0"]'
)].filter(each => each.checkVisibility()).length;
"""
_DESCRIBE_FOCUS: Final = """
const all = [...document.querySelectorAll('*')], focused = document.activeElement;
if (focused === document.body) return null;
const style = getComputedStyle(focused), box = focused.getBoundingClientRect();
return {
  place: all.indexOf(focused),
  tag: focused.tagName,
  text: (focused.getAttribute('aria-label') || focused.textContent || focused.name || '').trim(),
  outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
  isSeen: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.left < innerWidth,
};
"""


def find_axe() -> str:
    """Return axe-core's program, which scripts/axe-core fetches."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("AXE_CORE") or cache / f"msys-track/axe-core-{_AXE_VERSION}")
    program = folder / "node_modules/axe-core/axe.min.js"
    if not program.is_file():
        pytest.skip("axe-core was not found; scripts/axe-core fetches it")
    return program.read_text(encoding="utf-8")


class Browser:
    """A browser with one window."""

    def __init__(self, driver: webdriver.Chrome, stage: Stage) -> None:
        self.driver = driver
        self.stage = stage

    def log_in(self) -> None:
        """Log in."""
        self.open("/login")
        self.send_login()

    def send_login(self) -> None:
        """Fill in the form, as people do: by the keyboard alone."""
        # The first field gets the focus when the page is painted, which may be after its load.
        self.wait("return document.activeElement.name === 'user'")
        self.driver.switch_to.active_element.send_keys("shop", Keys.TAB)
        self.driver.switch_to.active_element.send_keys(PASSWORD, Keys.ENTER)
        self.wait("return location.pathname !== '/login' && document.readyState === 'complete'")

    @contextmanager
    def stranger(self) -> Iterator[None]:
        """Be somebody who has not logged in for a while."""
        cookies = self.driver.get_cookies()
        self.driver.delete_all_cookies()
        try:
            yield
        finally:
            self.driver.delete_all_cookies()
            for cookie in cookies:
                self.driver.add_cookie(cookie)

    @property
    def title(self) -> str:
        """The title of the page."""
        return str(self.driver.title)

    def click_link(self, text: str) -> None:
        """Click a link by what it says, and wait for its page."""
        page = self.run("return performance.timeOrigin")
        self.driver.find_element(By.PARTIAL_LINK_TEXT, text).click()
        self.wait(f"return performance.timeOrigin !== {page} && document.readyState == 'complete'")

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Look into the frame of the page."""
        self.driver.switch_to.frame(0)
        yield
        self.driver.switch_to.default_content()

    def list_badges(self) -> list[str]:
        """Return what stands behind each link of a mail, from its rules of style."""
        badges: list[str] = self.run(
            "return [...document.querySelectorAll('a')]"
            ".map(each => getComputedStyle(each, '::after').content.slice(1, -1))"
        )
        return badges

    def open(self, path: str) -> None:
        """Open a page of the report, and wait for it and its frames."""
        self.driver.get(self.stage.url + path)

    def run(self, script: str, *values: Any) -> Any:
        """Run a script in the page; values are its `arguments`."""
        return self.driver.execute_script(script, *values)

    def wait(self, script: str) -> None:
        """Wait until a script returns something."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.run(script):
            assert time.monotonic() < end, f"it never came: {script}\n{self.driver.page_source}"
            time.sleep(0.02)

    def tell(self, command: str, **values: Any) -> Any:
        """Tell Chromium something that no page can ask for."""
        return self.driver.execute_cdp_cmd(command, values)

    def resize(self, width: int, scheme: str = "light", *, height: int = 900) -> None:
        """Be so wide, and of one who prefers light or dark pages."""
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.tell(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ],
        )

    def take_picture(self, *, whole: bool = False) -> bytes:
        """Return a PNG of what is seen, or of the whole page."""
        found = self.tell("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(found["data"])

    def list_faults(self) -> list[str]:
        """Return what the console has had to say since it was asked last."""
        logged: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [f"{each['level']}: {each['message']}" for each in logged]

    def find_barriers(self, axe: str) -> list[str]:
        """Let axe-core look for barriers; the mail in a frame is not the report's."""
        self.run(axe)
        found = self.driver.execute_async_script(
            "const [rules, done] = arguments;"
            # What has passed is told shortly: nobody reads it, and it is most of what there is.
            "axe.run(document, {iframes: false, runOnly: rules, resultTypes: ['violations']})"
            ".then(done, done)",
            _RULES,
        )
        return [
            f"{each['impact']}: {each['id']}: {each['help']}: {node['html'][:200]} "
            f"{json.dumps(node.get('failureSummary', ''))[:300]}"
            for each in found["violations"]
            for node in each["nodes"]
        ]

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        webdriver.ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def find_focus(self) -> dict[str, Any] | None:
        """Say what has the focus; None if nothing has."""
        found: dict[str, Any] | None = self.run(_DESCRIBE_FOCUS)
        return found

    def count_stops(self) -> int:
        """Count what can be got to by the keyboard."""
        return int(self.run(_FIND_STOPS))


@contextmanager
def run_browser(stage: Stage) -> Iterator[Browser]:
    """Run a browser for a report; skips the test where there is none."""
    with run_driver() as driver:
        yield Browser(driver, stage)


@contextmanager
def run_driver() -> Iterator[webdriver.Chrome]:
    """Run Chromium; skips the test where there is none."""
    chromium, program = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or program is None:
        pytest.skip("chromium was not found: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in _ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(program))
    try:
        driver.set_page_load_timeout(PATIENCE_SECONDS)
        driver.set_script_timeout(PATIENCE_SECONDS)
        yield driver
    finally:
        driver.quit()
