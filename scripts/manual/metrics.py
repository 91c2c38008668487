"""The page of metrics, made from the registry so that both agree.

`python -m scripts.manual.metrics` prints docs/reference/metrics.md; a test compares. Names and
texts are read from an exposition, as Prometheus reads them.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from msys_track.metrics import (
    BOUNDS,
    PROXY,
    REPORT,
    TRACKER,
    Catalogue,
    Figures,
    write_exposition,
)

_SERVERS: Final = {"proxy": PROXY, "tracker": TRACKER, "report": REPORT}
_DESCRIBED: Final = re.compile(r"# HELP (\S+) (.*)\n# TYPE \S+ (\w+)\n(.*)")

_INTRODUCTION: Final = """\
# Metrics

Made from the registry by `python -m scripts.manual.metrics`; change it there.

Each server answers `/metrics` where [`[metrics]`](../configuration.md#metrics) says, in the text
format 0.0.4 of Prometheus. `/figures` has the same as JSON, with a row for each worker, under the
names that logs use: `messages.refused.header` there is
`msys_track_messages_refused_total{why="header"}` here.
[Operating](../operating.md#metrics-and-health) says what to alert on,
[SMTP](../smtp.md#counters) what `why` and `notice` can be, [reasons](../reasons.md) what `reason`
can be.

A counter only grows, over workers that are replaced and over an upgrade too. One without a label
begins with 0; one with a label is there once it was counted.
"""


class _Row(NamedTuple):
    """A metric as one server shows it."""

    name: str
    text: str
    kind: str
    label: str


def write_markdown() -> str:
    """Write all metrics, by their kind, as one Markdown page."""
    rows = {server: list(_read_rows(catalogue)) for server, catalogue in _SERVERS.items()}
    return "\n".join(
        [
            _INTRODUCTION,
            "## Counters\n",
            *_write_table(rows, "counter"),
            "\n## Gauges\n",
            *_write_table(rows, "gauge"),
            "\n## Times\n",
            *_write_table(rows, "histogram"),
            f"\nBuckets, in seconds: {', '.join(map(str, BOUNDS))}.",
            "",
        ]
    )


def _read_rows(catalogue: Catalogue) -> Iterator[_Row]:
    """Read the metrics of a server that has counted everything once."""
    figures = Figures(
        counters={
            f"{name}.x" if metric.label else name: 1 for name, metric in catalogue.counters.items()
        },
        gauges={
            f"{name}.x" if metric.label else name: 1.0 for name, metric in catalogue.gauges.items()
        },
    )
    for name, text, kind, sample in _DESCRIBED.findall(write_exposition(figures, catalogue)):
        label = re.search(r"\{(\w+)=", sample)
        yield _Row(name, text, kind, label[1] if label else "")


def _write_table(rows: Mapping[str, list[_Row]], kind: str) -> Iterator[str]:
    """Write the metrics of a kind; a server is named before a text that only it has."""
    yield "| metric | label | of | what it says |"
    yield "| --- | --- | --- | --- |"
    names = dict.fromkeys(row.name for each in rows.values() for row in each if row.kind == kind)
    for name in names:
        found = {server: row for server, each in rows.items() for row in each if row.name == name}
        said: dict[str, list[str]] = {}
        for server, row in found.items():
            said.setdefault(row.text, []).append(server)
        text = " ".join(
            f"{', '.join(servers).capitalize()}: {each}" if len(said) > 1 else each
            for each, servers in said.items()
        )
        label = next(iter(found.values())).label
        yield f"| `{name}` | {f'`{label}`' if label else ''} | {', '.join(found)} | {text} |"


if __name__ == "__main__":
    sys.stdout.write(write_markdown())
