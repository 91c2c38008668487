"""A Momentum operator moves here: their files, their policy, their mails, and nothing rewritten.

The files under `tests/momentum` follow Momentum's manual, not ours. They are used as they are, but
for the two port numbers, and once more as `config import` writes them as TOML.
"""

import shutil
import smtplib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.ports import find_free_ports
from tests.processes import Server, running
from tests.proxied import TrackedUrl, find_tracked_urls, send_mail
from tests.upstreams import ScriptedUpstream

from msys_track.cli import main
from msys_track.keys.ring import KeyRing

pytestmark = pytest.mark.anyio

FILES = Path(__file__).parent / "momentum"
HTML = (
    "From: {sender}\r\nTo: jo@reader.example\r\nSubject: Spring\r\n{fields}"
    "Content-Type: text/html; charset=utf-8\r\n\r\n"
    '<html><body><a href="http://www.shop.example/?a=1&amp;b=2">x</a> {{{{name}}}}\r\n'
    "</body></html>\r\n"
)


@dataclass(slots=True)
class Node:
    """A running proxy, its upstream, and how to use them."""

    hop: ScriptedUpstream
    server: Server
    form: str
    news: int
    mail: int
    keys: KeyRing

    async def inject(
        self,
        port: int,
        *,
        fields: str = "",
        sender: str = "news@shop.example",
        to: str = "jo@reader.example",
    ) -> tuple[bytes, dict[str, TrackedUrl]]:
        """Inject a mail; what arrived, and its tracked URLs by their kind."""
        before = len(self.hop.taken)
        message = HTML.format(sender=sender, fields=fields).encode()
        await send_mail(port, message, sender=sender, to=to)
        (taken,) = self.hop.taken[before:]
        assert b"X-MSYS-API" not in taken.message
        assert b"{{name}}" in taken.message
        found = find_tracked_urls(taken.message, self.keys)
        return taken.message, {each.claims.kind: each for each in found}

    async def refusal(self, port: int, *, fields: str = "", to: str = "jo@reader.example") -> str:
        """Inject what is refused; the reply. Nothing of it arrives."""
        before = len(self.hop.arrived)
        with pytest.raises((smtplib.SMTPDataError, smtplib.SMTPRecipientsRefused)) as refused:
            await self.inject(port, fields=fields, to=to)
        assert len(self.hop.arrived) == before
        answer = refused.value.args
        if isinstance(answer[0], dict):  # one for each recipient, of whom there is one
            (answer,) = answer[0].values()
        return f"{answer[0]} {answer[1].decode()}"


def install_files(folder: Path, news: int, mail: int) -> Path:
    """Put the operator's files into a folder, with ports that are free here."""
    shutil.copytree(FILES, folder)
    for file in folder.rglob("*.conf"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("@NEWS@", str(news)).replace("@MAIL@", str(mail)), "utf-8")
    return folder / "ecelerity.conf"


def import_configuration(configuration: Path, upstream: str) -> Path:
    """Convert the operator's configuration as the manual says."""
    folder = configuration.parent

    def run(*command: str) -> str:
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
        return result.stdout

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        text = run("config", "import", str(configuration), "--upstream", upstream)
    toml = folder / "msys-track.toml"
    toml.write_text(text, encoding="utf-8")
    run("keys", "new", str(folder / "msys-track-keys.toml"))
    return toml


@pytest.fixture(scope="module", params=["ecelerity.conf", "config import"])
async def node(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Node]:
    news, mail = find_free_ports(2)
    configuration = install_files(tmp_path_factory.mktemp("node") / "etc", news, mail)
    folder = configuration.parent
    async with ScriptedUpstream() as hop:
        upstream = f"127.0.0.1:{hop.port}"
        if request.param == "config import":
            configuration = import_configuration(configuration, upstream)
        async with running(
            "--config", configuration, listeners=2, MSYS_TRACK_UPSTREAM=upstream
        ) as server:
            assert sorted(server.ports) == sorted([news, mail])
            # The key file was made beside ecelerity.conf when the proxy started first.
            keys = KeyRing.load(folder / "msys-track-keys.toml")
            yield Node(hop, server, request.param, news, mail, keys)


async def test_the_listener_s_options_hold_where_nobody_says_more(node: Node) -> None:
    arrived, tracked = await node.inject(node.news)
    assert tracked.keys() == {"click", "open"}
    assert b'" alt="" src="https://click.shop.example/q/' in arrived
    for each in tracked.values():
        engagement = each.claims.engagement
        assert (each.scheme, each.domain) == ("https", "click.shop.example")
        assert engagement.expires_at - engagement.injected_at == 2_592_000
        assert engagement.recipient == "jo@reader.example"
        assert engagement.customer_id == 1005  # Lua set it for the connection
    assert tracked["click"].claims.target == "http://www.shop.example/?a=1&b=2"


async def test_a_header_in_the_manual_s_form_switches_and_describes(node: Node) -> None:
    header = (
        'X-MSYS-API: {"options" : {"open_tracking" : false, "click_tracking" : true},\r\n'
        '   "metadata" : {"key" : "value"}, "tags" : ["cat", "dog"], "campaign_id" :\r\n'
        '   "my_campaign"}\r\n'
    )
    _, tracked = await node.inject(node.news, fields=header)
    assert tracked.keys() == {"click"}
    engagement = tracked["click"].claims.engagement
    assert (engagement.campaign_id, engagement.tags) == ("my_campaign", ("cat", "dog"))
    # engagement_tracker's click_tracking_include_metadata is off.
    assert engagement.metadata is None


