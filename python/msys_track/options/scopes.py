"""Scopes: which configured options apply to a mail, by listener, peer and pathway.

The order is Momentum's, so that an imported configuration decides as before: for each option, the
most specific scope that sets it wins. Networks that nest are scopes of their own: what the narrow
one does not set, the wider one in the same table does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import chain
from typing import Generic, TypeVar

from msys_track.options.tracking import TrackingOptions
from msys_track.settings.addresses import Network
from msys_track.smtp.address import IpAddress, parse_ip

V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scope:
    """One stanza of a configuration: what it sets, and where that is written."""

    name: str
    """As an operator names it: `listener`, `peer "10.0.0.0/8"`, `pathway "bulk"`."""
    options: TrackingOptions = field(default_factory=TrackingOptions)
    places: Mapping[str, str] = field(default_factory=dict)
    """From a field of `TrackingOptions` to its place, as `msys-track.toml:14`."""
    pathway: str | None = None
    """The pathway that mail of this scope is on."""
    context: Mapping[str, str] = field(default_factory=dict)
    """Connection context variables. They count as policy."""

    def source(self, option: str) -> str:
        """Return where the value of an option comes from."""
        place = self.places.get(option)
        return f"{self.name} ({place})" if place else self.name


class Networks(Generic[V]):
    """Values by network. An address has those of all networks around it, the narrowest first."""

    __slots__ = ("_by_version",)

    def __init__(self, values: Mapping[Network, V] | None = None) -> None:
        # By the number of host bits, the fewest first; then by the bits of the network.
        self._by_version: dict[int, dict[int, dict[int, V]]] = {4: {}, 6: {}}
        given = values or {}
        for network in sorted(given, key=lambda each: each.prefixlen, reverse=True):
            host_bits = network.max_prefixlen - network.prefixlen
            alike = self._by_version[network.version].setdefault(host_bits, {})
            alike[int(network.network_address) >> host_bits] = given[network]

    def find(self, address: IpAddress) -> tuple[V, ...]:
        """Return the values of the networks around the address, the most specific first."""
        number = int(address)
        found = [
            by_network[network]
            for host_bits, by_network in self._by_version[address.version].items()
            if (network := number >> host_bits) in by_network
        ]
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listen:
    """One listening address, and the peers that have options of their own there."""

    scope: Scope
    peers: Networks[Scope] = field(default_factory=Networks)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scopes:
    """All scopes of a configuration.

    Attributes:
        listener: options for all listening addresses.
        module: options below all others: Momentum's stanza `engagement_tracker`.
        peers: options by network of the client.
        listens: options by name of the listening address.
        pathways: options by name of the pathway: in its group, outside of groups, of the group.
    """

    listener: Scope = field(default_factory=lambda: Scope(name="listener"))
    module: Scope | None = None
    peers: Networks[Scope] = field(default_factory=Networks)
    listens: Mapping[str, Listen] = field(default_factory=dict)
    pathways: Mapping[str, tuple[Scope, ...]] = field(default_factory=dict)

    @cached_property
    def _layers_by_key(self) -> dict[tuple[object, ...], tuple[Scope, ...]]:
        return {}

    def layers(
        self, listen: str | None, peer: IpAddress | None, pathway: str | None = None
    ) -> tuple[Scope, ...]:
        """Return the scopes that apply to a mail, the most specific first.

        Of one table's networks all that are around the client apply. A scope comes before the
        pathway that it puts mail on, and that before the next scope. A pathway that policy has
        chosen comes first. Equal arguments give the same tuple, as a key.

        Args:
            listen: name of the listening address; None if there is none.
            peer: the client's address.
            pathway: the pathway that policy has chosen. An unknown one is ignored.
        """
        at = self.listens.get(listen) if listen is not None else None
        nested = at.peers.find(peer) if at is not None and peer is not None else ()
        outer = self.peers.find(peer) if peer is not None else ()
        if pathway is not None and pathway not in self.pathways:
            pathway = None
        key = (listen if at else None, nested, outer, pathway)
        layers = self._layers_by_key.get(key)
        if layers is None:
            walk = [*nested, *outer, at.scope if at else None, self.listener, self.module]
            merged = list(self.pathways[pathway]) if pathway is not None else []
            for scope in filter(None, walk):
                merged.append(scope)
                if scope.pathway is not None:
                    merged += self.pathways.get(scope.pathway, ())
            layers = self._layers_by_key[key] = tuple(dict.fromkeys(merged))
        return layers

    def context(self, layers: Sequence[Scope]) -> dict[str, str]:
        """Return the connection context variables that the scopes set; the most specific wins."""
        return dict(chain.from_iterable(scope.context.items() for scope in reversed(layers)))


@lru_cache(maxsize=4096)
def address_of(peer: str) -> IpAddress | None:
    """Return the address of `10.0.0.7:51234` or `[2001:db8::7]:51234`; None if there is none."""
    return parse_ip(peer.rpartition(":")[0].strip("[]").partition("%")[0])
