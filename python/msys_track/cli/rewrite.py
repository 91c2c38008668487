"""`msys-track rewrite`: rewrites one message, as a filter."""

import base64
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, get_args

import click

from msys_track.cli import parameters, streams
from msys_track.cli.commands import Command
from msys_track.cli.exits import CommandError
from msys_track.dispatch.copies import Copy
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.dispatch.library import open_page
from msys_track.errors import describe_os_error
from msys_track.keys.file import KeySource
from msys_track.keys.ring import KeyRing
from msys_track.options.resolve import DEFAULT_SCHEME, DEFAULT_TRACKING_DOMAIN
from msys_track.options.tracking import Scheme, TrackingOptions

_MAX_PRINTED: Final = 20


@click.command(
    cls=Command,
    examples=(
        "msys-track rewrite --to jo@example.com --open-tracking < mail.eml",
        (
            "msys-track rewrite --to jo@example.com --click-tracking --keys keys.toml \\\n"
            "    --domain click.example.com < mail.eml > tracked.eml"
        ),
        "msys-track rewrite --to jo@example.com --click-tracking --html < page.html",
    ),
)
@parameters.option(
    "--to",
    "recipient",
    envvar="TO",
    required=True,
    metavar="ADDRESS",
    type=parameters.mail_address,
    help="The recipient whose opens and clicks the links record.",
)
@parameters.option(
    "--open-tracking",
    envvar="OPEN_TRACKING",
    is_flag=True,
    help="Add a pixel, unless the message's X-MSYS-API header forbids it.",
)
@parameters.option(
    "--click-tracking",
    envvar="CLICK_TRACKING",
    is_flag=True,
    help="Wrap links, unless the message's X-MSYS-API header forbids it.",
)
@parameters.option(
    "--domain",
    envvar="DOMAIN",
    metavar="HOST[:PORT]",
    type=parameters.tracking_domain,
    help=f"Where tracked links lead: your tracker.  [default: {DEFAULT_TRACKING_DOMAIN}]",
)
@parameters.option(
    "--scheme",
    envvar="SCHEME",
    type=click.Choice(get_args(Scheme), case_sensitive=False),
    help=f"Scheme of tracked links.  [default: {DEFAULT_SCHEME}]",
)
@parameters.keys(
    required=False,
    help_text="The keys that seal the links; without them a temporary key.",
)
@parameters.option(
    "--html",
    "is_html",
    envvar="HTML",
    is_flag=True,
    help="The input is an HTML document and no message. It is written while it is read.",
)
@parameters.option(
    "--charset",
    envvar="CHARSET",
    metavar="NAME",
    help="The encoding of the HTML document; with --html only.  [default: UTF-8 where it fits]",
)
@parameters.option(
    "--edits",
    "edits_file",
    envvar="EDITS",
    type=parameters.FILE,
    help="Write the changes to this file, as JSON: offset and length in the input's bytes, "
    "and the new bytes in base64.",
)
@parameters.ENGINE
def rewrite(  # noqa: PLR0913 - one parameter an option
    *,
    recipient: str,
    open_tracking: bool,
    click_tracking: bool,
    domain: str | None,
    scheme: Scheme | None,
    key_source: KeySource | None,
    is_html: bool,
    charset: str | None,
    edits_file: Path | None,
    engine: str,
) -> None:
    """Read one message (RFC 5322) from standard input and write the copy of one recipient.

    Tracking is off unless a flag or the message's own X-MSYS-API header asks for it; the header
    overrides the flags and is removed. Prints on standard error what was done, and what was left
    alone and why. If the header is malformed, prints its 550 on standard error and nothing on
    standard output. With --html, does the same to an HTML document of any length.
    """
    if is_html and edits_file is not None:
        raise click.UsageError("--edits goes with a message: with --html nothing is kept to list")
    if charset is not None and not is_html:
        raise click.UsageError("--charset goes with --html: a message names its own charsets")
    options = TrackingOptions(
        open_tracking=open_tracking or None,
        click_tracking=click_tracking or None,
        open_tracking_scheme=scheme,
        click_tracking_scheme=scheme,
        tracking_domain=domain,
    )
    keys = KeyRing.temporary() if key_source is None else parameters.key_ring(key_source)
    if is_html:
        page = open_page(recipient=recipient, keys=keys, options=options, charset=charset)
        output = streams.output()
        for chunk in streams.chunks("page", "page.html"):
            output.write(page.write(chunk))
        output.write(page.end())
        _print_work(page.wrapped_links, page.pixels, page.reasons)
        left = [(each.offset, each.length, each.reason) for each in page.left_alone]
        _print_left(left, sum(page.reasons.values()))
        _warn_of_temporary_key(key_source, page.wrapped_links + page.pixels)
        return
    rewriter = Dispatcher(keys=keys, options=options, source="command line", engine=engine)
    output, message = streams.output(), streams.message()
    copy = rewriter.copy_for(recipient, message, now=int(time.time()))
    if edits_file is not None:
        edits = [
            {
                "offset": offset,
                "length": length,
                "inserted": base64.b64encode(inserted).decode("ascii"),
            }
            for offset, length, inserted in copy.edits
        ]
        try:
            edits_file.write_text(json.dumps(edits, indent=1) + "\n", encoding="ascii")
        except OSError as error:
            raise CommandError(f"msys-track: {edits_file}: {describe_os_error(error)}") from error
    output.write(copy.message)
    _print_report(copy)
    _warn_of_temporary_key(key_source, copy.wrapped_links + copy.pixels)


def _warn_of_temporary_key(key_source: KeySource | None, sealed: int) -> None:
    if key_source is None and sealed:
        click.echo("temporary key: these links can't be opened later; see --keys", err=True)


def _print_report(copy: Copy) -> None:
    if copy.resolved is None:
        raise AssertionError("without policy no copy is bypassed")
    opens, clicks = (
        f"{'on' if origin.value else 'off'} ({origin.source})"
        for origin in (copy.resolved.open_tracking, copy.resolved.click_tracking)
    )
    click.echo(f"open tracking {opens}, click tracking {clicks}", err=True)
    left = [(offset, length, why.value) for offset, length, why in copy.left_alone]
    _print_work(copy.wrapped_links, copy.pixels, Counter(code for _, _, code in left))
    _print_left(left, len(left))


def _print_work(links: int, pixels: int, left: Mapping[str, int]) -> None:
    reasons = ", ".join(f"{count} {code}" for code, count in left.items())
    click.echo(
        f"{links} {'link' if links == 1 else 'links'} wrapped, "
        f"{pixels} {'pixel' if pixels == 1 else 'pixels'} added, "
        f"left alone: {reasons or 'nothing'}",
        err=True,
    )


def _print_left(left: Sequence[tuple[int, int, str]], count: int) -> None:
    shown = left[:_MAX_PRINTED]
    for offset, length, code in shown:
        click.echo(f"  bytes {offset} to {offset + length}: {code}", err=True)
    if count > len(shown):
        click.echo(f"  and {count - len(shown)} more", err=True)
