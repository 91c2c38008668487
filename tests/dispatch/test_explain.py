"""What explain says is what happens.

Each mail is explained by the command and injected into a real proxy with the same configuration.
"""

import asyncio
import email
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.dispatch.explained_mails import CONFIGURATION, DOMAIN, MAILS, Mail
from tests.policy.policies import transaction
from tests.proxied import run_proxy, send_mail

from msys_track.cli import main
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.dispatch.explain import Explanation, explain
from msys_track.errors import InvalidTokenError
from msys_track.keys.file import create
from msys_track.keys.ring import Claims, KeyRing
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.guard import Guard
from msys_track.policy.loading import PolicySettings, load_policy
from msys_track.service import assembly

TRACKED_URL = re.compile(rf"https?://{re.escape(DOMAIN)}(/[fq]/[\w./-]+)".encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A mail as written, as explained, as arrived."""

    mail: Mail
    record: dict[str, Any]
    arrived: bytes
    keys: KeyRing

    @property
    def decided(self) -> dict[str, Any]:
        (decided,) = self.record["decided"]
        return dict(decided)

    def claims(self) -> Iterator[Claims]:
        """Open every tracked URL that arrived and that this proxy made."""
        for part in email.message_from_bytes(self.arrived).walk():
            content = part.get_payload(decode=True)
            for path in TRACKED_URL.findall(content if isinstance(content, bytes) else b""):
                try:
                    yield self.keys.open(path.decode())
                except InvalidTokenError:
                    continue


async def send_through_a_proxy(configuration: Path, message: bytes) -> bytes:
    read = assembly.read_configuration(configuration, "proxy")
    async with run_proxy(assembly.make_rewriter(read)) as (proxy, hop):
        await send_mail(proxy.port, message, options=["BODY=8BITMIME"])
    (taken,) = hop.taken
    return taken.message


@pytest.fixture(scope="module", params=MAILS, ids=lambda mail: mail.name)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Explained:
    """Explain a mail, and inject it."""
    mail, folder = request.param, tmp_path_factory.mktemp("explained")
    create(folder / "keys.toml")
    configuration = folder / "msys-track.toml"
    configuration.write_text(CONFIGURATION, encoding="utf-8")
    file = folder / "mail.eml"
    file.write_bytes(mail.message)
    arguments = ["explain", str(file), "--to", "jo@reader.example", "--json"]
    result = CliRunner().invoke(main, [*arguments, "--config", str(configuration)])
    assert result.exit_code == 0, result.output
    return Explained(
        mail=mail,
        record=json.loads(result.stdout),
        arrived=asyncio.run(send_through_a_proxy(configuration, mail.message)),
        keys=KeyRing.load(folder / "keys.toml"),
    )


def test_there_are_more_than_twenty_mails() -> None:
    assert len({mail.message for mail in MAILS}) >= 20


def test_each_link_is_explained_as_it_arrives(both: Explained) -> None:
    links = [(link["target"], link["fate"]) for link in both.decided["links"]]
    assert links == list(both.mail.links)
    wrapped = Counter(target for target, fate in links if fate == "wrapped")
    assert Counter(each.target for each in both.claims() if each.target is not None) == wrapped
    assert both.record["copies"][0]["wrapped_links"] == wrapped.total()


def test_each_pixel_is_explained_as_it_arrives(both: Explained) -> None:
    pixels = [(pixel["kind"], pixel["fate"]) for pixel in both.decided["pixels"]]
    assert pixels == list(both.mail.pixels)
    added = sorted(kind for kind, fate in pixels if fate == "added")
    assert sorted(each.kind for each in both.claims() if each.target is None) == added


def test_each_part_is_explained_as_it_arrives(both: Explained) -> None:
    parts = [(part["media_type"], part["fate"]) for part in both.decided["parts"]]
    assert parts == list(both.mail.parts)
    starts = [0, *accumulate(len(line) for line in both.mail.message.splitlines(keepends=True))]
    for part in both.decided["parts"]:
        start = starts[part["line"] - 1]
        body = both.mail.message[start : start + part["length_bytes"]]
        assert body
        assert (body in both.arrived) == (part["fate"] != "rewritten")


def test_lines_are_those_where_an_editor_finds_the_link(both: Explained) -> None:
    lines = both.mail.message.split(b"\r\n")
    for link in both.decided["links"]:
        host = link["target"].partition("://")[2].partition("/")[0].partition("?")[0]
        if b"base64" not in both.mail.message and host.isascii():
            assert host.encode() in lines[link["line"] - 1]


KEYS = KeyRing.temporary()
ON = TrackingOptions(open_tracking=True, click_tracking=True)
HTML = b"Content-Type: text/html\r\n\r\n<body><a href='http://e.example/'>x</a></body>\r\n"


def explain_mail(
    options: TrackingOptions | None,
    message: bytes,
    *recipients: str,
    policy: Path | None = None,
) -> Explanation:
    """Explain a mail, about which perhaps a policy decides."""
    loaded = load_policy(PolicySettings(files=(policy,) if policy else ()))
    guard = None if loaded is None else Guard(loaded)
    rewriter = Dispatcher(keys=KEYS, options=options, source="listener", policy=guard)
    decision = rewriter.decide(message, recipients, transaction=transaction(message=message))
    return explain(decision, rewriter.render(decision, now=0))


def test_pairs_that_metadata_has_no_room_for_are_named(tmp_path: Path) -> None:
    options = TrackingOptions(open_tracking=True, max_metadata_bytes=10)
    message = b'X-MSYS-API: {"metadata":{"a":1,"wide":"xxxxxxxx"}}\r\n' + HTML
    (decided,) = explain_mail(options, message, "jo@reader.example").decided
    assert decided.truncated == ("wide",)
    policy = tmp_path / "policy.py"
    policy.write_text("""
def validate_data_spool_each_rcpt(transaction):
    transaction.contexts.message.set("smtpapi_metadata", '{"a":1,"wide":"xxxxxxxx","b":2}')
""")
    (decided,) = explain_mail(options, message, "jo@reader.example", policy=policy).decided
    assert decided.truncated == ("wide", "b")
    assert next(each for each in decided.options if each.name == "metadata").value == {"a": 1}


def test_a_campaign_that_begins_with_a_brace_is_text() -> None:
    message = b'X-MSYS-API: {"campaign_id":"{{season}}","metadata":{"a":1}}\r\n' + HTML
    (decided,) = explain_mail(ON, message, "jo@reader.example").decided
    values = {each.name: each.value for each in decided.options}
    assert values["campaign_id"] == "{{season}}"
    assert values["metadata"] == {"a": 1}


def test_recipients_with_the_same_options_are_explained_once(tmp_path: Path) -> None:
    policy = tmp_path / "policy.py"
    policy.write_text("""
def validate_data_spool_each_rcpt(transaction):
    if transaction.recipient.startswith("quiet"):
        transaction.contexts.message.set("smtpapi_click_tracking", "0")
        transaction.contexts.message.set("smtpapi_open_tracking", "maybe")
    if transaction.recipient.startswith("none"):
        transaction.contexts.message.set("__bypass_smtpapi", "true")
""")
    recipients = ("a@r.example", "quiet@r.example", "b@r.example", "none@r.example")
    record = explain_mail(ON, HTML, *recipients, policy=policy)
    first, second = record.decided
    assert first.recipients == ("a@r.example", "b@r.example")
    assert second.recipients == ("quiet@r.example",)
    assert [link.fate for link in second.links] == ["click_tracking_off"]
    (ignored,) = second.ignored_variables
    assert (ignored.name, ignored.value) == ("smtpapi_open_tracking", "maybe")
    assert ignored.allowed == '"1", "0", "true" or "false"'
    clicks = next(each for each in second.options if each.name == "click_tracking")
    sources = [clicks.source, *(each.source for each in clicks.overrides)]
    assert sources == ["policy", "listener", "default"]
    assert record.copies[-1].readers == (("none@r.example", "to"),)
    assert record.copies[-1].reasons == ("bypassed",)


def test_further_copies_are_listed_with_what_their_readers_are() -> None:
    message = (
        b'X-MSYS-API: {"cc":["c@r.example"],"bcc":["b@r.example","A@r.example"],'
        b'"archive":["z@r.example"],"unheard_of":1}\r\n' + HTML
    )
    record = explain_mail(ON, message, "A@r.example")
    assert [copy.readers for copy in record.copies] == [
        (("A@r.example", "to"), ("z@r.example", "archive")),
        (("c@r.example", "cc"),),
        (("b@r.example", "bcc"),),
    ]
    assert record.ignored_keys == ("unheard_of",)
    assert [(copy.wrapped_links, copy.pixels) for copy in record.copies] == [(1, 1)] * 3


def test_without_tracking_a_copy_for_all_says_why_nothing_was_done() -> None:
    record = explain_mail(None, HTML, "a@r.example", "b@r.example")
    (copy,) = record.copies
    assert (copy.wrapped_links, copy.pixels, copy.reasons) == (0, 0, ("tracking_off",))
    (decided,) = record.decided
    assert [link.fate for link in decided.links] == ["click_tracking_off"]
    assert [pixel.fate for pixel in decided.pixels] == ["open_tracking_off"]
    assert [part.fate for part in decided.parts] == ["tracking_off"]
