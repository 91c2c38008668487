"""Do our own servers answer where the configuration has them listen?"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Final

from msys_track.accounts.users import read_users
from msys_track.config.configuration import Configuration
from msys_track.errors import UsersError
from msys_track.service.assembly import load_keys
from msys_track.service.probing.finding import Finding, approve, blame, warn
from msys_track.service.probing.links import judge_answer, make_probe_link
from msys_track.service.probing.network import NoAnswerError, NotTlsError, get, read_greeting
from msys_track.settings.addresses import Network
from msys_track.smtp.address import Address, parse_ip
from msys_track.smtp.proxies import read_mark
from msys_track.smtp.tls import make_client_tls

_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
_HEALTHY: Final = 200
_READY: Final = "220"
# A health check of a load balancer says this (PROXY protocol, section 2.1).
_PROXY_HEADER: Final = b"PROXY UNKNOWN\r\n"
_START: Final = "start it: msys-track serve, or msys-track"


@dataclass(frozen=True, slots=True)
class Greeted:
    """What came of asking our own proxy for its greeting.

    Attributes:
        findings: About each address.
        marks: Those that its greetings have.
    """

    findings: list[Finding]
    marks: frozenset[str]


async def probe_proxy(read: Configuration, patience_seconds: float) -> Greeted:
    """Ask each address where mail is to be taken for its greeting."""
    if read.proxy is None:
        return Greeted([], frozenset())
    rules = read.proxy.access

    async def greet(listen: Address) -> tuple[Finding, str | None]:
        what, address = f"proxy at {listen}", find_address(listen)
        try:
            greeting = await read_greeting(
                address,
                patience_seconds,
                tls=_trust_anybody() if listen in rules.listen_tls else None,
                preface=_make_preface(address, rules.proxy_protocol_from),
            )
        except NoAnswerError as error:
            return blame(what, f"does not answer: {error}", f"{_START} proxy"), None
        if not greeting.startswith(_READY):
            text = f"refuses this machine: {greeting}"
            advice = "if mail is to come from here, allow it: max_connections, [client] tables"
            return warn(what, text, advice), None
        mark = read_mark(greeting)
        if mark is None:
            text = f"another program takes mail there: {greeting}"
            advice = f"end it or change listen in [proxy]; {_START} proxy"
            return blame(what, text, advice), None
        return approve(what, "takes mail"), mark

    listens = [each for each in read.proxy.all_listens if each.port]
    greeted = await asyncio.gather(*map(greet, listens))
    marks = frozenset(mark for _, mark in greeted if mark is not None)
    return Greeted([finding for finding, _ in greeted], marks)


async def probe_tracker(read: Configuration, patience_seconds: float) -> list[Finding]:
    """Ask each address where links are to be answered for a link of ours."""
    settings = read.tracker
    if settings is None:
        return []
    keys = load_keys(read)
    trusted = settings.trusted_proxies if settings.proxy_protocol else ()
    findings: list[Finding] = []
    for listen in settings.all_listens:
        what, address = f"tracker at {listen}", find_address(listen)
        if not listen.port:
            continue
        link = make_probe_link(keys)
        try:
            answer = await get(
                address,
                link.path,
                host=min(read.tracking_domains - read.tenants.keys(), default=str(listen)),
                patience_seconds=patience_seconds,
                tls=_trust_anybody() if listen in settings.listen_tls else None,
                preface=_make_preface(address, trusted),
            )
        except NoAnswerError as error:
            findings.append(blame(what, f"does not answer: {error}", f"{_START} tracker"))
            continue
        finding = judge_answer(what, "there", link, answer, settings)
        findings.append(finding or approve(what, "answers links of ours"))
    return findings


async def probe_report(read: Configuration, patience_seconds: float) -> list[Finding]:
    """Ask the report whether it is well."""
    settings = read.report
    if settings is None or not settings.listen.port:
        return []
    what = f"report at {settings.listen}"
    findings: list[Finding] = []
    if not _has_users(read):
        file = read.report_users or "users.toml"
        advice = f"msys-track users add {file} NAME; name the file as users in [report]"
        findings.append(warn(what, "there is nobody who may log in", advice))
    advice = f"{_START} report"
    try:
        answer = await get(
            find_address(settings.listen),
            "/healthz",
            host=settings.hosts[0] if settings.hosts else str(settings.listen),
            patience_seconds=patience_seconds,
            tls=_trust_anybody() if settings.tls_certificate is not None else None,
        )
    except NotTlsError as error:
        return [*findings, blame(what, f"speaks no TLS: {error}", f"restart it; {advice}")]
    except NoAnswerError as error:
        return [*findings, blame(what, f"does not answer: {error}", advice)]
    if answer.status != _HEALTHY or answer.body != b"ok\n":
        text = f"is not well, or another program: HTTP status {answer.status}"
        return [*findings, blame(what, text, f"look at its log; {advice}")]
    return [*findings, approve(what, "answers")]


async def probe_status(read: Configuration, patience_seconds: float) -> list[Finding]:
    """Ask servers that have a `[metrics]` address whether they are ready."""
    owner = "proxy" if read.proxy is not None else "tracker"
    listens = (
        (owner, read.metrics.listen),
        ("tracker", read.metrics.tracker_listen),
        ("report", read.metrics.report_listen),
    )
    findings: list[Finding] = []
    for name, listen in listens:
        if listen is None or not listen.port:
            continue
        what = f"metrics of the {name} at {listen}"
        try:
            answer = await get(
                find_address(listen),
                "/readyz",
                host=str(listen),
                patience_seconds=patience_seconds,
            )
        except NoAnswerError as error:
            findings.append(blame(what, f"does not answer: {error}", f"{_START} {name}"))
            continue
        text = answer.body.decode("utf-8", "replace").strip()
        if answer.status == _HEALTHY:
            findings.append(approve(what, "is ready"))
        else:
            advice = "look at its log, and at what else is found here"
            findings.append(blame(what, f"is not ready: {text}", advice))
    return findings


def find_address(listen: Address) -> Address:
    """Find where something that listens can be reached from this machine."""
    return Address(_ANYWHERE.get(listen.host, listen.host), listen.port)


def _has_users(read: Configuration) -> bool:
    """Whether anybody may log in; a file that can't be used is a fault of the configuration."""
    try:
        return read.report_users is not None and bool(read_users(read.report_users))
    except UsersError:
        return False


def _make_preface(address: Address, believed: tuple[Network, ...]) -> bytes:
    """Make the header that a connection from here must begin with, if it must.

    A connection of this machine to itself comes from the address that it goes to.
    """
    ip = parse_ip(address.host)
    is_believed = ip is not None and any(
        ip.version == network.version and ip in network for network in believed
    )
    return _PROXY_HEADER if is_believed else b""


def _trust_anybody() -> ssl.SSLContext:
    """Trust any certificate: it is for the names that readers know, not for ours."""
    return make_client_tls(verify=False).context
