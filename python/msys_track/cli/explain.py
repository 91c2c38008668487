"""`msys-track explain`: why a mail would be tracked as it is, or would not be."""

import json
import time
from pathlib import Path
from typing import Final

import click

from msys_track.cli import parameters, streams
from msys_track.cli.commands import Command
from msys_track.cli.exits import ExitCode
from msys_track.cli.explanation import format_explanation
from msys_track.config.configuration import Configuration
from msys_track.config.effective import find_listen
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.dispatch.explain import explain
from msys_track.dispatch.session import PolicySession
from msys_track.errors import MessageRefusedError
from msys_track.injection.settings import ProxySettings
from msys_track.keys.ring import KeyRing
from msys_track.service import assembly
from msys_track.smtp.address import Address

_PORT: Final = 50_000  # of the client; no client is connected
_CONFIGURATION: Final = Path("msys-track.toml")


@click.command(
    "explain",
    cls=Command,
    examples=(
        "msys-track explain mail.eml --to jo@example.com",
        "msys-track explain - --to jo@example.com --json < mail.eml",
        "msys-track explain mail.eml --to jo@example.com --listen 127.0.0.1:2525",
    ),
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True))
@parameters.option(
    "--to",
    "recipients",
    envvar="TO",
    required=True,
    multiple=True,
    metavar="ADDRESS",
    type=parameters.mail_address,
    help="A recipient of the transaction; may be given several times.",
)
@parameters.option(
    "--from",
    "sender",
    envvar="FROM",
    default="",
    metavar="ADDRESS",
    type=parameters.reverse_path,
    help="The sender of the transaction.  [default: the null sender]",
)
@parameters.option(
    "--listen",
    envvar="LISTEN",
    metavar="HOST:PORT",
    type=parameters.listen_address,
    help="The address that the mail comes in at.  [default: the proxy's first]",
)
@parameters.option(
    "--peer",
    envvar="PEER",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    type=parameters.ip_address,
    help="The address of the client.",
)
@parameters.option(
    "--helo",
    envvar="HELO",
    default="localhost",
    show_default=True,
    metavar="NAME",
    help="How the client introduces itself.",
)
@parameters.option(
    "--config",
    "config_file",
    envvar="CONFIG",
    type=parameters.FILE,
    help="Configuration file.  [default: msys-track.toml, if there is one]",
)
@parameters.ENGINE
@parameters.JSON
def command(  # noqa: PLR0913 - one parameter an option
    *,
    file: Path,
    recipients: tuple[str, ...],
    sender: str,
    listen: Address | None,
    peer: str,
    helo: str,
    config_file: Path | None,
    engine: str,
    as_json: bool,
) -> None:
    """Show what would become of the mail in FILE (- for standard input) if it were injected.

    Prints each option with its value and who decided it, each link and what became of it, the
    pixels, the parts, and the copies. Sends nothing. Calls policy as the proxy does. If the mail
    would be refused, prints the reply; the exit code is then 1.
    """
    if config_file is None and _CONFIGURATION.exists():  # as a proxy that is started here does
        config_file = _CONFIGURATION
    recipients = tuple(dict.fromkeys(recipients))
    read = None if config_file is None else assembly.read_configuration(config_file, "proxy")
    keys = KeyRing.temporary()  # nothing is sent, so no secret is needed
    rewriter = (
        Dispatcher(keys=keys, engine=engine)
        if read is None
        else assembly.make_rewriter(read, keys=keys, engine=engine)
    )
    message = streams.message() if str(file) == "-" else file.read_bytes()
    listen_name = _choose_listener(read, listen)
    session = PolicySession(rewriter.scopes, peer=str(Address(peer, _PORT)), listen=listen_name)
    try:
        transaction = session.inject(
            rewriter.policy, helo=helo, sender=sender, recipients=recipients, message=message
        )
        decision = rewriter.decide(message, recipients, transaction=transaction)
    except MessageRefusedError as refused:
        reply = {"refused": {"code": refused.code, "text": refused.text}}
        line = f"refused: {refused.code} {refused.text}"
        click.echo(json.dumps(reply, indent=2) if as_json else line)
        raise click.exceptions.Exit(ExitCode.FAILED) from refused
    explanation = explain(decision, rewriter.render(decision, now=int(time.time())))
    if as_json:
        injection = {
            "configuration": None if config_file is None else str(config_file),
            "listen": listen_name,
            "peer": peer,
            "recipients": list(recipients),
        }
        click.echo(json.dumps(injection | explanation.as_json(), indent=2, ensure_ascii=False))
        return
    click.echo(f"{file}, as if {peer} injected it at {listen_name}")
    click.echo(f"configuration: {config_file or 'none; --config FILE names one'}")
    for line in format_explanation(explanation, width=streams.columns()):
        click.echo(line)


def _choose_listener(read: Configuration | None, listen: Address | None) -> str:
    """Name the listener as scopes and policy know it.

    Raises:
        click.BadParameter: the proxy of this configuration does not listen there.
    """
    if read is None or read.proxy is None:
        return str(listen or ProxySettings().listens[0])
    listens = [str(each) for each in read.proxy.all_listens]
    name = listens[0] if listen is None else find_listen(listens, listen)
    if name is None:
        raise click.BadParameter(
            f"this configuration's proxy does not listen on {listen}, but on {', '.join(listens)}",
            param_hint="'--listen'",
        )
    return name
