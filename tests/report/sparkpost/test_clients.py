"""Libraries that others wrote for SparkPost read our events and metrics, unchanged."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.report.sparkpost.made_events import CAMPAIGNS, DOMAINS, count, make_events, newest_first
from tests.report.sparkpost.served import Served, serve

LINES = make_events(500, seed=8)
TIME = {"from": "2023-11-13T00:00", "to": "2023-11-20T00:00"}
_VERSION = "2.1.4"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("served"), LINES) as served:
        yield served


@pytest.fixture
def python(served: Served, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The client of PyPI's `sparkpost`, which trusts the report's certificate."""
    sparkpost = pytest.importorskip("sparkpost", reason="sparkpost is in the group dev")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(served.certificate.certificate))
    client = sparkpost.SparkPost(served.key, base_uri=f"127.0.0.1:{served.port}")
    yield client
    for resource in (client.metrics.campaigns, client.metrics.domains):
        resource.transport.sess.close()


def test_python_sparkpost_lists_campaigns_and_domains(python: Any) -> None:
    assert python.metrics.campaigns.list() == sorted(each for each in CAMPAIGNS if each)
    assert python.metrics.domains.list(params={"match": "b."}) == sorted(
        each for each in DOMAINS if "b." in each
    )


def test_python_sparkpost_reads_events_and_metrics(python: Any) -> None:
    # The library has no class of its own for these; its request is what programs use.
    ask = python.metrics.campaigns.request
    found = ask("GET", f"{python.base_uri}/events/message", params={**TIME, "events": "click"})
    assert [each["event_id"] for each in found] == newest_first(LINES, types=("click",))
    found = ask("GET", f"{python.base_uri}/message-events", params={**TIME, "per_page": 10})
    assert [each["event_id"] for each in found] == newest_first(LINES)[:10]
    [result] = ask(
        "GET",
        f"{python.base_uri}/metrics/deliverability",
        params={**TIME, "metrics": "count_clicked,count_nonprefetched_unique_confirmed_opened"},
    )
    assert result == {name: count(LINES, name) for name in result}


def test_python_sparkpost_shows_what_was_wrong(python: Any) -> None:
    exceptions = pytest.importorskip("sparkpost.exceptions")
    ask = python.metrics.campaigns.request
    with pytest.raises(exceptions.SparkPostAPIException) as refused:
        ask("GET", f"{python.base_uri}/events/message", params={"templates": "x"})
    assert refused.value.status == 400
    assert "templates can't be used here" in refused.value.errors[0]


def find_client() -> Path:
    """Name the folder that scripts/sparkpost-client fills."""
    if named := os.environ.get("SPARKPOST_CLIENT"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "msys-track" / f"node-sparkpost-{_VERSION}"


@pytest.fixture
def node(served: Served) -> dict[str, Any]:
    """What a program prints that uses npm's `sparkpost`."""
    if shutil.which("node") is None:
        pytest.skip("node was not found; apt-get install nodejs npm")
    library = find_client() / "node_modules" / "sparkpost"
    if not library.is_dir():
        pytest.skip("npm's sparkpost was not found; scripts/sparkpost-client fetches it")
    program = Path(__file__).with_name("client.js")
    done = subprocess.run(  # noqa: S603 - our own program
        ["node", program, library, f"https://127.0.0.1:{served.port}", served.key],  # noqa: S607
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(served.certificate.certificate)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def test_node_sparkpost_reads_events_and_metrics(node: dict[str, Any]) -> None:
    assert node["all"] == newest_first(LINES)
    assert node["clicks"] == len(newest_first(LINES, types=("click", "amp_click")))
    assert node["opens"] == len(newest_first(LINES, types=("open",)))
    names = ("count_clicked", "count_unique_confirmed_opened")
    for name in names:
        assert sum(each[name] for each in node["metrics"]) == count(LINES, name)
    assert node["refusal"] == [
        "SparkPostError",
        400,
        [
            {
                "message": "Invalid parameter",
                "description": "templates can't be used here: mail comes over SMTP, so no event "
                "has a template or a test of two",
            }
        ],
    ]
