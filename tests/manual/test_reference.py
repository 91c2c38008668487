"""Pages of the reference say what the code says."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from scripts.manual import api, environment, metrics
from starlette.routing import BaseRoute, Route

from msys_track.report import clickmap, export, live, login, pages
from msys_track.report.sparkpost import routes
from msys_track.tracking import access_log, app_links, hosts

FOLDER: Final = Path(__file__).parents[2] / "docs/reference"
HTTP: Final = (FOLDER / "http.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("page", "write"),
    [
        ("api.md", api.write_markdown),
        ("environment.md", environment.write_markdown),
        ("metrics.md", metrics.write_markdown),
    ],
)
def test_a_generated_page_is_up_to_date(page: str, write: Callable[[], str]) -> None:
    assert (FOLDER / page).read_text(encoding="utf-8") == write(), "write: make pages"


def test_a_public_name_without_a_place_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_ROOMS", {"Rewrite mail": ["rewrite", "gone"]})
    with pytest.raises(api.UnplacedNameError, match="gone, open_link"):
        api.write_markdown()


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
