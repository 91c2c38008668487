"""`msys-track init`: a folder to begin with."""

import getpass
import re
import shlex
import sys
from pathlib import Path

import click

from msys_track.cli import parameters
from msys_track.cli.commands import Command
from msys_track.service.installation import FIRST_MAIL, Plan, install

_HERE = "127.0.0.1:8080"


@click.command(
    cls=Command,
    examples=(
        "msys-track init shop",
        (
            "msys-track init news --tracking-domain click.example.com --https \\\n"
            "    --upstream mail.example.com:25 --user amy"
        ),
    ),
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
@parameters.option(
    "--tracking-domain",
    envvar="TRACKING_DOMAIN",
    metavar="HOST[:PORT]",
    type=parameters.tracking_domain,
    help=f"The host of links. [default: {_HERE}, which works on this machine alone]",
)
@parameters.option(
    "--https/--http",
    "has_https",
    envvar="HTTPS",
    default=None,
    help="How links begin. [default: --http]",
)
@parameters.option(
    "--upstream",
    envvar="UPSTREAM",
    metavar="HOST:PORT",
    type=parameters.upstream,
    help="Where mail goes. [default: 127.0.0.1:25]",
)
@parameters.option(
    "--listen",
    envvar="LISTEN",
    metavar="HOST:PORT",
    type=parameters.listen,
    default="127.0.0.1:2525",
    show_default=True,
    help="Where mail comes in.",
)
@parameters.option(
    "--tracker-listen",
    envvar="TRACKER_LISTEN",
    metavar="HOST:PORT",
    type=parameters.listen,
    default=_HERE,
    show_default=True,
    help="Where links are answered.",
)
@parameters.option(
    "--report-listen",
    envvar="REPORT_LISTEN",
    metavar="HOST:PORT",
    type=parameters.listen,
    default="127.0.0.1:8026",
    show_default=True,
    help="Where the report is.",
)
@parameters.option(
    "--user",
    envvar="REPORT_USER",
    metavar="NAME",
    help="Who may look at the report. [default: who you are here]",
)
def init(  # noqa: PLR0913 - one parameter an option
    *,
    folder: Path,
    tracking_domain: str | None,
    has_https: bool | None,
    upstream: str | None,
    listen: str,
    tracker_listen: str,
    report_listen: str,
    user: str | None,
) -> None:
    """Make a FOLDER with all that `msys-track serve` needs; no file that is there is touched.

    Asks on a terminal for what no option says. Prints the password of the report's user once, and
    the next three steps.
    """
    asks = sys.stdin.isatty()
    if tracking_domain is None:
        tracking_domain = _HERE
        if asks:
            tracking_domain = click.prompt(
                "Host of links", default=_HERE, value_proc=parameters.tracking_domain
            )
    if has_https is None:
        has_https = asks and click.confirm("Do links begin with https?", default=False)
    if upstream is None:
        upstream = "127.0.0.1:25"
        if asks:
            upstream = click.prompt(
                "Where mail goes", default=upstream, value_proc=parameters.upstream
            )
    if user is None:
        user = click.prompt("User of the report", default=getpass.getuser()) if asks else None
    plan = Plan(
        folder=folder,
        tracking_domain=tracking_domain,
        has_https=has_https,
        upstream=upstream,
        proxy=listen,
        tracker=tracker_listen,
        report=report_listen,
        user=user or getpass.getuser(),
    )
    installed = install(plan)
    for file in installed.files:
        click.echo(f"made {file}")
    click.echo(f"\nThe report's user is {plan.user}, the password {installed.password}\n")
    for line in _list_steps(plan):
        click.echo(line)


def _list_steps(plan: Plan) -> list[str]:
    host = re.sub(r":[0-9]+\Z", "", plan.tracking_domain)
    front = "" if not plan.has_https else ", HTTPS in front of it (docs/fronts.md)"
    dns = f"let {host} lead to the tracker at {plan.tracker}{front}"
    if plan.tracking_domain == plan.tracker:
        dns = "none: links work on this machine alone, until tracking_domain is a host of yours"
    return [
        f"1. DNS: {dns}.",
        f"2. Upstream: let the mail server at {plan.upstream} take mail from this machine.",
        "3. First mail:",
        f"     cd {shlex.quote(str(plan.folder))} && msys-track serve",
        "   and from another terminal in the same folder, with an address of yours:",
        f"     curl smtp://{plan.proxy} --mail-from you@example.com \\",
        f"       --mail-rcpt you@example.com --upload-file {FIRST_MAIL}",
        f"   Click the link in it, then look at http://{plan.report}/",
        "",
        "`msys-track check` says what is not right yet.",
    ]
