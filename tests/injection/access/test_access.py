"""Who may inject, as whom, and how much: the rules without a socket."""

import asyncio
from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from tests.captured_logs import capture_logs
from tests.certificates import make_certificate
from tests.users import CHEAP, PASSWORD, write_users

from msys_track.accounts.users import Login, add_user
from msys_track.errors import SettingsError, UsersError
from msys_track.injection.access.access import Access
from msys_track.injection.access.faults import find_faults
from msys_track.injection.access.interfaces import find_networks_around
from msys_track.injection.access.settings import AccessSettings, ClientSettings, LimitSettings
from msys_track.injection.access.visitor import Limits, Visitor
from msys_track.injection.settings import ProxySettings
from msys_track.metrics import Counters
from msys_track.smtp.address import Address
from msys_track.smtp.reply import Reply

LISTEN = "127.0.0.1:2525"
SHOP, STRANGER = "10.1.2.3", "192.0.2.7"
SHOPS = ip_network("10.0.0.0/8")
EVERYBODY = ip_network("0.0.0.0/0")


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    """Rules with a user called shop, and a certificate."""
    made = make_certificate(tmp_path)
    return {
        "auth_users": write_users(tmp_path / "users.toml"),
        "tls_certificate": made.certificate,
        "tls_key": made.key,
        "auth_failure_delay_seconds": 1e-9,
    }


def make_access(clock: Clock, **rules: Any) -> Access:
    return Access(ProxySettings(access=AccessSettings(**rules)), Counters(), clock)


def admit(access: Access, peer: str = "127.0.0.1") -> Visitor:
    visitor = access.admit(ip_address(peer), LISTEN)
    assert isinstance(visitor, Visitor)
    return visitor


def refuse(access: Access, peer: str = "127.0.0.1") -> str:
    reply = access.admit(ip_address(peer), LISTEN)
    assert isinstance(reply, Reply)
    return f"{reply.code} {reply.text}"


def log_in(visitor: Visitor, user: str = "shop", password: str = PASSWORD) -> str | None:
    answer = asyncio.run(visitor.check_password(user, password))
    reply = visitor.log_in(answer, lambda: None) if isinstance(answer, Login) else answer
    return None if reply is None else f"{reply.code} {reply.text}"


def send(visitor: Visitor) -> str | None:
    reply = visitor.check_sender()
    return None if reply is None else f"{reply.code} {reply.text}"


DENIED = "550 5.7.1 Relaying denied: this client may not send mail here"
STARTTLS = "530 5.7.0 Must issue a STARTTLS command first"


# Who


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_may_send_if_nothing_is_said(clock: Clock, peer: str) -> None:
    assert send(admit(make_access(clock), peer)) is None


@pytest.mark.parametrize("peer", [STRANGER, "10.0.0.1", "fe80::1", "2001:db8::1", "128.0.0.1"])
def test_everybody_else_may_not(clock: Clock, peer: str) -> None:
    access = make_access(clock)
    assert send(admit(access, peer)) == DENIED
    assert access.counters["access.refused.relay"] == 1


def test_a_client_without_an_address_may_not(clock: Clock) -> None:
    visitor = make_access(clock).admit(None, LISTEN)
    assert isinstance(visitor, Visitor)
    assert send(visitor) == DENIED


def test_networks_that_are_named_may_send_and_loopback_only_if_named(clock: Clock) -> None:
    access = make_access(clock, networks=(SHOPS,))
    assert send(admit(access, SHOP)) is None
    assert send(admit(access, STRANGER)) == DENIED
    assert send(admit(access, "127.0.0.1")) == DENIED


def test_an_open_relay_is_open(clock: Clock) -> None:
    assert send(admit(make_access(clock, open_relay=True), STRANGER)) is None


