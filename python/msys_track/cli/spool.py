"""`msys-track spool`: look at mail that waits, try it at once, remove it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from msys_track.cli import parameters, streams
from msys_track.cli.commands import Commands
from msys_track.config.load import load
from msys_track.spool import inspection
from msys_track.spool.clock import Clock
from msys_track.spool.copy import KeptCopy

_FOLDER: Final = parameters.option(
    "--spool",
    "folder",
    envvar="SPOOL",
    type=click.Path(file_okay=False, path_type=Path),
    help="The spool's folder, in place of the configuration's.",
)
_NAME: Final = click.argument("name", metavar="ID")


@click.group(
    cls=Commands,
    examples=(
        "msys-track spool list",
        "msys-track spool retry --all",
    ),
)
def spool() -> None:
    """Look at mail that waits in the proxy's spool, try it at once, remove it.

    Mail waits there that the proxy has taken and could not hand to the upstream yet. Works while
    the proxy runs. ID is a queue id from the log or from `list`, or one copy of it such as
    K7XW2MBQ4P.1. Addresses are shown.
    """


@spool.command(
    "list",
    short_help="Print each copy that waits.",
    examples=(
        "msys-track spool list",
        "msys-track spool list --json",
    ),
)
@parameters.CONFIG
@_FOLDER
@parameters.JSON
def list_copies(*, config_file: Path, folder: Path | None, as_json: bool) -> None:
    """Print each copy, the oldest first: one line each, or one JSON object a line."""
    clock = Clock.of_machine()
    for copy in inspection.list_copies(folder or _find_folder(config_file)):
        if as_json:
            click.echo(json.dumps(_describe(copy, clock), ensure_ascii=False))
            continue
        more = f" and {len(copy.recipients) - 1} more" if len(copy.recipients) > 1 else ""
        click.echo(
            f"{copy.name:<13} {_write_state(copy, clock):<16} {copy.size:>9} bytes  "
            f"<{copy.sender}> to <{copy.recipients[0].path}>{more}"
        )


@spool.command(
    short_help="Print all that is known of a mail or a copy.",
    examples=(
        "msys-track spool show K7XW2MBQ4P",
        "msys-track spool show K7XW2MBQ4P.1 --message > copy.eml",
    ),
)
@_NAME
@parameters.CONFIG
@_FOLDER
@parameters.JSON
@click.option("--message", "is_message", is_flag=True, help="Write the message of one copy.")
def show(
    *, name: str, config_file: Path, folder: Path | None, as_json: bool, is_message: bool
) -> None:
    """Print what is known of a mail or a copy: sender, recipients, attempts, the last answer.

    With --message writes the message itself, of the first copy where ID has several.
    """
    place = folder or _find_folder(config_file)
    copies = inspection.find_copies(place, name)
    if is_message:
        streams.output().write(inspection.read_message(place, copies[0]))
        return
    clock = Clock.of_machine()
    for copy in copies:
        described = _describe(copy, clock)
        if as_json:
            click.echo(json.dumps(described, ensure_ascii=False))
            continue
        described["recipients"] = [
            " ".join([f"<{each.path}>", *each.parameters]) for each in copy.recipients
        ]
        for field, value in described.items():
            text = ", ".join(value) if isinstance(value, list) else value
            click.echo(f"{field}: {'' if text is None else text}")
        click.echo()


@spool.command(
    short_help="Make copies due now.",
    examples=(
        "msys-track spool retry K7XW2MBQ4P",
        "msys-track spool retry --all",
    ),
)
@click.argument("names", metavar="[ID]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Everything that waits.")
@parameters.CONFIG
@_FOLDER
def retry(*, names: tuple[str, ...], is_all: bool, config_file: Path, folder: Path | None) -> None:
    """Make mails or copies due now; a running proxy tries them within seconds."""
    if is_all == bool(names):
        raise click.UsageError("give one ID or more, or --all")
    count = inspection.make_due(folder or _find_folder(config_file), names)
    click.echo(f"due now: {count}", err=True)


@spool.command(
    short_help="Remove copies without a report.",
    examples=(
        "msys-track spool remove K7XW2MBQ4P.1",
        "msys-track spool remove K7XW2MBQ4P",
    ),
)
@click.argument("names", metavar="ID...", nargs=-1, required=True)
@parameters.CONFIG
@_FOLDER
def remove(*, names: tuple[str, ...], config_file: Path, folder: Path | None) -> None:
    """Remove mails or copies for good. No report goes to their senders."""
    count = inspection.remove_copies(folder or _find_folder(config_file), names)
    click.echo(f"removed: {count}", err=True)


def _find_folder(config_file: Path) -> Path:
    return load(config_file, server="proxy").spool.path


def _write_state(copy: KeptCopy, clock: Clock) -> str:
    if copy.state == "failed":
        return "to be reported"
    if copy.claimed_by is not None:
        return "being sent"
    seconds = copy.due_uptime - clock.uptime()
    return f"due in {seconds:.0f} s" if seconds > 0 else "due"


def _describe(copy: KeptCopy, clock: Clock) -> dict[str, Any]:
    return {
        "id": copy.name,
        "state": _write_state(copy, clock),
        "sender": copy.sender,
        "mail_parameters": list(copy.mail_parameters),
        "recipients": [
            {"path": each.path, "parameters": list(each.parameters)} for each in copy.recipients
        ],
        "bytes": copy.size,
        "kept_at": datetime.fromtimestamp(copy.kept_at, UTC).isoformat(timespec="seconds"),
        "kept_seconds": round(clock.uptime() - copy.kept_uptime),
        "attempts": copy.attempts,
        "answer": copy.answer,
        "envelope_id": copy.envelope_id,
    }
