"""`msys-track top`: what a running proxy does, as it does it."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import click
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from msys_track.cli import parameters
from msys_track.cli.commands import Command
from msys_track.cli.console import make_console
from msys_track.cli.exits import CommandError, MisconfiguredError
from msys_track.config.load import load
from msys_track.metrics import STAGES, Figures, find_quantile

_PATIENCE_SECONDS: Final = 5
_RATES: Final = (
    ("messages.accepted", "mails accepted"),
    ("messages.refused", "mails refused"),
    ("copies.relayed", "copies relayed"),
    ("copies.links", "links"),
    ("copies.pixels", "pixels"),
    ("connections.accepted", "connections"),
    ("connections.refused", "connections refused"),
    ("spool.kept", "mails kept in the spool"),
    ("log.dropped", "lines of the log lost"),
)
_GAUGES: Final = (
    ("sessions", "clients"),
    ("bytes_in_flight", "bytes in flight"),
    ("upstream.connections", "upstream connections"),
    ("upstream.idle", "of these idle"),
    ("upstream.waiting", "mails that wait for one"),
    ("spool.copies", "copies in the spool"),
    ("spool.oldest_seconds", "seconds that the oldest of these waits"),
)


class Sample(NamedTuple):
    """What the proxy said at one time."""

    at: float
    """Seconds of a clock that never goes back."""
    figures: Figures
    workers: Sequence[Mapping[str, Any]]


@click.command(
    cls=Command,
    examples=(
        "msys-track top",
        "msys-track top --once",
        "msys-track top --json --interval 10 >> figures.ndjson",
    ),
)
@parameters.CONFIG
@parameters.option(
    "--once",
    envvar="ONCE",
    is_flag=True,
    help="Print one state, with totals in place of rates.",
)
@parameters.JSON
@parameters.option(
    "--interval",
    envvar="INTERVAL",
    type=parameters.Number(min=0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
def top(*, config_file: Path, once: bool, as_json: bool, interval: float) -> None:
    """Show rates, times of stages and workers of a running proxy, until Ctrl-C.

    Asks the proxy at `listen` in [metrics] of the configuration. With --json prints one JSON
    object a line; with --once a single one.
    """
    listen = load(config_file, server="proxy").metrics.listen
    if listen is None:
        raise MisconfiguredError(
            f'{config_file}: no [metrics] table: nothing to read; add listen = "127.0.0.1:9464" '
            "there and reload the proxy"
        )
    url = f"http://{listen}/figures"
    sample = _read(url)
    if as_json:
        _print_json(url, sample, interval, once=once)
    elif once:
        make_console().print(_draw(sample, None))
    else:
        with Live(
            _draw(sample, None), console=make_console(), auto_refresh=False, screen=True
        ) as live:
            while True:
                time.sleep(interval)
                sample, before = _read(url), sample
                live.update(_draw(sample, before), refresh=True)


def _print_json(url: str, sample: Sample, interval: float, *, once: bool) -> None:
    while True:
        shown = {**sample.figures.as_json(), "workers": sample.workers}
        click.echo(json.dumps(shown, ensure_ascii=False))
        if once:
            return
        time.sleep(interval)
        sample = _read(url)


def _read(url: str) -> Sample:
    """Ask the proxy.

    Raises:
        CommandError: it does not answer.
    """
    try:
        # Whatever proxy the environment names is for other machines.
        with build_opener(ProxyHandler({})).open(url, timeout=_PATIENCE_SECONDS) as answer:
            told = json.load(answer)
    except (URLError, OSError, ValueError) as error:
        why = error.reason if isinstance(error, URLError) else error
        raise CommandError(
            f"msys-track: {url} does not answer: {why}; does the proxy run, with this [metrics]?"
        ) from error
    return Sample(time.monotonic(), Figures.of_json(told), told["workers"])


def _draw(sample: Sample, before: Sample | None) -> Group:
    return Group(
        _draw_counters(sample, before),
        Text(),
        _draw_gauges(sample),
        Text(),
        _draw_stages(sample, before),
        Text(),
        _draw_workers(sample),
    )


def _draw_counters(sample: Sample, before: Sample | None) -> Table:
    table = _make_table("", *(("total",) if before is None else ("per second", "total")))
    for name, text in _RATES:
        total = _count(sample, name)
        if before is None:
            table.add_row(text, f"{total:,}")
        else:
            rate = (total - _count(before, name)) / (sample.at - before.at)
            table.add_row(text, f"{rate:,.0f}", f"{total:,}")
    return table


def _draw_gauges(sample: Sample) -> Table:
    table = _make_table("", "now")
    for name, text in _GAUGES:
        if name in sample.figures.gauges:
            table.add_row(text, f"{sample.figures.gauges[name]:,.0f}")
    return table


def _draw_stages(sample: Sample, before: Sample | None) -> Table:
    """Draw how long stages took, of the mails since the last look, or of all."""
    table = _make_table("milliseconds", "median", "90 %", "99 %")
    for stage in STAGES:
        row = sample.figures.times.get(stage)
        if row is None:
            continue
        old = before and before.figures.times.get(stage)
        if old:
            row = [max(0.0, new - was) for new, was in zip(row, old, strict=True)]
        quantiles = (find_quantile(row, share) for share in (0.5, 0.9, 0.99))
        table.add_row(stage, *("" if each is None else f"{each * 1000:.1f}" for each in quantiles))
    return table


def _draw_workers(sample: Sample) -> Table:
    table = _make_table("worker", "state", "seconds", "accepted", "clients")
    for each in sample.workers:
        values = (each["pid"], each["state"], each["seconds"], each["accepted"], each["sessions"])
        table.add_row(*map(str, values))
    return table


def _make_table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first)
    for each in others:
        table.add_column(each, justify="right")
    return table


def _count(sample: Sample, name: str) -> int:
    """Add up a counter, with whatever reason behind its name."""
    return sum(
        count
        for each, count in sample.figures.counters.items()
        if each == name or each.startswith(f"{name}.")
    )
