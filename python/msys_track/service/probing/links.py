"""Do links of ours lead to our tracker? A link that only our keys can make tells.

It is past its time, so that it makes no event, and its target is a host that can't exist. Who
answers it with just that target, or with what the configuration says of links past their time,
has our keys.
"""

import ipaddress
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from msys_track.config.configuration import Configuration
from msys_track.config.effective import find_options_of_scopes
from msys_track.keys.ring import Claims, Engagement, KeyRing
from msys_track.options.resolve import DEFAULT
from msys_track.service.probing.finding import Finding, approve, blame, warn
from msys_track.service.probing.network import (
    BadCertificateError,
    HttpAnswer,
    NoAnswerError,
    NoRouteError,
    NotTlsError,
    get,
    look_up,
)
from msys_track.smtp.address import Address, parse_ip
from msys_track.tracking.replies import Replies
from msys_track.tracking.settings import TrackerSettings

_PORTS: Final = {"http": 80, "https": 443}
_SCHEMES: Final = {"http": ("http",), "https": ("https",), "same": ("http", "https")}
_EXPIRED_AT: Final = 1  # Unix seconds: no clock is so wrong
_NONCE_BYTES: Final = 16
# RFC 2606 section 2: no such host can exist.
_HOST_OF_NOBODY: Final = "msys-track.invalid"
_SECONDS_A_DAY: Final = 86_400
_FEW_DAYS: Final = 14
_MAX_SHOWN: Final = 120


@dataclass(frozen=True, slots=True)
class Door:
    """Where links lead.

    Attributes:
        domain: Host, or host and port, as links have it.
        scheme: http or https.
        keys: What its links are sealed with.
    """

    domain: str
    scheme: str
    keys: KeyRing

    @property
    def host(self) -> str:
        """The host alone; of IPv6 without brackets."""
        return _find_host(self.domain)

    @property
    def port(self) -> int:
        """The port that a browser takes."""
        return urlsplit(f"//{self.domain}").port or _PORTS[self.scheme]

    def __str__(self) -> str:
        """Write it as a link begins."""
        return f"{self.scheme}://{self.domain}"


