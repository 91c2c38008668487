"""A Momentum node for submission: users over TLS, feedback loops, no relaying for strangers."""

import asyncio
import base64
import smtplib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from tests.certificates import Certificate, make_certificate
from tests.ports import find_free_ports
from tests.processes import running
from tests.smtp_client import Client, inside_tls
from tests.upstreams import ScriptedUpstream
from tests.users import PASSWORD, write_users

pytestmark = pytest.mark.anyio

CONFIGURATION = """
smtpapi { }
EHLO_Hostname = __hostname__
ESMTP_Listener {
  SMTP_Extensions = ( "ENHANCEDSTATUSCODES" )
  Idle_Time = 300
}
Control_Listener {
  Enable_Authentication = "true"
  AuthDigestMD5Parameters = [ uri = "ecauth://" ]
  Listen "/tmp/2025" { Enable_Authentication = "false" }
}
domain "fbl.shop.example" { Blackhole = "internal" Generate_Bounces = "false" }
Domain /^mx[0-9]+\\.(old|new)\\.example$/ { Max_Outbound_Connections = 2 }
SNMP = { State = enabled }
ESMTP_Listener {
  # users, over STARTTLS
  Listen "127.0.0.1:@SUBMISSION@" {
    Enable = true
    TLS_Certificate = "server.crt"
    TLS_Key = "server.key"
    TLS_Client_CA = "cacert.pem"
    TLS_Ciphers = "DEFAULT"
    TLS_Protocols = "+ALL:-TLSv1.0:-SSLv3"
    AuthLoginParameters = [
      uri = "file:///opt/msys/ecelerity/etc/unsafe_passwd"
      log_authentication = "true"
    ]
    SMTP_Extensions = ( "ENHANCEDSTATUSCODES" "STARTTLS" "AUTH LOGIN" )
    tracking_domain = "click.shop.example:81"
    click_tracking_enabled = true
  }
  # users, over TLS from the first byte
  Listen "127.0.0.1:@SECURE@" {
    Use_SSL = true
    SMTP_Extensions = ( "AUTH LOGIN" )
    tracking_domain = "secure.shop.example"
    click_tracking_enabled = true
  }
  # feedback loops; no relay
  Listen "127.0.0.1:@FEEDBACK@" {
    Open_Relay = false
  }
}
msys_track { auth_users = "users.toml" }
"""
HTML = (
    b"From: s@shop.example\r\nContent-Type: text/html\r\n\r\n"
    b'<a href="http://www.shop.example/">x</a>\r\n'
)


@dataclass(slots=True)
class Node:
    """A running proxy and its ports."""

    hop: ScriptedUpstream
    certificate: Certificate
    submission: int
    secure: int
    feedback: int


@pytest.fixture(scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    folder = tmp_path_factory.mktemp("node")
    submission, secure, feedback = find_free_ports(3)
    text = CONFIGURATION.replace("@SUBMISSION@", str(submission))
    text = text.replace("@SECURE@", str(secure)).replace("@FEEDBACK@", str(feedback))
    configuration = folder / "ecelerity.conf"
    configuration.write_text(text, encoding="utf-8")
    certificate = make_certificate(folder)
    write_users(folder / "users.toml")
    async with ScriptedUpstream() as hop:
        upstream = f"127.0.0.1:{hop.port}"
        async with running(
            "proxy", "--config", configuration, "--upstream", upstream, listeners=3
        ):
            yield Node(hop, certificate, submission, secure, feedback)


async def log_in(client: Client) -> str:
    credentials = base64.b64encode(f"\0shop\0{PASSWORD}".encode()).decode()
    return await client.say(f"AUTH PLAIN {credentials}")


@pytest.mark.parametrize("port", ["submission", "feedback"])
async def test_a_stranger_s_mail_is_refused_at_every_port(node: Node, port: str) -> None:
    async with Client(getattr(node, port)) as client:
        assert "STARTTLS" in await client.say("EHLO stranger.test")
        refused = await client.say("MAIL FROM:<s@stranger.example>")
        assert refused == "530 5.7.0 Must issue a STARTTLS command first"
        assert (await client.say("RCPT TO:<jo@reader.example>")).startswith("503 ")
        assert (await log_in(client)).startswith("5")  # never in plain text
    async with inside_tls(getattr(node, port), node.certificate) as client:
        refused = await client.say("MAIL FROM:<s@stranger.example>")
        assert refused == "530 5.7.0 Authentication required"


async def test_a_user_s_mail_is_tracked_by_the_options_of_the_port(node: Node) -> None:
    async with inside_tls(node.submission, node.certificate) as client:
        assert await log_in(client) == "235 2.7.0 Authentication successful"
        assert (await client.deliver(HTML, "jo@reader.example")).startswith("250 ")
    assert b'href="http://click.shop.example:81/' in node.hop.taken[-1].message


async def test_a_port_of_tls_begins_with_it_and_has_its_own_options(node: Node) -> None:
    def send() -> None:
        context = node.certificate.trust()
        with smtplib.SMTP_SSL("localhost", node.secure, context=context) as client:
            client.login("shop", PASSWORD)
            client.sendmail("s@shop.example", ["jo@reader.example"], HTML)

    await asyncio.to_thread(send)
    assert b'href="http://secure.shop.example/' in node.hop.taken[-1].message
