"""`msys-track open-link`: the claims of one tracked link, for those who have its key."""

import json
from datetime import UTC, datetime

import click

from msys_track.cli import parameters, streams
from msys_track.cli.commands import Command
from msys_track.keys.file import KeySource
from msys_track.keys.link import open_link as open_tracked_url
from msys_track.keys.plain.encoding import FLAGS


@click.command(
    "open-link",
    cls=Command,
    examples=("msys-track open-link 'http://click.example.com/f/a/…' --keys keys.toml",),
)
@click.argument("url")
@parameters.keys(required=True, help_text="The keys that sealed the link.")
def open_link(*, url: str, key_source: KeySource) -> None:
    """Print what a tracked URL, or the path of one, holds: one JSON object.

    That is the target, the recipient, the message, the campaign and its metadata. Nothing is
    counted as a click.
    """
    claims = open_tracked_url(url, parameters.key_ring(key_source))
    engagement, metadata = claims.engagement, claims.engagement.metadata
    members = {
        "kind": claims.kind,
        "target": claims.target,
        "link_name": claims.link_name,
        "link_number": claims.link_number,
        "link_part": claims.link_part,
        "recipient": engagement.recipient,
        "recipient_type": engagement.recipient_type,
        "message_id": engagement.message_id,
        # As text, as in events: JSON readers hold numbers to 53 bits.
        "transmission_id": str(engagement.transmission_id),
        "campaign_id": engagement.campaign_id,
        "metadata": None if metadata is None else json.loads(metadata),
        "tags": list(engagement.tags),
        "customer_id": engagement.customer_id,
        "subaccount_id": engagement.subaccount_id,
        "injected_at": _iso_8601(engagement.injected_at),
        "expires_at": _iso_8601(engagement.expires_at),
        "flags": {name: getattr(engagement, name) for name in FLAGS},
    }
    text = json.dumps(members, indent=2, ensure_ascii=False)
    streams.output().write(text.encode("utf-8") + b"\n")


def _iso_8601(unix_seconds: int) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
