"""The command line: each command parses its arguments, calls one room and prints.

A command is imported when it is called (`COMMANDS`).
"""

import io
import sys
from pathlib import Path
from typing import Final

import click

from msys_track.cli.commands import Commands, Entry
from msys_track.cli.exits import ExitCode

__all__ = ["COMMANDS", "main"]

_SERVERS: Final = "proxy,tracker,report"

COMMANDS: Final = {
    "api-keys": Entry(
        "msys_track.cli.api_keys:api_keys",
        "Make, list and remove keys of the read APIs.",
        "report",
    ),
    "bench": Entry(
        "msys_track.cli.bench:bench",
        "Race msys-track with its peers, and draw the result.",
        "bench",
    ),
    "check": Entry(
        "msys_track.cli.check:check",
        "Probe an installation, and say what to do about faults.",
        "proxy",
    ),
    "completion": Entry(
        "msys_track.cli.completion:completion", "Complete commands and options in a shell."
    ),
    "config": Entry(
        "msys_track.cli.config:config",
        "Begin, check, show and convert configuration files.",
        "proxy",
    ),
    "demo": Entry(
        "msys_track.cli.demo:demo",
        "Show a tour: mails in, tracked mails out, clicks and opens back.",
        "proxy,tracker",
    ),
    "events": Entry(
        "msys_track.cli.events:events", "Look at events, count, export and erase them.", "tracker"
    ),
    "explain": Entry(
        "msys_track.cli.explain:command", "Show why a mail is tracked as it is.", "proxy"
    ),
    "init": Entry(
        "msys_track.cli.init:init", "Make a configuration, keys and a user to begin with.", "proxy"
    ),
    "keys": Entry("msys_track.cli.keys:keys", "Make, rotate and list key files."),
    "open-link": Entry(
        "msys_track.cli.links:open_link", "Print the claims of a tracked link, as JSON."
    ),
    "proxy": Entry(
        "msys_track.cli.proxy:proxy", "Take mail over SMTP, track it, hand it on.", "proxy"
    ),
    "report": Entry(
        "msys_track.cli.report:report",
        "Show the store as pages, and over SparkPost's read APIs.",
        "report",
    ),
    "rewrite": Entry(
        "msys_track.cli.rewrite:rewrite",
        "Track one message as a filter, from input to output.",
    ),
    "serve": Entry("msys_track.cli.serve:serve", "Run all servers of a configuration.", _SERVERS),
    "spool": Entry(
        "msys_track.cli.spool:spool", "Look at mail that waits for the upstream.", "proxy"
    ),
    "top": Entry("msys_track.cli.top:top", "Show what a running proxy does.", "proxy"),
    "tracker": Entry(
        "msys_track.cli.tracker:tracker", "Answer the clicks and opens of tracked mail.", "tracker"
    ),
    "users": Entry("msys_track.cli.users:users", "Add, remove and list users."),
    "webhook": Entry(
        "msys_track.cli.webhook:webhook",
        "Try webhooks, look at them, send events again.",
        "tracker,webhook",
    ),
}
"""Every command, and what it needs. Its help stands here and nowhere else."""


@click.group(
    "msys-track",
    cls=Commands,
    entries=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    examples=(
        "msys-track demo                 # see it work, on this machine alone",
        "msys-track init shop            # a folder with all that the servers need",
        "cd shop && msys-track serve     # proxy, tracker and report, until Ctrl-C",
        "msys-track events --help        # what a command is for, with examples",
    ),
    epilog="Exit codes: 0 done; 1 refused or failed; 2 wrong usage or configuration. Every "
    "option can be set by the environment variable beside it.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration for the command that follows; without a command the proxy starts.",
)
@click.version_option(package_name="msys-track", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context, *, config_file: Path | None) -> None:
    """Track opens and clicks of mail that is injected over SMTP.

    The proxy takes mail, wraps its links, adds pixels and hands it to your mail server. The
    tracker answers the links and stores what readers did; the report shows it. Begin with `demo`,
    then `init` and `serve`.
    """
    from msys_track.cli import logs, streams  # noqa: PLC0415 - not for --version and --help

    # Nothing that click prints has colours: what looks so is of a stranger's mail or server.
    context.color = False
    streams.occupy()
    logs.to_stderr()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Mails and file names hold characters that a terminal's encoding may not have.
        sys.stdout.reconfigure(errors="backslashreplace")
    if config_file is not None:
        named = {"config_file": str(config_file)}
        context.default_map = {name: dict(named) for name in COMMANDS}
    if context.invoked_subcommand is not None:
        return
    if config_file is None:
        click.echo(context.get_help(), err=True)
        context.exit(ExitCode.MISUSED)
    proxy = COMMANDS["proxy"].load("msys-track proxy")
    proxy.main(["--config", str(config_file)], prog_name="msys-track", standalone_mode=False)
