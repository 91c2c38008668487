"""Scopes: which configured options hold for a mail, by where it came in and on which pathway.

Momentum's fallback, so that a configuration moved here decides as it did there: the most
specific scope that sets an option wins, option by option.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from itertools import chain
from typing import Generic, TypeAlias, TypeVar

from msys_track.options.tracking import TrackingOptions

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scope:
    """One stanza of a configuration: what it sets, and where that is written."""

    name: str
    """As an operator calls it: `listener`, `peer "10.0.0.0/8"`, `pathway "bulk"`."""
    options: TrackingOptions = field(default_factory=TrackingOptions)
    places: Mapping[str, str] = field(default_factory=dict)
    """Field of `TrackingOptions` → `msys-track.toml:14`."""
    pathway: str | None = None
    """The pathway that mail of this scope is on."""
    context: Mapping[str, str] = field(default_factory=dict)
    """Connection context variables, which count as policy."""

    def source(self, option: str) -> str:
        """Say where an option's value comes from."""
        place = self.places.get(option)
        return f"{self.name} ({place})" if place else self.name


class Networks(Generic[V]):
    """Values by network; an address has that of the most specific network around it.

    Networks nest or are strangers, so they cut the addresses into stretches of one answer each:
    a look-up is a binary search, however many networks there are.
    """

    __slots__ = ("_answers", "_starts")

    def __init__(self, values: Mapping[Network, V] | None = None) -> None:
        self._starts: dict[int, list[int]] = {}
        self._answers: dict[int, list[V | None]] = {}
        for version in (4, 6):
            networks = [network for network in values or () if network.version == version]
            stretches = dict(_stretches(networks, values or {}))
            self._starts[version] = list(stretches)
            self._answers[version] = list(stretches.values())

    def around(self, address: Address) -> V | None:
        """Return the value of the most specific network that holds the address."""
        at = bisect_right(self._starts[address.version], int(address))
        return self._answers[address.version][at - 1] if at else None


def _stretches(
    networks: Iterable[Network], values: Mapping[Network, V]
) -> Iterator[tuple[int, V | None]]:
    """Start and answer of each stretch; of two with one start the later counts."""
    around: list[Network] = []
    for network in sorted(networks, key=lambda each: (int(each.network_address), each.prefixlen)):
        start = int(network.network_address)
        yield from _ended(around, start, values)
        yield start, values[network]
        around.append(network)
    yield from _ended(around, None, values)


def _ended(
    around: list[Network], start: int | None, values: Mapping[Network, V]
) -> Iterator[tuple[int, V | None]]:
    while around and (start is None or int(around[-1].broadcast_address) < start):
        end = int(around.pop().broadcast_address) + 1
        yield end, values[around[-1]] if around else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listen:
    """One address that mail comes in at, and the peers that are treated differently there."""

    scope: Scope
    peers: Networks[Scope] = field(default_factory=Networks)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scopes:
    """All scopes of a configuration.

    Attributes:
        listener: What holds for every way in.
        module: What holds beneath all others: Momentum's stanza `engagement_tracker`.
        peers: The same for clients of some networks.
        listens: By the name of the listening address.
        pathways: By name, the most specific first: the pathway in its group, the pathway of that
            name outside, the group.
    """

    listener: Scope = field(default_factory=lambda: Scope(name="listener"))
    module: Scope | None = None
    peers: Networks[Scope] = field(default_factory=Networks)
    listens: Mapping[str, Listen] = field(default_factory=dict)
    pathways: Mapping[str, tuple[Scope, ...]] = field(default_factory=dict)

    @cached_property
    def _known(self) -> dict[tuple[object, ...], tuple[Scope, ...]]:
        return {}

    def layers(
        self, listen: str | None, peer: Address | None, pathway: str | None = None
    ) -> tuple[Scope, ...]:
        """Return the scopes that hold for a mail, the most specific first.

        A scope's own option beats that of the pathway it puts mail on, which beats those of the
        scopes around. A pathway that policy has chosen beats them all. The same arguments give
        the same tuple, so that what is made of it can be kept.

        Args:
            listen: name of the listening address; None where mail came in by no listener.
            peer: the client's address.
            pathway: chosen by policy; one that is not configured counts for nothing.
        """
        at = self.listens.get(listen) if listen is not None else None
        nested = at.peers.around(peer) if at is not None and peer is not None else None
        outer = self.peers.around(peer) if peer is not None else None
        key = (listen if at else None, nested, outer, pathway)
        layers = self._known.get(key)
        if layers is None:
            walk = [nested, outer, at.scope if at else None, self.listener, self.module]
            layers = self._known[key] = self._merged(walk, pathway)
        return layers

    def context(self, layers: Sequence[Scope]) -> dict[str, str]:
        """Return the connection context variables that scopes set; the most specific wins."""
        return dict(chain.from_iterable(scope.context.items() for scope in reversed(layers)))

    def _merged(self, walk: Iterable[Scope | None], chosen: str | None) -> tuple[Scope, ...]:
        layers = list(self.pathways.get(chosen, ())) if chosen is not None else []
        for scope in walk:
            if scope is None:
                continue
            layers.append(scope)
            if scope.pathway is not None:
                layers += self.pathways.get(scope.pathway, ())
        return tuple(dict.fromkeys(layers))


@lru_cache(maxsize=4096)
def address_of(peer: str) -> Address | None:
    """Read the address of `10.0.0.7:51234` or `[2001:db8::7]:51234`; None where it has none.

    An IPv4 client of a socket for both families is `::ffff:10.0.0.7`: IPv4 all the same.
    """
    host = peer.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
