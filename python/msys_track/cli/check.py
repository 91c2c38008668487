"""`msys-track check`: what is wrong with an installation, and what to do."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
from rich.table import Table
from rich.text import Text

from msys_track.cli import logs, parameters
from msys_track.cli.commands import Command
from msys_track.cli.console import make_console
from msys_track.cli.exits import ExitCode
from msys_track.service.probing.finding import Finding, State
from msys_track.service.probing.installation import probe_installation
from msys_track.service.probing.upstreams import ProbeEnvelope

_STYLES: Final = {State.OK: "green", State.WARNING: "yellow", State.FAULT: "bold red"}


def _ascii_address(text: str) -> str:
    if not text.isascii():
        raise click.BadParameter(f"{text!r} is not in ASCII; give another one")
    return parameters.mail_address(text)


def _ascii_sender(text: str) -> str:
    return parameters.reverse_path(text) if text.strip("<>") == "" else _ascii_address(text)


@click.command(
    cls=Command,
    examples=(
        "msys-track check",
        "msys-track check --to you@example.com",
        "msys-track check --json --timeout 2",
    ),
)
@parameters.CONFIG
@parameters.option(
    "--to",
    "recipient",
    envvar="TO",
    metavar="ADDRESS",
    type=_ascii_address,
    help="Ask each upstream whether it would take mail for this address; nothing is sent.",
)
@parameters.option(
    "--from",
    "sender",
    envvar="FROM",
    metavar="ADDRESS",
    type=_ascii_sender,
    default="",
    help="The sender to ask with.  [default: the null sender]",
)
@parameters.option(
    "--timeout",
    "patience_seconds",
    envvar="TIMEOUT",
    metavar="SECONDS",
    type=parameters.Number(min=0.1, max=60),
    default=5.0,
    show_default=True,
    help="How long each step of a probe may take.",
)
@parameters.JSON
def check(
    *,
    config_file: Path,
    recipient: str | None,
    sender: str,
    patience_seconds: float,
    as_json: bool,
) -> None:
    """Find out what is wrong with an installation, while its servers run.

    Probes tracking domains, upstreams, servers, files and the clock. Asks only hosts that the
    configuration names; sends no mail and makes no event. Prints each finding, with what to do; as
    JSON where standard output is no terminal. The exit code is 1 if there is a fault; a warning is
    none.
    """
    logs.to_stderr(level="error")  # findings say the rest
    envelope = None if recipient is None else ProbeEnvelope(sender, recipient)
    findings = asyncio.run(
        probe_installation(config_file, envelope=envelope, patience_seconds=patience_seconds)
    )
    faults = sum(each.state is State.FAULT for each in findings)
    if as_json or sys.stdout is None or not sys.stdout.isatty():
        shown = {"ok": not faults, "findings": [asdict(each) for each in findings]}
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        _print_table(findings, faults)
    if faults:
        sys.exit(ExitCode.FAILED)


def _print_table(findings: Sequence[Finding], faults: int) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("", "what", "found, and what to do"):
        table.add_column(name, overflow="fold")
    for each in findings:
        text = Text(each.found)
        if each.advice:
            text.append(f"\n→ {each.advice}", style="bold")
        table.add_row(Text(each.state, style=_STYLES[each.state]), Text(each.what), text)
    console = make_console()
    console.print(table)
    warnings = sum(each.state is State.WARNING for each in findings)
    console.print(f"\nfaults: {faults}, warnings: {warnings}")