@dataclass(frozen=True, slots=True)
class ProbeLink:
    """A link that makes no event.

    Attributes:
        path: What is asked for, with its slash.
        target: Where it leads.
    """

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of one door, and what answered there."""

    findings: list[Finding]
    answers: list[tuple[str, HttpAnswer]]


def make_probe_link(keys: KeyRing) -> ProbeLink:
    """Make a link that nobody has seen before."""
    target = f"https://{_HOST_OF_NOBODY}/{secrets.token_hex(_NONCE_BYTES)}"
    engagement = Engagement(
        message_id="0" * 20,
        recipient=f"check@{_HOST_OF_NOBODY}",
        injected_at=_EXPIRED_AT,
        expires_at=_EXPIRED_AT,
        customer_id=1,
    )
    claims = Claims(kind="click", engagement=engagement, target=target)
    return ProbeLink(f"/{keys.seal(claims)}", target)


def find_doors(
    read: Configuration, keys: KeyRing, keys_by_host: Mapping[str, KeyRing]
) -> list[Door]:
    """Find where links of this configuration lead.

    What policy or a header may choose for a mail is not among them.
    """
    shown = find_options_of_scopes(read)
    of_listener = _find_schemes(shown[0])
    schemes: dict[str, dict[str, None]] = {}
    for options in shown:
        domain = options["tracking_domain"]
        if domain.source != DEFAULT:
            schemes.setdefault(str(domain.value), {}).update(_find_schemes(options))
    # Those of peers, whose networks can't be walked through, and those of tenants.
    for name in (*sorted(read.tracking_domains), *keys_by_host):
        if not any(name in {each, _find_host(each)} for each in schemes):
            schemes[name] = of_listener
    return [
        Door(domain, scheme, keys_by_host.get(_find_host(domain), keys))
        for domain, its in schemes.items()
        for scheme in its
    ]


def find_missing_domain(read: Configuration) -> list[Finding]:
    """Find mail whose links lead nowhere since no tracking domain is set for it."""
    if not read.smtpapi or read.proxy is None:
        return []
    for options in find_options_of_scopes(read):
        domain = options["tracking_domain"]
        if domain.source == DEFAULT:
            text = f"none is set, so links lead to {domain.value}, which is of no use to readers"
            advice = "set tracking_domain in [listener] to a host that leads to the tracker"
            return [blame("tracking domain", text, advice)]
    return []


def _find_host(domain: str) -> str:
    return urlsplit(f"//{domain}").hostname or domain


def _find_schemes(options: Mapping[str, Any]) -> dict[str, None]:
    names = (options[f"{each}_tracking_scheme"].value for each in ("click", "open"))
    return dict.fromkeys(scheme for name in names for scheme in _SCHEMES[str(name)])


async def probe_door(
    door: Door, settings: TrackerSettings | None, patience_seconds: float
) -> Probed:
    """Ask every address of a door whether it is our tracker's.

    Args:
        door: The door.
        settings: The tracker's; None where its configuration is another one.
        patience_seconds: For each step.
    """
    try:
        addresses = await look_up(door.host, patience_seconds)
    except NoAnswerError as error:
        advice = (
            f"add a DNS record (A, AAAA or CNAME) for {door.host} that leads to the tracker, or "
            "to the web server in front of it"
        )
        return Probed([blame(str(door), f"{door.host} does not resolve: {error}", advice)], [])
    findings: list[Finding] = []
    silent: list[tuple[str, NoAnswerError]] = []
    answers: list[tuple[str, HttpAnswer]] = []
    for ip in addresses:
        link = make_probe_link(door.keys)
        try:
            answer = await get(
                Address(ip, door.port),
                link.path,
                host=door.domain,
                patience_seconds=patience_seconds,
                tls=ssl.create_default_context() if door.scheme == "https" else None,
            )
        except NoAnswerError as error:
            silent.append((ip, error))
            continue
        answers.append((door.domain, answer))
        finding = judge_answer(str(door), f"at {ip}", link, answer, settings)
        findings.append(finding or _praise(door, ip, answer))
    findings += (_explain_silence(door, ip, error, len(answers)) for ip, error in silent)
    return Probed(findings, answers)


def judge_answer(
    what: str, where: str, link: ProbeLink, answer: HttpAnswer, settings: TrackerSettings | None
) -> Finding | None:
    """Judge what a link was answered with; None if it is what our tracker answers."""
    if _is_ours(link, answer, settings):
        return None
    status = f"{answer.status} {_name_status(answer.status)}".strip()
    if answer.body == Replies("").not_found.body:
        text = f"a tracker {where} does not know our key"
        advice = "give it the key file that the proxy has, and reload it (SIGHUP)"
        return blame(what, text, advice)
    location = answer.location
    if urlsplit(location).path == link.path and location.startswith("https:"):
        advice = "set click_tracking_scheme and open_tracking_scheme to https: one step less"
        return warn(what, f"the server {where} leads readers on to HTTPS", advice)
    server = answer.headers.get("Server")
    named = f", Server: {server[:_MAX_SHOWN]}" if server else ""
    to = f" to {location[:_MAX_SHOWN]}" if location else ""
    advice = "let the tracking domain lead to the tracker, and all paths there to it as they are"
    return blame(what, f"what answers {where} is not our tracker: {status}{to}{named}", advice)


def _is_ours(link: ProbeLink, answer: HttpAnswer, settings: TrackerSettings | None) -> bool:
    is_redirect = answer.status == HTTPStatus.FOUND
    is_gone = answer.status == HTTPStatus.GONE and answer.body == Replies("").gone.body
    if settings is None:
        return is_gone or (is_redirect and answer.location == link.target)
    if settings.expired_url is not None:
        return is_redirect and answer.location == settings.expired_url
    if settings.expired == "gone":
        return is_gone
    return is_redirect and answer.location == link.target


def _praise(door: Door, ip: str, answer: HttpAnswer) -> Finding:
    text = f"leads to our tracker at {ip}"
    if answer.certificate:
        ends_at = ssl.cert_time_to_seconds(answer.certificate["notAfter"])
        day = datetime.fromtimestamp(ends_at, UTC).date()
        days = (ends_at - answer.received_at) / _SECONDS_A_DAY
        text = f"{text}; its certificate is good until {day}"
        if days < _FEW_DAYS:
            advice = "renew it now, and find out why that was not done by itself"
            return warn(str(door), f"{text}, {days:.0f} days more", advice)
    address = ipaddress.ip_address(ip.partition("%")[0])
    if not address.is_global:
        reach = "this machine" if address.is_loopback else "its own network"
        advice = f"if readers are elsewhere, {_lead(door, 'a public address')}"
        return warn(str(door), f"{text}, which only {reach} reaches", advice)
    return approve(str(door), text)


def _explain_silence(door: Door, ip: str, error: NoAnswerError, others: int) -> Finding:
    """Explain why an address does not answer, where so many others of the name do."""
    where = Address(ip, door.port)
    match error:
        case BadCertificateError():
            text = f"the certificate at {where} is not accepted: {error}"
            advice = (
                f"give it one for {door.host} that is not out of date, with the certificates "
                "between it and its root (fullchain.pem, not cert.pem)"
            )
            return blame(str(door), text, advice)
        case NotTlsError():
            text = f"no HTTPS at {where}: {error}"
            advice = (
                "let the tracker (listen_tls) or a web server in front of it answer HTTPS there, "
                "or set click_tracking_scheme and open_tracking_scheme to http"
            )
            return blame(str(door), text, advice)
        case NoRouteError():
            text = f"{where} can't be reached from this machine: {error}"
            advice = "check from a machine that can, or leave the address out of DNS"
            return (warn if others else blame)(str(door), text, advice)
    text = f"nothing answers at {where}: {error}"
    if others:  # browsers try the next one, sooner or later
        advice = f"let it answer there as well, or take {ip} out of the DNS record of {door.host}"
        return warn(str(door), text, advice)
    advice = (
        f"start what is to answer there, open port {door.port} in the firewall, or "
        f"{_lead(door, 'what does')}"
    )
    return blame(str(door), text, advice)


def _lead(door: Door, where: str) -> str:
    """Say how its links are made to lead elsewhere: an address has no DNS record."""
    if parse_ip(door.host) is not None:
        return f"set tracking_domain to a host that leads to {where}"
    return f"let the DNS record of {door.host} lead to {where}"


def _name_status(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return ""
