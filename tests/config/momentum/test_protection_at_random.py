"""Who may send without AUTH, against a model of Momentum's fallback that knows nothing of ours.

Whatever a listener says, nobody gets in whom Momentum would refuse there.
"""

from ipaddress import ip_address, ip_network
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from tests.thoroughness import examples

from msys_track.config.load import load
from msys_track.config.problems import ConfigurationError
from msys_track.injection.access.settings import AccessSettings

_SETUPS: Final = examples(1_000)
_NETWORKS: Final = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "192.0.2.0/24", "127.0.0.0/8")
_CLIENTS: Final = ("10.9.9.9", "10.1.9.9", "10.1.2.9", "192.0.2.9", "127.0.0.1", "203.0.113.9")


class Scope(NamedTuple):
    """What one stanza says; None: nothing."""

    open_relay: bool | None = None
    relay_hosts: tuple[str, ...] | None = None
    asks_for_auth: bool = False

    @property
    def says_something(self) -> bool:
        return self.asks_for_auth or (self.open_relay, self.relay_hosts) != (None, None)

    def write(self) -> str:
        words = []
        if self.open_relay is not None:
            words.append(f"Open_Relay = {str(self.open_relay).lower()}")
        if self.relay_hosts is not None:
            words.append(f"Relay_Hosts = ( {' '.join(self.relay_hosts)} )")
        if self.asks_for_auth:
            words.append("AuthLoginParameters = [ uri = x ]")
        return " ".join(words)


class Listener(NamedTuple):
    """A `Listen`, its own scope and its peers."""

    address: str
    scope: Scope
    peers: dict[str, Scope]


class Setup(NamedTuple):
    """A whole configuration."""

    top: Scope
    scope: Scope
    peers: dict[str, Scope]
    listeners: list[Listener]
    has_users: bool

    def write(self) -> str:
        listens = (
            f'Listen "{each.address}" {{ {each.scope.write()} {_write_peers(each.peers)} }}'
            for each in self.listeners
        )
        ours = "auth_passthrough = true proxy_protocol_from = ::9 upstream_tls = require"
        return (
            f"{self.top.write()}\nGateway = 192.0.2.1\nESMTP_Listener {{ {self.scope.write()}\n"
            f"{_write_peers(self.peers)}\n{' '.join(listens)} }}\n"
            f"msys_track {{ {ours if self.has_users else ''} }}\n"
        )

    def walk(self, listener: Listener, client: str) -> list[Scope]:
        """List the scopes of a client, the most specific first."""
        scopes: list[Scope] = []
        for peers in listener.peers, self.peers:
            around = [each for each in peers if ip_address(client) in ip_network(each)]
            around.sort(key=lambda each: ip_network(each).prefixlen, reverse=True)
            scopes += [peers[each] for each in around]
        return [*scopes, listener.scope, self.scope, self.top]

    def lets_in(self, listener: Listener, client: str) -> bool:
        """Whether Momentum relays for a client that does not log in."""
        walk = self.walk(listener, client)
        is_open = next((each.open_relay for each in walk if each.open_relay is not None), False)
        hosts = next((each.relay_hosts for each in walk if each.relay_hosts is not None), ())
        return is_open or any(ip_address(client) in ip_network(each) for each in hosts)

    def is_guarded(self, listener: Listener) -> bool:
        """Whether Momentum's rule is kept: not where no port says anything, nor on loopback."""
        is_reached = listener.address.startswith("*")
        others = self.listeners if is_reached else [listener]
        return any(self.says_something(each) for each in others)

    def says_something(self, listener: Listener) -> bool:
        own = (self.top, self.scope, listener.scope)
        some = (*self.peers.values(), *listener.peers.values())
        return any(each.says_something for each in (*own, *some))


def _write_peers(peers: dict[str, Scope]) -> str:
    return " ".join(f'Peer "{name}" {{ {each.write()} }}' for name, each in peers.items())


def _make_scope(random: Random, chance: float) -> Scope:
    return Scope(
        open_relay=random.choice((True, False)) if random.random() < chance else None,
        relay_hosts=(
            tuple(random.sample(_NETWORKS, random.randrange(3)))
            if random.random() < chance
            else None
        ),
        asks_for_auth=random.random() < chance / 3,
    )


def _make_peers(random: Random) -> dict[str, Scope]:
    names = random.sample(_NETWORKS, random.choice((0, 0, 1, 2)))
    return {name: Scope(random.choice((None, True, True, False))) for name in names}


def _make_setup(random: Random) -> Setup:
    listeners = [
        Listener(address, _make_scope(random, 0.2), _make_peers(random))
        for address in random.sample(("127.0.0.1:26", "*:25", "[::1]:27"), random.randint(1, 2))
    ]
    return Setup(
        top=_make_scope(random, 0.2),
        scope=_make_scope(random, 0.2),
        peers=_make_peers(random),
        listeners=listeners,
        has_users=random.random() < 0.5,
    )


def _admits(rules: AccessSettings, client: str) -> bool:
    if rules.open_relay:
        return True
    networks = ["127.0.0.0/8" if each == "loopback" else str(each) for each in rules.networks]
    return any(ip_address(client) in ip_network(each) for each in networks)


def test_nobody_gets_in_whom_momentum_refuses_where_relaying_is_restricted(tmp_path: Path) -> None:
    random = Random(12)  # noqa: S311 - the same set-ups every time is the point
    path = tmp_path / "ecelerity.conf"
    started = exact = 0
    for _ in range(_SETUPS):
        setup = _make_setup(random)
        path.write_text(setup.write())
        try:
            proxy = load(path).proxy
        except ConfigurationError:
            continue
        assert proxy is not None
        started += 1
        for listener in setup.listeners:
            if not setup.is_guarded(listener):
                continue
            for client in _CLIENTS:
                if client == "127.0.0.1" and not setup.says_something(listener):
                    continue  # this machine may send to a port that says nothing
                ours, theirs = _admits(proxy.access, client), setup.lets_in(listener, client)
                assert ours <= theirs, (setup.write(), listener.address, client)
                exact += ours == theirs
    assert started > _SETUPS / 5
    assert exact > started
