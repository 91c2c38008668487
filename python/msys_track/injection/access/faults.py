"""What is wrong with a proxy's settings taken together, where each alone is right.

A proxy on a public address that asks nobody anything is found by spammers within hours, so it does
not start.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Final, NamedTuple

from msys_track.injection.access.settings import LOOPBACK, AccessSettings
from msys_track.injection.settings import ProxySettings, is_loopback
from msys_track.settings.addresses import Network
from msys_track.smtp.address import Address

_OPEN_RELAY_HINT: Final = (
    "if something else, such as a firewall, protects the proxy, say so by open_relay = true"
)

_NOT_BY_AIOSMTPD: Final = (
    "auth_users",
    "auth_passthrough",
    "tls_certificate",
    "tls_required",
    "listen_tls",
    "proxy_protocol_from",
    "xclient_from",
)


class Fault(NamedTuple):
    """What is wrong with one key."""

    key: str
    text: str
    address: Address | None = None
    """The listening address that is at fault, if one is."""


def find_faults(settings: ProxySettings) -> Iterator[Fault]:
    """Find what would let in everybody, or nobody."""
    rules = settings.access
    if rules.auth_users is not None and rules.auth_passthrough:
        yield Fault("auth_passthrough", "the upstream checks AUTH, or auth_users does; keep one")
    for key in ("proxy_protocol_from", "xclient_from"):
        for network in getattr(rules, key):
            if not network.prefixlen:
                yield Fault(key, f"{network} is everybody, who could then be anybody; name peers")
    for address in rules.listen_tls:
        if address.port and address in settings.listens:
            text = f"{address} is in listen too; TLS begins there at once, or it does not"
            yield Fault("listen_tls", text, address)
    if settings.front == "aiosmtpd":
        yield from _find_unserved(rules)
    if rules.tls_certificate is None:
        yield from _find_missing_certificate(rules)
    if not rules.open_relay:
        yield from _find_open_doors(settings)


def _find_unserved(rules: AccessSettings) -> Iterator[Fault]:
    for key in _NOT_BY_AIOSMTPD:
        if getattr(rules, key):
            yield Fault(key, 'front = "aiosmtpd" can\'t serve it; leave the one or the other out')


def _find_missing_certificate(rules: AccessSettings) -> Iterator[Fault]:
    for key, is_set in (
        ("tls_key", rules.tls_key is not None),
        ("tls_required", rules.tls_required and not rules.proxy_protocol_from),
        ("listen_tls", bool(rules.listen_tls)),
    ):
        if is_set:
            yield Fault(key, "needs a certificate: set tls_certificate")
    # A load balancer may take TLS off, and say so in its PROXY header.
    if rules.offers_auth and not rules.proxy_protocol_from:
        key = "auth_users" if rules.auth_users is not None else "auth_passthrough"
        yield Fault(key, "AUTH is offered over TLS only: set tls_certificate")


def _find_open_doors(settings: ProxySettings) -> Iterator[Fault]:
    rules = settings.access
    if everybody := _list_everybody(rules):
        verb = "lets" if len(everybody) == 1 else "together let"
        names = ", ".join(map(str, everybody))
        yield Fault("networks", f"{names} {verb} in everybody; {_OPEN_RELAY_HINT}")
    if rules.offers_auth or rules.networks != (LOOPBACK,):
        return
    for key, addresses in ("listen", settings.listens), ("listen_tls", rules.listen_tls):
        for address in addresses:
            if not is_loopback(address.host):
                what = f"other machines reach {address}, and nothing says who may send"
                text = f"{what}: set networks or auth_users; {_OPEN_RELAY_HINT}"
                yield Fault(key, text, address)


def _list_everybody(rules: AccessSettings) -> Sequence[Network]:
    """List the networks that hold every address, each alone or only together."""
    named = [each for each in rules.networks if not isinstance(each, str)]
    whole = [each for each in named if not each.prefixlen]
    fours = [each for each in named if isinstance(each, IPv4Network)]
    sixes = [each for each in named if isinstance(each, IPv6Network)]
    if not whole and any(not each.prefixlen for each in collapse_addresses(fours)):
        return fours
    if not whole and any(not each.prefixlen for each in collapse_addresses(sixes)):
        return sixes
    return whole
