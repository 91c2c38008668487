import random
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.options.scopes import Listen, Networks, Scope, Scopes, address_of
from msys_track.options.tracking import TrackingOptions

LISTENER = Scope(name="listener", options=TrackingOptions(open_tracking=True))
MODULE = Scope(name="engagement_tracker")
BULK = Scope(name='pathway "bulk"')
BULK_OF_GROUP = Scope(name='pathway_group "marketing" pathway "bulk"')
GROUP = Scope(name='pathway_group "marketing"')
PEER = Scope(name='peer "10.0.0.0/8"', pathway="bulk")
LISTEN = Scope(name='listen "127.0.0.1:2525"', context={"a": "listen", "b": "listen"})
LISTEN_PEER = Scope(name='listen "127.0.0.1:2525" peer "10.1.0.0/16"', context={"a": "peer"})


@pytest.fixture
def scopes() -> Scopes:
    """Each test has its own: they keep what they were asked for."""
    return Scopes(
        listener=LISTENER,
        module=MODULE,
        peers=Networks({ip_network("10.0.0.0/8"): PEER}),
        listens={
            "127.0.0.1:2525": Listen(
                scope=LISTEN, peers=Networks({ip_network("10.1.0.0/16"): LISTEN_PEER})
            )
        },
        pathways={"bulk": (BULK_OF_GROUP, BULK, GROUP)},
    )


def test_without_a_client_the_listener_s_options_hold(scopes: Scopes) -> None:
    assert scopes.layers(None, None) == (LISTENER, MODULE)


def test_the_peer_comes_before_the_listening_address_and_that_before_the_listener(
    scopes: Scopes,
) -> None:
    layers = scopes.layers("127.0.0.1:2525", ip_address("10.1.2.3"))
    assert layers[:5] == (LISTEN_PEER, PEER, BULK_OF_GROUP, BULK, GROUP)
    assert layers[5:] == (LISTEN, LISTENER, MODULE)
    assert scopes.context(layers) == {"a": "peer", "b": "listen"}
    assert scopes.layers("127.0.0.1:2525", ip_address("10.1.200.3")) is layers
    assert scopes.layers("127.0.0.1:2525", ip_address("192.0.2.1")) == (LISTEN, LISTENER, MODULE)
    elsewhere = scopes.layers("127.0.0.1:26", ip_address("192.0.2.1"))
    assert elsewhere == (LISTENER, MODULE)
    assert scopes.layers("127.0.0.1:27", None) is elsewhere


def test_the_pathway_that_policy_has_chosen_comes_first(scopes: Scopes) -> None:
    ways = (BULK_OF_GROUP, BULK, GROUP)
    assert scopes.layers(None, None, "bulk") == (*ways, LISTENER, MODULE)
    at = scopes.layers("127.0.0.1:2525", ip_address("192.0.2.1"), "bulk")
    assert at == (*ways, LISTEN, LISTENER, MODULE)
    assert scopes.layers(None, None, "unheard") == (LISTENER, MODULE)
    # Mail that is on it anyway has it once.
    assert scopes.layers(None, ip_address("10.1.2.3"), "bulk") == (*ways, PEER, LISTENER, MODULE)


def test_a_pathway_that_is_not_there_is_ignored() -> None:
    lost = Scope(name="listener", pathway="lost")
    assert Scopes(listener=lost).layers(None, None) == (lost,)


def test_a_source_names_the_scope_and_the_place_if_it_is_known() -> None:
    scope = Scope(name="listener", places={"open_tracking": "msys-track.toml:4"})
    assert scope.source("open_tracking") == "listener (msys-track.toml:4)"
    assert scope.source("click_tracking") == "listener"


