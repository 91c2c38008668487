"""The manual as a site: built by Zensical, then judged by reading what was built.

`python -m scripts.manual.site` builds `site/` and exits with 1 at a fault. Zensical's strict mode
knows the links of Markdown; it says nothing of pages that no menu shows, of links in HTML, nor of
what a page loads from other hosts.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

ROOT: Final = Path(__file__).parents[2]
_LOADING: Final = frozenset({"audio", "embed", "iframe", "img", "object", "script", "source"})
_STYLES: Final = re.compile(r"""(?:url\(|@import)\s*['"]?\s*((?:https?:)?//[^'")\s]+)""")
# These ask a host at once; a canonical or an alternate address does not.
_ASKING: Final = frozenset(
    {"dns-prefetch", "icon", "preconnect", "prefetch", "preload", "stylesheet"}
)


class SiteError(Exception):
    """Zensical could not build the site, or warned; the text is what it said."""


@dataclass(slots=True)
class _Page:
    """What a built page has: anchors, links to follow, and what a browser loads by itself."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = _Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        self.page.anchors |= {has[name] for name in ("id", "name") if name in has}
        asks = tag in _LOADING or (tag == "link" and _ASKING & set(has.get("rel", "").split()))
        for name in ("href", "src", "data"):
            if name in has:
                (self.page.loaded if asks else self.page.links).append(has[name])


def build_site(project: Path) -> Path:
    """Build the site of a project's `zensical.toml`; warnings are errors.

    Raises:
        SiteError: Zensical warned or failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--clean", "--strict"],
        cwd=project,
        env={"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    told = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    told = told.partition("Traceback")[0] if "Warning" in told else told
    if done.returncode or "Warning" in told:
        raise SiteError(told)
    return project / "site"


def find_faults(site: Path) -> Iterator[str]:
    """Find links that lead nowhere, and what is loaded from other hosts."""
    pages = {file: _read_page(file) for file in sorted(site.rglob("*.html"))}
    for file, page in pages.items():
        name = file.relative_to(site)
        for url in page.loaded:
            if urlsplit(url).netloc:
                yield f"{name}: loads {url} from another host"
        for url in page.links + page.loaded:
            if (why := _judge_link(site, file, url, pages)) is not None:
                yield f"{name}: {url}: {why}"
    for file in sorted(site.rglob("*.css")):
        for url in _STYLES.findall(file.read_text(encoding="utf-8")):
            yield f"{file.relative_to(site)}: loads {url} from another host"


def find_unlisted(project: Path) -> Iterator[str]:
    """Find pages that the menu does not have, and entries of the menu without a page."""
    project_settings = tomllib.loads((project / "zensical.toml").read_text(encoding="utf-8"))
    listed = list(_read_menu(project_settings["project"]["nav"]))
    pages = {
        page.relative_to(project / "docs").as_posix() for page in project.glob("docs/**/*.md")
    }
    yield from (
        f"zensical.toml: nav: there is no docs/{name}" for name in listed if name not in pages
    )
    yield from (
        f"docs/{name}: not in nav of zensical.toml" for name in sorted(pages - set(listed))
    )
    yield from (
        f"docs/{name}: twice in nav" for name in sorted({n for n in listed if listed.count(n) > 1})
    )


def _read_menu(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        for below in [entry] if isinstance(entry, str) else entry.values():
            if isinstance(below, str):
                yield below
            else:
                yield from _read_menu(below)


def _read_page(file: Path) -> _Page:
    reader = _Reader()
    reader.feed(file.read_text(encoding="utf-8"))
    return reader.page


def _judge_link(site: Path, file: Path, url: str, pages: dict[Path, _Page]) -> str | None:
    """Tell why a link leads nowhere; None for a good one, and for those to other hosts."""
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return None
    # The page for what is not found is answered anywhere, so its links begin at the top.
    folder = site if parts.path.startswith("/") else file.parent
    path = unquote(parts.path).lstrip("/")
    target = (folder / path).resolve() if path else file
    if target.is_dir():
        return "a folder, which a file's browser can't show"
    if not target.is_relative_to(site.resolve()) or not target.is_file():
        return "no such file"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return "no such place on that page"
    return None


def main() -> int:
    """Build and judge the site of this project; return the exit code."""
    try:
        site = build_site(ROOT)
    except SiteError as error:
        sys.stderr.write(f"{error}\nerror: the site was not built; see above.\n")
        return 1
    faults = [*find_unlisted(ROOT), *find_faults(site)]
    sys.stderr.writelines(f"{fault}\n" for fault in faults)
    if faults:
        sys.stderr.write(
            "error: the site has the faults above.\n  hint: the pages are in docs/.\n"
        )
        return 1
    sys.stdout.write(f"{site / 'index.html'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