def test_the_interfaces_own_network_may_send_only_if_that_is_said() -> None:
    own = find_networks_around(ip_address("0.0.0.0"))  # noqa: S104 - every interface
    if not own:
        pytest.skip("this machine has no interface beside loopback")
    network = next(iter(own))
    neighbour = str(next(network.hosts()))
    everywhere = "0.0.0.0" if network.version == 4 else "::"  # noqa: S104 - every interface
    rules = AccessSettings(networks=("loopback", "interface"))
    settings = ProxySettings(listen_host=everywhere, access=rules)
    assert send(admit(Access(settings, Counters(), Clock()), neighbour)) is None
    assert send(admit(Access(ProxySettings(), Counters(), Clock()), neighbour)) == DENIED


def test_a_listener_that_is_named_has_no_interface_of_its_own(clock: Clock) -> None:
    rules = AccessSettings(networks=("loopback", "interface"))
    access = Access(ProxySettings(listen_host="localhost", access=rules), Counters(), clock)
    assert send(admit(access)) is None
    assert send(admit(access, STRANGER)) == DENIED


def test_the_networks_of_loopback_are_no_interfaces() -> None:
    assert find_networks_around(ip_address("127.0.0.1")) == frozenset()


# Users


def test_a_user_may_send_from_anywhere_over_tls(clock: Clock, files: Mapping[str, Any]) -> None:
    access = make_access(clock, **files)
    visitor = admit(access, STRANGER)
    assert not visitor.may_authenticate
    assert send(visitor) == STARTTLS
    visitor.is_encrypted = True
    assert visitor.may_authenticate
    assert send(visitor) == "530 5.7.0 Authentication required"
    assert log_in(visitor) is None
    assert not visitor.may_authenticate
    assert send(visitor) is None
    assert visitor.login == Login(user="shop")
    assert access.counters["access.logged_in"] == 1


def test_where_tls_is_required_nobody_sends_without_it(
    clock: Clock, files: Mapping[str, Any]
) -> None:
    visitor = admit(make_access(clock, **files, tls_required=True))
    assert send(visitor) == STARTTLS
    visitor.is_encrypted = True
    assert send(visitor) is None


def test_auth_is_not_offered_without_users(clock: Clock, files: Mapping[str, Any]) -> None:
    visitor = admit(make_access(clock, **{**files, "auth_users": None}))
    visitor.is_encrypted = True
    assert not visitor.may_authenticate


def test_failed_logins_end_the_connection_after_three(
    clock: Clock, files: Mapping[str, Any]
) -> None:
    access = make_access(clock, **files)
    visitor = admit(access)
    answers = [log_in(visitor, password="wrong") for _ in range(3)]  # noqa: S106 - indeed
    assert answers[:2] == ["535 5.7.8 Authentication credentials invalid"] * 2
    assert answers[2] == "421 4.7.0 Too many failed logins; goodbye"
    assert access.counters["access.refused.auth_failed"] == 3