@pytest.mark.parametrize(
    ("header", "campaign", "tags", "metadata"),
    [
        pytest.param(
            '{"options" : {"open_tracking" : true }, "campaign_id" : "my_awes\r\n'
            '   ome_campaign" }',
            "my_awes ome_campaign", (), None,
            id="a fold within a string is one space",
        ),
        pytest.param(
            '{"metadata" : {"my_utf8" : "\\u79c1\\u306f"},\r\n'
            ' "campaign_id" : "=?utf-8?Q?Fr=C3=BChling?= 24", "tags" : ["=?UTF-8?B?xJHhuqV0?="]}',
            "Frühling 24", ("đất",), {"my_utf8": "私は"},
            id="what is not ASCII is escaped or encoded",
        ),
        pytest.param(
            f'{{"metadata":{{"a":1,"b":"{"x" * 40}","c":"{"y" * 40}"}}}}',
            None, (), {"a": 1, "b": "x" * 40},
            id="metadata over the limit keeps the pairs that fit",
        ),
    ],
)  # fmt: skip
async def test_a_header_is_read_as_the_manual_says(
    node: Node, header: str, campaign: str | None, tags: tuple[str, ...], metadata: object
) -> None:
    _, tracked = await node.inject(node.news, fields=f"X-MSYS-API: {header}\r\n")
    engagement = tracked["open"].claims.engagement
    assert (engagement.campaign_id, engagement.tags) == (campaign, tags)
    assert tracked["open"].metadata == metadata


async def test_a_peer_s_word_beats_its_pathway_s_which_beats_the_listener_s(node: Node) -> None:
    _, tracked = await node.inject(node.mail)
    # Clicks are not switched on for this port; opens are, by its Peer.
    assert tracked.keys() == {"open"}
    assert (tracked["open"].scheme, tracked["open"].domain) == ("https", "t.shop.example")
    # The pathway's context is policy's word.
    assert tracked["open"].claims.engagement.campaign_id == "transactional"


async def test_policy_s_variables_beat_header_and_configuration(node: Node) -> None:
    fields = (
        "X-Class: receipt\r\n"
        'X-MSYS-API: {"campaign_id":"by header","tags":["by header"],"metadata":{"n":1}}\r\n'
    )
    _, tracked = await node.inject(node.mail, fields=fields)
    engagement = tracked["open"].claims.engagement
    assert (engagement.campaign_id, engagement.tags) == ("receipts", ("receipt", "no-reply"))
    assert engagement.expires_at - engagement.injected_at == 86_400
    assert tracked["open"].metadata == {"n": 1}


async def test_policy_switches_tracking_off_for_a_class_of_mail(node: Node) -> None:
    fields = 'X-Class: password-reset\r\nX-MSYS-API: {"options":{"click_tracking":true}}\r\n'
    arrived, tracked = await node.inject(node.news, fields=fields)
    assert tracked == {}
    sent = HTML.format(sender="news@shop.example", fields="X-Class: password-reset\r\n")
    assert arrived == sent.encode()


async def test_policy_chooses_a_pathway_in_a_group(node: Node) -> None:
    _, tracked = await node.inject(node.news, sender="shop@outlet.example")
    assert {each.domain for each in tracked.values()} == {"brands.example"}
    assert (tracked["open"].scheme, tracked["click"].scheme) == ("http", "https")
    assert tracked["open"].metadata == {"brand": "Outlet"}


async def test_bad_values_in_the_header_get_the_manual_s_answers(node: Node) -> None:
    assert await node.refusal(node.news, fields='X-MSYS-API: {"metadata" : "text"}\r\n') == (
        "550 5.6.0 X-MSYS-API 'metadata' must be of type 'json object'"
    )
    long = f'X-MSYS-API: {{"campaign_id" : "{"x" * 65}"}}\r\n'
    too_long = "550 5.6.0 smtpapi_campaign_id context is limited to 64 bytes"
    assert await node.refusal(node.news, fields=long) == too_long
    assert await node.refusal(node.news, fields="X-Class: too-long\r\n") == too_long
    broken = await node.refusal(node.news, fields='X-MSYS-API: {"tags" : ["a"],}\r\n')
    assert broken.startswith("550 5.6.0 JSON parsing error in X-MSYS-API (line 1, column ")


async def test_policy_s_refusal_of_a_recipient_is_heard(node: Node) -> None:
    refusal = await node.refusal(node.news, to="jo@blocked.example")
    assert refusal == "550 5.7.1 The domain wants no mail"


async def test_what_means_nothing_here_is_told_and_no_fault(node: Node) -> None:
    faults = [each for each in node.server.logged if each["level"] == "error"]
    assert faults == []
    ignored = " ".join(
        each["what"] for each in node.server.logged if each["event"] == "configuration.ignored"
    )
    # What is converted has left behind what it does without.
    for stanza in ("client_max_messages", "control_listener", "threadpool", "msg_gen"):
        assert (stanza in ignored) == (node.form == "ecelerity.conf")