def test_what_a_narrow_network_does_not_set_the_wider_one_of_its_table_sets() -> None:
    nested = {"10.1.2.0/24": "bulk", "10.1.0.0/16": None, "10.0.0.0/8": None, "::/0": None}
    at, everywhere = (
        {name: Scope(name=f"{where} {name}", pathway=way) for name, way in nested.items()}
        for where in ("listen", "peer")
    )
    scopes = Scopes(
        peers=Networks({ip_network(name): scope for name, scope in everywhere.items()}),
        listens={
            ":25": Listen(
                scope=LISTEN,
                peers=Networks({ip_network(name): scope for name, scope in at.items()}),
            )
        },
        pathways={"bulk": (BULK,)},
    )
    names = [scope.name for scope in scopes.layers(":25", ip_address("10.1.2.3"))]
    assert names == [
        "listen 10.1.2.0/24", 'pathway "bulk"', "listen 10.1.0.0/16", "listen 10.0.0.0/8",
        "peer 10.1.2.0/24", "peer 10.1.0.0/16", "peer 10.0.0.0/8", LISTEN.name, "listener",
    ]  # fmt: skip
    beside = scopes.layers(":25", ip_address("10.1.3.3"))
    assert beside[:2] == (at["10.1.0.0/16"], at["10.0.0.0/8"])
    assert scopes.layers(":25", ip_address("10.1.4.4")) is beside


def test_the_pathway_that_policy_chose_comes_before_all_others(scopes: Scopes) -> None:
    layers = scopes.layers(None, None, "bulk")
    assert layers == (BULK_OF_GROUP, BULK, GROUP, LISTENER, MODULE)
    assert scopes.layers(None, None, "no such") is scopes.layers(None, None)


def test_a_scope_stands_once_however_it_is_reached(scopes: Scopes) -> None:
    layers = scopes.layers("127.0.0.1:2525", ip_address("10.1.2.3"), "bulk")
    assert layers[:3] == (BULK_OF_GROUP, BULK, GROUP)
    assert len(layers) == len(set(layers))


networks_4 = st.builds(
    lambda address, length: ip_network((address, length), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)
# Few high bits, so that networks nest.
nested_4 = st.builds(
    lambda address, length: ip_network((address << 24, length), strict=False),
    st.integers(0, 7),
    st.integers(0, 12),
)
networks_6 = st.builds(
    lambda address, length: ip_network((IPv6Address(address), length), strict=False),
    st.integers(0, 2**128 - 1),
    st.integers(0, 128),
)


@given(
    networks=st.lists(networks_4 | nested_4 | networks_6, max_size=20, unique=True),
    address=st.builds(IPv4Address, st.integers(0, 2**32 - 1)),
    edge=st.integers(-1, 1),
)
def test_an_address_has_the_values_of_all_networks_around_it_the_narrowest_first(
    networks: list[object], address: IPv4Address, edge: int
) -> None:
    values = {network: str(network) for network in networks}
    found: Networks[str] = Networks(values)  # type: ignore[arg-type]
    asked = [address, ip_address("::1")]
    for network in values:
        for end in (network.network_address, network.broadcast_address):  # type: ignore[attr-defined]
            last = 2**end.max_prefixlen - 1
            asked += [end + edge] if 0 <= int(end) + edge <= last else []
    for each in asked:
        around = [n for n in values if n.version == each.version and each in n]  # type: ignore[attr-defined, operator]
        around.sort(key=lambda n: n.prefixlen, reverse=True)  # type: ignore[attr-defined]
        assert found.find(each) == tuple(map(str, around))


def test_ten_thousand_networks_are_told_apart() -> None:
    chosen = random.Random(7)  # noqa: S311 - a fixed choice of networks
    networks = {
        ip_network((chosen.getrandbits(32), chosen.randint(8, 32)), strict=False): index
        for index in range(10_000)
    }
    table = Networks(networks)
    some = chosen.sample(sorted(networks, key=str), 30)
    for network in some:
        address = network.network_address
        around = [each for each in networks if address in each]
        around.sort(key=lambda each: each.prefixlen, reverse=True)
        assert table.find(address) == tuple(networks[each] for each in around)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("10.0.0.7:51234", "10.0.0.7"),
        ("[2001:db8::7]:51234", "2001:db8::7"),
        ("[fe80::1%eth0]:25", "fe80::1"),
        ("[::ffff:10.0.0.7]:25", "10.0.0.7"),
        *((peer, None) for peer in ("", "None", "/run/socket", "localhost:25")),
    ],
)
def test_a_client_s_address_is_read_off_its_name_if_it_has_one(
    peer: str, address: str | None
) -> None:
    assert address_of(peer) == (ip_address(address) if address else None)
