"""Pages of the reference say what the code says."""

import ast
import asyncio
import base64
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from scripts.manual import api, environment, exit_codes, metrics
from starlette.routing import BaseRoute, Route
from tests.rewriting import plans
from tests.shown import Block, read_blocks

import msys_track
from msys_track import Claims, HtmlRewriter, KeyRing
from msys_track.report import clickmap, export, live, login, pages
from msys_track.report.sparkpost import routes
from msys_track.tracking import access_log, app_links, hosts

FOLDER: Final = Path(__file__).parents[2] / "docs/reference"
EXAMPLES: Final = [b for b in read_blocks("reference/api.md") if b.language == "python"]
PAGE: Final = b'<a href="https://shop.example/">Shop</a>'
HTTP: Final = (FOLDER / "http.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("page", "write"),
    [
        ("api.md", api.write_markdown),
        ("environment.md", environment.write_markdown),
        ("exit-codes.md", exit_codes.write_markdown),
        ("metrics.md", metrics.write_markdown),
    ],
)
def test_a_generated_page_is_up_to_date(page: str, write: Callable[[], str]) -> None:
    assert (FOLDER / page).read_text(encoding="utf-8") == write(), "write: make pages"


def test_a_public_name_without_a_place_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_ROOMS", {"Rewrite mail": ["rewrite", "gone"]})
    with pytest.raises(api.UnplacedNameError, match="gone, open_link"):
        api.write_markdown()


async def read_chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize("block", EXAMPLES, ids=[each.heading for each in EXAMPLES])
def test_an_example_of_a_docstring_runs(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    secret = base64.b64encode(bytes(32)).decode()
    monkeypatch.setenv(
        "SHOP_KEYS", f'key = [{{id = 1, created = 2026-11-24T10:00:00Z, secret = "{secret}"}}]'
    )
    Path("page.html").write_bytes(PAGE)
    keys, urls = KeyRing.temporary(), plans.URLS
    engagement = plans.engagement()
    claims = Claims(kind="click", engagement=engagement, target="https://shop.example/")
    names: dict[str, Any] = {
        **{name: getattr(msys_track, name) for name in msys_track.__all__},
        "keys": keys,
        "engagement": engagement,
        "urls": urls,
        "rewriter": HtmlRewriter(keys=keys, engagement=engagement, urls=urls),
        "response": SimpleNamespace(content=read_chunks(PAGE)),
        "writer": Path("streamed.html").open("wb"),  # noqa: SIM115 - an example writes to it
        "os": os,
    }
    text = block.text.replace("f/a/AQE…", keys.seal(claims))
    code = compile(text, "api.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, names)  # noqa: S307 - our own page
    if running is not None:
        asyncio.run(running)
    names["writer"].close()
    written = [each.read_bytes() for each in tmp_path.glob("*ed.html")]
    assert all(b"https://click.example.com/f/a/" in each for each in written if each)


def list_paths(listed: Iterator[BaseRoute]) -> set[str]:
    """What a page writes for each route: without parameters."""
    return {re.sub(r"\{.*", "", each.path) for each in listed if isinstance(each, Route)}


def test_the_page_of_endpoints_has_every_path_of_the_report() -> None:
    people = [*pages.ROUTES, *clickmap.ROUTES, *export.ROUTES, *live.ROUTES, *login.ROUTES]
    for path in list_paths(iter(people)):
        assert f"`{path}" in HTTP, path
    assert all(path.startswith("/api/v1/") for path in list_paths(iter(routes.ROUTES)) - {"/api/"})


def test_the_page_of_endpoints_has_every_path_of_the_tracker() -> None:
    paths = [*(each.decode() for each in access_log._ROUTES), app_links.APPLE_PATH]  # noqa: SLF001
    for path in [*paths, app_links.ANDROID_PATH, hosts.HOST_PATH.decode()]:
        # Links of SparkPost's older form are sent on to its tracker, and no answer of ours.
        assert f"`{path}" in HTTP or path == "/e/", path
