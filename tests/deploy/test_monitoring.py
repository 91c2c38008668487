"""docs/deploy/monitoring asks for figures that there are, and Prometheus itself takes it all."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from tests.mail_tools import need_tool
from tests.ports import find_free_ports
from tests.processes import PATIENCE_SECONDS, Server

from msys_track.accounts.users import add_user
from msys_track.keys.file import create
from msys_track.metrics import PROXY, REPORT, TRACKER, Catalogue, Figures, write_exposition

MONITORING: Final = Path(__file__).parents[2] / "docs" / "deploy" / "monitoring"
PORTS: Final = ("9464", "9465", "9466")
# What Prometheus itself and its configuration give to each figure.
_LABELS_OF_PROMETHEUS: Final = {"job", "instance", "le"}
_SUFFIXES_OF_A_HISTOGRAM: Final = ("_bucket", "_sum", "_count")


def read_dashboard() -> list[tuple[str, str]]:
    """Read the title of each panel with each of its expressions."""
    told = json.loads((MONITORING / "grafana.json").read_text(encoding="utf-8"))
    return [
        (panel["title"], target["expr"])
        for panel in told["panels"]
        for target in panel.get("targets", ())
    ]


def list_figures() -> dict[str, str]:
    """List what the three servers show at /metrics, by name, with the figure's own label."""
    found = {
        name: label for catalogue in (PROXY, TRACKER, REPORT) for label, name in _name(catalogue)
    }
    stages = {f"msys_track_stage_seconds{suffix}" for suffix in _SUFFIXES_OF_A_HISTOGRAM}
    return found | dict.fromkeys(stages, "stage")


def _name(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    """Yield the label and the written name of each figure of a server."""
    gauges = dict.fromkeys(catalogue.gauges, 1.0)
    written = write_exposition(Figures(gauges=gauges), catalogue)
    labels = {
        re.sub(r"\W", "_", name): metric.label
        for name, metric in (*catalogue.counters.items(), *catalogue.gauges.items())
    }
    for name in re.findall(r"^# TYPE (\S+) (?:counter|gauge)$", written, re.MULTILINE):
        yield labels[name.removeprefix("msys_track_").removesuffix("_total")], name


def find_unknown(expression: str) -> set[str]:
    """Find figures and labels in an expression that no server shows."""
    figures = list_figures()
    named = set(re.findall(r"\bmsys_track_\w+", expression))
    unknown = named - figures.keys()
    labels = {figures[name] for name in named - unknown} | _LABELS_OF_PROMETHEUS
    used = set(re.findall(r"\b(\w+)\s*(?:=~|!=|=)\s*\"", expression))
    for group in re.findall(r"\bby \(([^)]*)\)", expression):
        used |= set(re.split(r"\W+", group))
    return unknown | (used - labels)


@pytest.mark.parametrize(("title", "expression"), read_dashboard())
def test_a_panel_asks_for_figures_that_there_are(title: str, expression: str) -> None:
    assert find_unknown(expression) == set(), title


def test_the_alerts_ask_for_figures_that_there_are() -> None:
    text = (MONITORING / "alerts.yml").read_text(encoding="utf-8")
    expressions = re.split(r"^ +- alert: ", text, flags=re.MULTILINE)[1:]
    assert len(expressions) > 10
    for each in expressions:
        expression = re.split(r"\n +(?:for|labels):", each)[0]
        assert find_unknown(expression) == set(), each.partition("\n")[0]


def test_a_figure_that_nobody_shows_would_be_found() -> None:
    assert find_unknown('rate(msys_track_no_such_total{why="x"}[5m])') == {
        "msys_track_no_such_total",
        "why",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts.test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_takes_the_files(arguments: tuple[str, ...]) -> None:
    tool = need_tool("promtool", "prometheus")
    done = subprocess.run(  # noqa: S603 - a program of another project
        [tool.path, *arguments], env=tool.environment, cwd=MONITORING,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(120)
def test_prometheus_scrapes_all_three_servers_and_answers_every_panel(tmp_path: Path) -> None:
    tool = need_tool("prometheus", "prometheus")
    ports = dict(
        zip((*PORTS, "proxy", "tracker", "report", "9090"), find_free_ports(7), strict=True)
    )
    create(tmp_path / "keys.toml")
    add_user(tmp_path / "users.toml", "amy", "correct horse battery staple")
    (tmp_path / "msys-track.toml").write_text(
        f"""\
keys = "keys.toml"
[proxy]
listen = "127.0.0.1:{ports["proxy"]}"
upstream = "127.0.0.1:{ports["report"]}"
[tracker]
listen = "127.0.0.1:{ports["tracker"]}"
store = "events.sqlite"
[report]
listen = "127.0.0.1:{ports["report"]}"
users = "users.toml"
[metrics]
listen = "127.0.0.1:{ports["9464"]}"
tracker_listen = "127.0.0.1:{ports["9465"]}"
report_listen = "127.0.0.1:{ports["9466"]}"
""",
        encoding="utf-8",
    )
    text = (MONITORING / "prometheus.yml").read_text(encoding="utf-8")
    text = re.sub("|".join(PORTS), lambda port: str(ports[port[0]]), text)
    (tmp_path / "prometheus.yml").write_text(text.replace("15s", "1s"), encoding="utf-8")
    alerts = (MONITORING / "alerts.yml").read_text(encoding="utf-8")
    (tmp_path / "alerts.yml").write_text(alerts, encoding="utf-8")

    def ask(path: str, **query: str) -> Any:
        address = f"http://127.0.0.1:{ports['9090']}/api/v1/{path}?{urlencode(query)}"
        with urlopen(address, timeout=10) as answer:
            told = json.load(answer)
        assert told["status"] == "success"
        return told["data"]

    def count_healthy() -> int:
        try:
            return sum(each["health"] == "up" for each in ask("targets")["activeTargets"])
        except OSError:
            return 0

    serve = Server(tmp_path, "serve")
    try:
        serve.listening(3)
        with (tmp_path / "prometheus.log").open("wb") as log:
            prometheus = subprocess.Popen(  # noqa: S603 - a program of another project
                [tool.path, "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                 f"--web.listen-address=127.0.0.1:{ports['9090']}"],
                env=tool.environment, cwd=tmp_path, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            end = time.monotonic() + 2 * PATIENCE_SECONDS
            while count_healthy() < len(PORTS):
                assert time.monotonic() < end, (tmp_path / "prometheus.log").read_text()
                time.sleep(0.2)
            for title, expression in read_dashboard():
                asked = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
                assert ask("query", query=asked)["resultType"] == "vector", title
            rules = ask("rules")["groups"][0]["rules"]
            assert len(rules) == alerts.count("- alert: ")
            assert {each["health"] for each in rules} <= {"ok", "unknown"}
            ready = ask("query", query="msys_track_ready")["result"]
            assert len(ready) == len(PORTS)
        finally:
            prometheus.terminate()
            prometheus.wait()
    finally:
        serve.kill()
