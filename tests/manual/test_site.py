"""The manual as a site: built whole, its links lead somewhere, and it asks no other host."""

import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest
from markdown_it import MarkdownIt
from scripts.manual import site
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.support.wait import WebDriverWait
from tests.processes import PATIENCE_SECONDS
from tests.report.browser import run_driver

PAGES: Final = sorted((site.ROOT / "docs").rglob("*.md"))
# What a page is made of; not `p`, as list items are loose or tight by other rules.
STRUCTURE: Final = re.compile(
    r"h[1-6]|[uo]l|li|table|t[rdh]|pre|code|a|img|em|strong|blockquote|[hb]r"
)
LINK: Final = re.compile(r"\]\(([^)#\s]+)")
# The search stands in a tree of its own.
IS_SEARCH_OPEN: Final = """
return [...document.querySelectorAll("*")]
  .some(each => each.shadowRoot?.activeElement?.tagName === "INPUT");
"""
FIND_RESULTS: Final = """
return [...document.querySelectorAll("*")].filter(each => each.shadowRoot)
  .flatMap(each => [...each.shadowRoot.querySelectorAll("a")].map(link => link.href));
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the site is made of, so that tests beside this one don't see half a site."""
    if find_spec("zensical") is None:
        pytest.skip("zensical was not found: pip install -r requirements/docs.txt")
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(site.ROOT / "zensical.toml", folder)
    shutil.copytree(site.ROOT / "docs", folder / "docs")
    return folder


@pytest.fixture(scope="module")
def built(project: Path) -> Path:
    """The folder of the site, built once."""
    return site.build_site(project)


def test_the_site_has_no_faults(built: Path) -> None:
    assert list(site.find_faults(built)) == []


def test_every_page_is_in_the_menu_once() -> None:
    assert list(site.find_unlisted(site.ROOT)) == []


def test_the_first_page_leads_to_every_other_page() -> None:
    text = (site.ROOT / "docs/index.md").read_text(encoding="utf-8")
    linked = {site.ROOT / "docs" / name for name in LINK.findall(text)}
    missing = {page.relative_to(site.ROOT) for page in set(PAGES) - linked}
    assert {page for page in missing if page.parts[1] != "decisions"} == {Path("docs/index.md")}


class Structure(HTMLParser):
    """Counts the elements of a page's own text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        ours = {"headerlink", "__skip"} & {value for _, value in attrs if value}
        if STRUCTURE.fullmatch(tag) and not ours:
            self.counts[tag] += 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(site.ROOT / "docs")))
def test_a_page_is_made_of_what_code_hosts_show(built: Path, page: Path) -> None:
    name = page.relative_to(site.ROOT / "docs")
    name = name.with_name("index.html") if name.stem == "README" else name.with_suffix(".html")
    html = (built / name).read_text(encoding="utf-8")
    [article] = re.findall(r"<article[^>]*>(.*?)</article>", html, re.DOTALL)
    as_hosts_do = MarkdownIt("commonmark").enable("table").render(page.read_text(encoding="utf-8"))
    assert Structure(article).counts == Structure(as_hosts_do).counts


def write_site(folder: Path, body: str) -> list[str]:
    (folder / "below").mkdir()
    (folder / "index.html").write_text(f"<body>{body}</body>", encoding="utf-8")
    (folder / "below/page.html").write_text('<h2 id="there">There</h2>', encoding="utf-8")
    return list(site.find_faults(folder))


@pytest.mark.parametrize(
    "body",
    [
        '<a href="below/page.html#there">good</a>',
        '<a href="https://example.com/nowhere#x">not ours</a>',
        '<a href="#">the top</a>',
        '<img src="data:image/gif;base64,R0lGOD">',
    ],
)
def test_what_leads_somewhere_is_no_fault(tmp_path: Path, body: str) -> None:
    assert write_site(tmp_path, body) == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="gone.html">x</a>', "gone.html: no such file"),
        (
            '<a href="below/page.html#gone">x</a>',
            "below/page.html#gone: no such place on that page",
        ),
        ('<a href="below/">x</a>', "below/: a folder, which a file's browser can't show"),
        ('<a href="../../etc/passwd">x</a>', "../../etc/passwd: no such file"),
        ('<img src="gone.png">', "gone.png: no such file"),
        (
            '<script src="//cdn.example/x.js"></script>',
            "loads //cdn.example/x.js from another host",
        ),
        (
            '<link rel="stylesheet" href="https://fonts.example/x.css">',
            "loads https://fonts.example/x.css from another host",
        ),
    ],
)
def test_a_fault_is_found(tmp_path: Path, body: str, fault: str) -> None:
    assert write_site(tmp_path, body) == [f"index.html: {fault}"]


def test_a_style_that_loads_from_another_host_is_found(tmp_path: Path) -> None:
    (tmp_path / "x.css").write_text('@import "https://fonts.example/a.css";', encoding="utf-8")
    assert list(site.find_faults(tmp_path)) == [
        "x.css: loads https://fonts.example/a.css from another host"
    ]


def test_pages_beside_the_menu_are_found(tmp_path: Path) -> None:
    (tmp_path / "docs/how-to").mkdir(parents=True)
    (tmp_path / "docs/how-to/new.md").write_text("# New\n", encoding="utf-8")
    (tmp_path / "docs/index.md").write_text("# Start\n", encoding="utf-8")
    menu = '[project]\nnav = ["index.md", { B = ["gone.md"] }, { C = [{ D = "index.md" }] }]\n'
    (tmp_path / "zensical.toml").write_text(menu, encoding="utf-8")
    assert list(site.find_unlisted(tmp_path)) == [
        "zensical.toml: nav: there is no docs/gone.md",
        "docs/how-to/new.md: not in nav of zensical.toml",
        "docs/index.md: twice in nav",
    ]


def test_a_warning_of_the_builder_is_an_error(project: Path, tmp_path: Path) -> None:
    # One page of it, which takes a fraction of the whole.
    settings = (project / "zensical.toml").read_text(encoding="utf-8")
    settings = re.sub(r"(?ms)^nav = \[\n.*?^\]\n", "", settings)
    (tmp_path / "zensical.toml").write_text(settings, encoding="utf-8")
    page = tmp_path / "docs/index.md"
    page.parent.mkdir()
    page.write_text("# Good\n", encoding="utf-8")
    site.build_site(tmp_path)
    page.write_text("# Bad\n\n[x](gone.md)\n", encoding="utf-8")
    with pytest.raises(site.SiteError, match="page does not exist"):
        site.build_site(tmp_path)


def test_pages_that_were_opened_as_files_are_searched_and_ask_nobody(built: Path) -> None:
    with run_driver() as driver:
        driver.get((built / "mail.html").as_uri())
        wait = WebDriverWait(driver, PATIENCE_SECONDS)
        while not driver.execute_script(IS_SEARCH_OPEN):
            ActionChains(driver).send_keys("/").pause(0.05).perform()
        # A key that came before the search was there may stand in it.
        keys = ActionChains(driver).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL)
        keys.send_keys("unsubscribe").perform()
        wait.until(lambda _: "unsubscribing.html" in str(driver.execute_script(FIND_RESULTS)))
        loaded = driver.execute_script(
            "return performance.getEntriesByType('resource').map(each => each.name)"
        )
        faults = driver.get_log("browser")  # type: ignore[no-untyped-call]
    assert {url.partition(":")[0] for url in loaded} <= {"file", "data"}
    assert faults == []
