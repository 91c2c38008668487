"""Do upstreams take mail? Nothing is sent: at most a sender and a recipient are offered."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from msys_track.errors import SettingsError
from msys_track.relay.connection import ConnectionFailedError, UpstreamConnection
from msys_track.relay.deadlines import Deadlines
from msys_track.relay.opening import LoginRefusedError, Opener, TlsFailedError
from msys_track.relay.settings import UpstreamSettings
from msys_track.service.probing.finding import Finding, approve, blame, warn
from msys_track.service.probing.network import NoAnswerError, look_up
from msys_track.smtp.reply import Reply

# Connection, greeting, EHLO, TLS, AUTH, an envelope.
_STEPS: Final = 6
_MAX_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class ProbeEnvelope:
    """What upstreams are offered, and then taken back."""

    sender: str
    recipient: str


async def probe_upstreams(
    upstreams: Mapping[str, UpstreamSettings],
    envelope: ProbeEnvelope | None,
    own_marks: frozenset[str],
    patience_seconds: float,
) -> list[Finding]:
    """Open a connection to each upstream as the proxy does.

    Args:
        upstreams: Their settings, by their names.
        envelope: What they are offered; None: nothing.
        own_marks: Those of this proxy.
        patience_seconds: For each step.
    """
    probes = (_probe(each, envelope, own_marks, patience_seconds) for each in upstreams.values())
    return [finding for found in await asyncio.gather(*probes) for finding in found]


async def _probe(
    settings: UpstreamSettings,
    envelope: ProbeEnvelope | None,
    own_marks: frozenset[str],
    patience_seconds: float,
) -> list[Finding]:
    what = f"upstream {settings.address}"
    hurried = replace(
        settings,
        connect_timeout_seconds=min(settings.connect_timeout_seconds, patience_seconds),
        reply_timeout_seconds=min(settings.reply_timeout_seconds, patience_seconds),
    )
    if not settings.address.is_unix:
        try:
            await look_up(settings.host, patience_seconds)
        except NoAnswerError as error:
            text = f"{settings.host} does not resolve: {error}"
            return [blame(what, text, "correct upstream in [proxy], or the DNS record")]
    connection: UpstreamConnection | None = None
    try:
        async with asyncio.timeout(_STEPS * patience_seconds):
            connection = await Opener(hurried).open(Deadlines(), lambda _: None)
            findings = [_judge_connection(what, settings, connection, own_marks)]
            if envelope is not None:
                findings.append(await _offer(what, connection, envelope))
            return findings
    except TimeoutError:
        return [blame(what, "takes too long", "ask its operator, or name another upstream")]
    except (ConnectionFailedError, SettingsError) as error:
        return [_explain(what, error)]
    finally:
        if connection is not None:
            connection.quit()
            await asyncio.sleep(0)


def _judge_connection(
    what: str,
    settings: UpstreamSettings,
    connection: UpstreamConnection,
    own_marks: frozenset[str],
) -> Finding:
    if connection.mark is not None and connection.mark in own_marks:
        advice = "name the server that is to take the mail as upstream in [proxy]"
        return blame(what, "is this proxy itself: mail would go round in a circle", advice)
    transport = connection.transport
    is_encrypted = transport is not None and transport.get_extra_info("ssl_object") is not None
    text = f"answers {'over TLS' if is_encrypted else 'without TLS'}"
    if settings.user is not None:
        text = f"{text} and takes our user and password"
    if not is_encrypted and not settings.is_local and settings.tls == "opportunistic":
        advice = 'if it can, set upstream_tls = "require"; mail crosses the network in plain text'
        return warn(what, text, advice)
    return approve(what, text)


async def _offer(what: str, connection: UpstreamConnection, envelope: ProbeEnvelope) -> Finding:
    commands = (
        ("the sender", f"MAIL FROM:<{envelope.sender}>"),
        ("the recipient", f"RCPT TO:<{envelope.recipient}>"),
    )
    try:
        for name, command in commands:
            (reply,) = await connection.exchange(f"{command}\r\n".encode("ascii"), 1)
            if not reply.is_positive:
                return blame(what, f"refuses {name}: {_show(reply)}", _advise_on(name))
    finally:
        with suppress(ConnectionFailedError):
            await connection.exchange(b"RSET\r\n", 1)
    return approve(what, f"would take mail for {envelope.recipient}; nothing was sent")


def _advise_on(name: str) -> str:
    if name == "the sender":
        return "give a sender that it takes mail of: --from ADDRESS"
    return (
        "let it relay mail of this machine (mynetworks of Postfix), or log in with upstream_user"
    )


def _explain(what: str, error: ConnectionFailedError | SettingsError) -> Finding:
    match error:
        case LoginRefusedError():
            advice = "correct upstream_user and upstream_password"
            return blame(what, f"refuses our user or password: {_show(error.reply)}", advice)
        case TlsFailedError():
            advice = "correct upstream_tls, upstream_tls_name or upstream_tls_ca_file"
        case SettingsError():
            advice = "correct it in the configuration"
        case _:
            advice = "start it, correct upstream in [proxy], or open its port in the firewall"
    return blame(what, f"takes no mail: {error}", advice)


def _show(reply: Reply) -> str:
    return f"{reply.code} {reply.text}"[:_MAX_SHOWN].replace("\n", " ")