def test_each_failed_login_waits_twice_as_long(
    clock: Clock, files: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    rules = {**files, "auth_failure_delay_seconds": 1, "max_auth_failures": 9}
    visitor = admit(make_access(clock, **rules))
    for _ in range(6):
        log_in(visitor, password="wrong")  # noqa: S106 - indeed
    assert waits == [1, 2, 4, 8, 16, 16]


LOCKED = "454 4.7.0 Too many failed logins from this address; try again later"


def test_an_address_that_guesses_must_wait_on_whatever_connection(
    clock: Clock, files: Mapping[str, Any]
) -> None:
    access = make_access(clock, **files, auth_failures_per_minute=2)
    for _ in range(2):
        log_in(admit(access, STRANGER), password="wrong")  # noqa: S106 - indeed
    assert log_in(admit(access, STRANGER)) == LOCKED
    assert log_in(admit(access, SHOP)) is None
    clock.now += 60
    assert log_in(admit(access, STRANGER)) is None


def test_guesses_at_one_time_count_before_they_are_checked(
    clock: Clock, files: Mapping[str, Any]
) -> None:
    access = make_access(clock, **files, auth_failures_per_minute=3)

    async def guess() -> list[Login | Reply]:
        guesses = (admit(access, STRANGER).check_password("shop", str(n)) for n in range(20))
        return await asyncio.gather(*guesses)

    replies = [f"{each.code}" for each in asyncio.run(guess()) if isinstance(each, Reply)]
    assert sorted(replies) == ["454"] * 17 + ["535"] * 3


def test_right_logins_are_no_guesses(clock: Clock, files: Mapping[str, Any]) -> None:
    access = make_access(clock, **files, auth_failures_per_minute=1)
    assert [log_in(admit(access)) for _ in range(3)] == [None] * 3


def test_right_logins_at_one_time_are_not_mistaken_for_guesses(
    clock: Clock, files: Mapping[str, Any]
) -> None:
    access = make_access(clock, **files, auth_failures_per_minute=1)

    async def start_many() -> list[Login | Reply]:
        logins = (admit(access).check_password("shop", PASSWORD) for _ in range(50))
        return await asyncio.gather(*logins)

    assert asyncio.run(start_many()) == [Login(user="shop")] * 50
    assert len(access.gates) == 0


def test_one_who_logged_in_before_is_not_locked_out_by_a_neighbour(
    clock: Clock, files: Mapping[str, Any]
) -> None:
    access = make_access(clock, **files, auth_failures_per_minute=2)
    assert log_in(admit(access, STRANGER)) is None
    for _ in range(2):
        log_in(admit(access, STRANGER), password="wrong")  # noqa: S106 - indeed
    assert log_in(admit(access, STRANGER)) is None
    assert log_in(admit(access, STRANGER), password="guess") == LOCKED  # noqa: S106 - indeed


def test_the_addresses_of_one_ipv6_network_are_one_guesser(
    clock: Clock, files: Mapping[str, Any]
) -> None:
    access = make_access(clock, **files, auth_failures_per_minute=1)
    log_in(admit(access, "2001:db8::1"), password="wrong")  # noqa: S106 - indeed
    assert log_in(admit(access, "2001:db8::ffff:1")) == LOCKED
    assert log_in(admit(access, "2001:db8:0:1::1")) is None


def test_a_failed_login_is_logged_without_the_password(
    clock: Clock, files: Mapping[str, Any]
) -> None:
    with capture_logs() as logs:
        log_in(admit(make_access(clock, **files)), "x" * 1000, "my secret")
    (failed,) = (each for each in logs if each["event"] == "auth.failed")
    assert failed["client"] == "127.0.0.1"
    assert len(failed["user"]) == 100
    assert "my secret" not in repr(logs)


@pytest.mark.parametrize(
    ("log_addresses", "shown"), [(False, "j…@example.com"), (True, "jo@example.com")]
)
def test_a_user_whose_name_is_an_address_is_shortened_in_the_log_unless_asked_for(
    clock: Clock,
    files: Mapping[str, Any],
    log_addresses: bool,  # noqa: FBT001
    shown: str,
) -> None:
    settings = ProxySettings(access=AccessSettings(**files), log_addresses=log_addresses)
    with capture_logs() as logs:
        log_in(admit(Access(settings, Counters(), clock)), "jo@example.com", "my secret")
    assert [each["user"] for each in logs if each["event"] == "auth.failed"] == [shown]


def test_each_refusal_and_each_login_can_be_traced(clock: Clock, files: Mapping[str, Any]) -> None:
    with capture_logs() as logs:
        visitor = admit(make_access(clock, **files), STRANGER)
        send(visitor)
        log_in(visitor, "shop:X-MSYS-SUBACCOUNT=7")
    refused, logged_in = logs
    assert (refused["event"], refused["client"], refused["listen"]) == (
        "client.refused",
        STRANGER,
        LISTEN,
    )
    assert (refused["why"], refused["code"]) == ("tls_required", 530)
    assert (logged_in["event"], logged_in["user"]) == ("client.logged_in", "shop")
    assert logged_in["subaccount_id"] == 7


# How much


def test_the_most_specific_network_that_sets_a_limit_counts(clock: Clock) -> None:
    clients = {
        EVERYBODY: ClientSettings(max_message_bytes=10, max_recipients=5, max_messages=7),
        SHOPS: ClientSettings(max_message_bytes=20),
    }
    access = make_access(clock, clients=clients)
    assert admit(access, SHOP).limits == Limits(
        max_message_bytes=20, max_recipients=5, max_messages=7
    )
    default = ProxySettings()
    assert admit(access, "::1").limits == Limits(
        max_message_bytes=default.max_message_bytes,
        max_recipients=default.max_recipients,
        max_messages=None,
    )


def test_a_users_limits_stand_before_those_of_the_network(
    clock: Clock, files: Mapping[str, Any]
) -> None:
    access = make_access(
        clock,
        **files,
        clients={EVERYBODY: ClientSettings(max_message_bytes=10, max_recipients=5)},
        users={"Shop": LimitSettings(max_message_bytes=1000)},
    )
    visitor = admit(access)
    assert visitor.limits.max_message_bytes == 10
    assert log_in(visitor) is None
    assert (visitor.limits.max_message_bytes, visitor.limits.max_recipients) == (1000, 5)


def test_connections_of_a_network_are_counted_together_and_end(clock: Clock) -> None:
    access = make_access(clock, clients={EVERYBODY: ClientSettings(max_connections=2)})
    visitors = [admit(access, "127.0.0.1"), admit(access, "127.0.0.2")]
    assert refuse(access, "127.0.0.3") == "421 4.7.0 Too many connections; try again later"
    assert access.counters["access.refused.connections"] == 1
    visitors[0].leave()
    visitors[0].leave()
    admit(access, "127.0.0.3")
    refuse(access, "127.0.0.1")


def test_each_address_of_a_network_can_be_counted_by_itself(clock: Clock) -> None:
    table = ClientSettings(max_connections=1, each_address=True)
    access = make_access(clock, clients={EVERYBODY: table})
    admit(access, "127.0.0.1")
    admit(access, "127.0.0.2")
    refuse(access, "127.0.0.1")


def test_new_connections_are_counted_by_the_minute(clock: Clock) -> None:
    access = make_access(clock, clients={EVERYBODY: ClientSettings(connections_per_minute=1)})
    admit(access).leave()
    text = "421 4.7.0 Too many connections in a minute; try again later"
    assert refuse(access) == text
    clock.now += 60
    admit(access)


def test_messages_and_recipients_are_counted_by_the_minute(clock: Clock) -> None:
    table = ClientSettings(messages_per_minute=2, recipients_per_minute=1)
    access = make_access(clock, clients={EVERYBODY: table})
    first, second = admit(access), admit(access)
    assert [send(first), send(second)] == [None, None]
    assert send(first) == "451 4.7.1 Too many messages in a minute; try again later"
    assert first.count_recipient() is None
    reply = second.count_recipient()
    assert reply == Reply(451, "4.7.1 Too many recipients in a minute; try again later")
    clock.now += 30
    assert send(second) is None
    assert access.counters["access.refused.message_rate"] == 1
    assert access.counters["access.refused.recipient_rate"] == 1


def test_a_connection_may_bring_so_many_messages(clock: Clock) -> None:
    access = make_access(clock, clients={EVERYBODY: ClientSettings(max_messages=2)})
    visitor = admit(access)
    assert [send(visitor), send(visitor)] == [None, None]
    text = "421 4.7.0 2 messages on one connection are enough; please connect again"
    assert send(visitor) == text
    assert send(admit(access)) is None


def test_a_user_is_counted_over_all_networks(clock: Clock, files: Mapping[str, Any]) -> None:
    table = LimitSettings(max_connections=1, messages_per_minute=1)
    access = make_access(clock, **files, users={"shop": table})
    first, second = admit(access, SHOP), admit(access, STRANGER)
    assert log_in(first) is None
    assert log_in(second) == "454 4.7.0 Too many connections; try again later"
    first.is_encrypted = second.is_encrypted = True
    assert send(first) is None
    first.leave()
    assert log_in(second) is None
    assert send(second) == "451 4.7.1 Too many messages in a minute; try again later"


# Trusted peers


def test_only_named_peers_send_proxy_headers_and_xclient(clock: Clock) -> None:
    access = make_access(clock, proxy_protocol_from=(SHOPS,), xclient_from=(SHOPS,))
    for peer, is_trusted in ((SHOP, True), (STRANGER, False), ("127.0.0.1", False)):
        assert access.must_send_proxy_header(ip_address(peer)) is is_trusted
        assert access.may_use_xclient(ip_address(peer)) is is_trusted
    assert not make_access(clock).must_send_proxy_header(ip_address("127.0.0.1"))
    assert not access.may_use_xclient(None)


# Files that change


def test_users_who_are_added_can_log_in_after_a_few_seconds(
    clock: Clock, files: Mapping[str, Any]
) -> None:
    access = make_access(clock, **files)
    add_user(files["auth_users"], "blog", PASSWORD, cost=CHEAP)
    assert log_in(admit(access), "blog") is not None
    clock.now += 5
    with capture_logs() as logs:
        assert log_in(admit(access), "blog") is None
    reloaded = [each["file"] for each in logs if each["event"] == "file.reloaded"]
    assert reloaded == [str(files["auth_users"])]


def test_users_who_are_added_can_log_in_at_once_after_a_reload(
    clock: Clock, files: Mapping[str, Any]
) -> None:
    access = make_access(clock, **files)
    add_user(files["auth_users"], "blog", PASSWORD, cost=CHEAP)
    access.reload()
    assert log_in(admit(access), "blog") is None


def test_a_renewed_certificate_is_used_after_a_few_seconds(
    clock: Clock, files: Mapping[str, Any], tmp_path: Path
) -> None:
    access = make_access(clock, **files)
    before = access.tls
    make_certificate(tmp_path)
    assert access.tls is before
    clock.now += 5
    assert access.tls is not before


def test_a_file_that_can_not_be_used_leaves_the_old_one_in_force_and_is_logged(
    clock: Clock, files: Mapping[str, Any]
) -> None:
    access = make_access(clock, **files)
    before = access.tls
    files["auth_users"].write_text("broken")
    files["tls_key"].write_text("broken")
    with capture_logs() as logs:
        access.reload()
    assert [each["event"] for each in logs] == ["file.not_reloaded"] * 2
    assert access.tls is before
    assert log_in(admit(access)) is None


@pytest.mark.parametrize(
    ("name", "error"), [("auth_users", UsersError), ("tls_key", SettingsError)]
)
def test_a_file_that_can_not_be_used_at_the_start_is_an_error(
    clock: Clock, files: Mapping[str, Any], name: str, error: type[Exception]
) -> None:
    files[name].write_text("broken")
    with pytest.raises(error, match=files[name].name):
        make_access(clock, **files)


# Faults


def list_faults(listen: str = "127.0.0.1", **rules: Any) -> list[str]:
    settings = ProxySettings(listen_host=listen, access=AccessSettings(**rules))
    return [f"{fault.key}: {fault.text}" for fault in find_faults(settings)]


OPEN = (
    "listen: other machines reach {}, and nothing says who may send: set networks or "
    "auth_users; if something else, such as a firewall, protects the proxy, say so by "
    "open_relay = true"
)


def test_the_reference_front_can_not_serve_every_setting(files: Mapping[str, Any]) -> None:
    settings = ProxySettings(front="aiosmtpd", access=AccessSettings(**files))
    text = 'front = "aiosmtpd" can\'t serve it; leave the one or the other out'
    expected = [f"{key}: {text}" for key in ("auth_users", "tls_certificate")]
    assert [f"{each.key}: {each.text}" for each in find_faults(settings)] == expected


@pytest.mark.parametrize("listen", ["::", "192.0.2.1", "10.0.0.1", "mail.example.com"])
def test_a_listener_that_others_reach_needs_a_rule(clock: Clock, listen: str) -> None:
    assert list_faults(listen) == [OPEN.format(Address(listen, 2525))]
    with pytest.raises(SettingsError, match="proxy: listen: other machines reach"):
        Access(ProxySettings(listen_host=listen), Counters(), clock)


@pytest.mark.parametrize("listen", ["127.0.0.1", "::1", "localhost"])
def test_a_listener_on_loopback_needs_none(listen: str) -> None:
    assert list_faults(listen) == []


@pytest.mark.parametrize(
    "rules",
    [
        {"networks": (SHOPS,)},
        {"networks": ("interface",)},
        {"networks": ()},
        {"open_relay": True},
        {"auth_users": Path("users.toml"), "tls_certificate": Path("a.pem")},
        {"auth_users": Path("users.toml"), "proxy_protocol_from": (SHOPS,)},
    ],
)
def test_each_rule_is_enough(rules: Mapping[str, Any]) -> None:
    assert list_faults("192.0.2.1", **rules) == []


def test_limits_alone_are_no_rule() -> None:
    clients = {EVERYBODY: ClientSettings(max_connections=1)}
    assert list_faults("192.0.2.1", clients=clients) == [OPEN.format("192.0.2.1:2525")]


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_a_network_of_everybody_is_an_open_relay(network: str) -> None:
    (fault,) = list_faults(networks=(ip_network(network),))
    assert fault.startswith(f"networks: {network} lets in everybody; ")
    assert list_faults(networks=(ip_network(network),), open_relay=True) == []


@pytest.mark.parametrize(
    "halves", [("0.0.0.0/1", "128.0.0.0/1"), ("::/1", "8000::/2", "c000::/2")]
)
def test_networks_that_hold_everybody_together_are_an_open_relay(halves: Sequence[str]) -> None:
    (fault,) = list_faults(networks=tuple(map(ip_network, halves)))
    assert fault.startswith(f"networks: {', '.join(halves)} together let in everybody; ")
    assert list_faults(networks=tuple(map(ip_network, halves[1:]))) == []


def test_an_address_is_for_tls_at_once_or_it_is_not(files: Mapping[str, Any]) -> None:
    rules = {**files, "listen_tls": (Address("127.0.0.1", 2525), Address("127.0.0.1", 465))}
    assert list_faults(**rules) == [
        "listen_tls: 127.0.0.1:2525 is in listen too; TLS begins there at once, or it does not"
    ]


@pytest.mark.parametrize("key", ["proxy_protocol_from", "xclient_from"])
def test_not_everybody_is_a_trusted_peer(key: str) -> None:
    rules: dict[str, Any] = {"open_relay": True, key: (EVERYBODY,)}
    assert list_faults(**rules) == [
        f"{key}: 0.0.0.0/0 is everybody, who could then be anybody; name peers"
    ]


def test_two_who_check_users_are_one_too_many() -> None:
    (fault,) = list_faults(
        auth_users=Path("users.toml"), auth_passthrough=True, tls_certificate=Path("a.pem")
    )
    assert fault == "auth_passthrough: the upstream checks AUTH, or auth_users does; keep one"


def test_what_needs_tls_needs_a_certificate() -> None:
    listen = (Address("127.0.0.1", 465),)
    faults = list_faults(
        auth_users=Path("users.toml"), tls_key=Path("k"), tls_required=True, listen_tls=listen
    )
    assert faults == [
        "tls_key: needs a certificate: set tls_certificate",
        "tls_required: needs a certificate: set tls_certificate",
        "listen_tls: needs a certificate: set tls_certificate",
        "auth_users: AUTH is offered over TLS only: set tls_certificate",
    ]


def test_a_listener_of_tls_needs_a_rule_too() -> None:
    listen = (Address("192.0.2.1", 465),)
    (fault,) = list_faults(listen_tls=listen, tls_certificate=Path("a.pem"))
    assert fault.startswith("listen_tls: other machines reach 192.0.2.1:465")
