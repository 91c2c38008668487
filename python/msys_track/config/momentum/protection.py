"""What Momentum's options and stanzas say of a listener: who may send to it, and over what.

`[proxy]` has one set of rules for all of its ports. So what the listeners say becomes these rules
where they agree; where they don't, or where msys-track has nothing of the kind, the listener has a
fault: it would be an open relay, or take in plain text what was meant for TLS.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from msys_track.config.document import KeyPath, Place
from msys_track.config.momentum.names import read_boolean, read_text, read_texts
from msys_track.config.momentum.stanzas import Item, Option, Stanza
from msys_track.settings.addresses import NETWORK, Network
from msys_track.settings.kinds import NotAllowedError

_SAY_WHO: Final = "say by networks in msys_track { } who may send without AUTH"
_ONE_RULE: Final = f"msys-track has one rule for all clients and mail of a port: {_SAY_WHO}"

Ask: TypeAlias = Literal[
    "relay", "login", "tls", "tls only", "tls first", "client certificate", "proxy header"
]
"""What an option asks of a port."""

_OPEN_RELAY: Final = "open_relay"
_RELAY_HOSTS: Final = "relay_hosts"
_EXTENSIONS: Final = "smtp_extensions"
_SCOPES: Final = re.compile(r"listen(er)?|peer.*|pathway(_group)?")
_EVERY_LISTENER: Final[tuple[KeyPath, ...]] = ((), ("listener",))

_OF_DELIVERY: Final = re.compile(r"outbound_.*|only_use_best_mx_for_relay_domains")
# How TLS is spoken, or who spoke it: ours is 1.2 or newer, and drops what came before it.
_OF_TLS_ITSELF: Final = re.compile(
    r"tls_(?!certificate|key|required|verify(_mode)?$|client_ca).*|tls_client_ca|tlsv13_.*"
    r"|starttls_injection_policy|(ssl|crypto)_lock_method|proxy_protocol_timeout"
)
# They let in some whom msys-track refuses, which is safe.
_GRANT: Final = re.compile(r"relay_domains|relay_for_.*|tls_verified_peer_can_relay")
_ASKS: Final[tuple[tuple[re.Pattern[str], Ask], ...]] = (
    (re.compile(r"tls_verify(_mode)?"), "client certificate"),
    (re.compile(r"proxy_protocol"), "proxy header"),
    (re.compile(r"use_ssl|ssl"), "tls first"),
    (re.compile(r".*tls_required|require_.*tls"), "tls only"),
    (re.compile(r".*auth.*|always_deny"), "login"),
    (re.compile(r".*tls.*|(.*_)?ssl.*"), "tls"),
    (re.compile(r".*relay.*"), "relay"),
)


class Said(NamedTuple):
    """What an option or a stanza says of a port."""

    table: KeyPath
    name: str
    """As the file has it, with its stanza's."""
    place: Place
    item: Item


class Listener(NamedTuple):
    """A port that is opened."""

    table: KeyPath
    words: str
    """Its name in the file's own words."""
    address: str
    place: Place
    is_reached: bool
    """Whether other machines reach it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Keys of `[proxy]` that follow from what the listeners say; None or empty: nothing does."""

    networks: Sequence[tuple[str, Place]] | None
    open_relay: Place | None
    tls: Mapping[str, Said]
    """The options of the certificate, by key: `tls_certificate`, `tls_key`."""
    tls_required: Place | None
    listen_tls: Sequence[Listener]
    faults: Sequence[tuple[Listener, str]]


def list_asks(item: Item) -> Sequence[Ask]:
    """List what an option or a stanza asks of ports."""
    ask = _find_ask(item)
    if item.name == "tls_key":
        return ()
    if ask is None or isinstance(item, Stanza) or item.name == _OPEN_RELAY:
        return (ask,) if ask else ()
    value = str(read_text(item.value)).lower()
    if item.name == _EXTENSIONS:
        words = re.findall(r"\b(?:starttls|auth)\b", value)
        asks: tuple[tuple[str, Ask], ...] = (("starttls", "tls"), ("auth", "login"))
        return [each for word, each in asks if word in words]
    # A value that is neither on nor off counts as on.
    if read_boolean(item.value) is False or (value == "none" and "relay" not in item.name):
        return ()
    return ("tls only",) if item.name == "tls" and value == "required" else (ask,)


def _find_ask(item: Item) -> Ask | None:
    """Find what an item is about, whatever its value; None if it is not about ports."""
    if any(each.fullmatch(item.name) for each in (_OF_DELIVERY, _OF_TLS_ITSELF, _GRANT)):
        return None
    if item.name == _EXTENSIONS:
        return "login"
    return next((ask for pattern, ask in _ASKS if pattern.fullmatch(item.name)), None)


def explain_unread(item: Item) -> str | None:
    """Say why an option is not read; None if it says who may send to ports, or over what."""
    if _GRANT.fullmatch(item.name):
        return "msys-track relays for clients and users only"
    if item.name == "tls_client_ca":
        return "msys-track asks clients for no certificate"
    if _OF_TLS_ITSELF.fullmatch(item.name):
        return "not an option of msys-track, whose TLS is 1.2 or newer, with the system's ciphers"
    if _find_ask(item) is None or (item.name == _EXTENSIONS and not list_asks(item)):
        return "not an option of msys-track"
    return None


class Guards:
    """What one pass over a configuration finds about ports."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[tuple[KeyPath, str], Said] = {}
        """By table and name; a later one overrides."""

    def add(self, item: Item, table: KeyPath, name: str) -> None:
        """Record an item of a table, and what is in it."""
        if table and not _SCOPES.fullmatch(str(table[0])):
            return
        if isinstance(item, Option) or list_asks(item):
            self._found[table, item.name] = Said(table, name, item.place, item)
        elif table or item.name.startswith("peer"):
            for each in item.body:
                # At the top a Peer has no effect in Momentum, and lets nobody in here.
                inner = (*table, item.name if table else f"{item.name}s outside", *item.instances)
                self.add(each, inner, f"{item.written}.{each.written}")

    def list_unread(self, ours: Mapping[str, object]) -> Iterator[tuple[Said, str]]:
        """List what `msys_track` has in its place, and say so."""
        has_networks = ours.get("open_relay") is True or "networks" in ours
        for said in self._found.values():
            asks = list_asks(said.item)
            if has_networks and "relay" in asks:
                yield said, "msys_track { } says who may send"
            elif "login" in asks and said.item.name != _EXTENSIONS:
                users = "auth_users or auth_passthrough in msys_track { }"
                yield (
                    said,
                    f"users are those of {users}"
                    if _offers_auth(ours)
                    else (f"AUTH is not offered without {users}"),
                )

    def _find(self, listener: Listener, *asks: Ask) -> list[Said]:
        """Find what asks for something at a listener, or of some of its clients or mail."""
        return [*self._find_own(listener, *asks), *self._find_of_some(listener, *asks)]

    def _find_own(self, listener: Listener, *asks: Ask) -> list[Said]:
        """Find what asks for something of all who come to a listener."""
        return _select(self._list_own(listener).values(), asks)

    def _list_own(self, listener: Listener) -> dict[str, Said]:
        nearest: dict[str, Said] = {}
        for outer in (*_EVERY_LISTENER, listener.table):
            nearest |= {
                name: said for (table, name), said in self._found.items() if table == outer
            }
        return nearest

    def _find_of_some(self, listener: Listener, *asks: Ask) -> list[Said]:
        return _select(self._list_of_some(listener), asks)

    def _list_of_some(self, listener: Listener) -> Iterator[Said]:
        """List what is said of some clients, or of some mail."""
        for (table, _), said in self._found.items():
            is_of_another = table[:1] == ("listen",) and table[:2] != listener.table
            if not is_of_another and table not in (*_EVERY_LISTENER, listener.table):
                yield said

    # The rules

    def decide(self, listeners: Sequence[Listener], ours: Mapping[str, object]) -> Rules:
        """Make the rules of the ports that are opened; `ours` are the keys that `msys_track` has.

        Those go before what Momentum's options say.
        """
        faults: list[tuple[Listener, str]] = []
        networks, open_relay = self._decide_senders(listeners, ours, faults)
        tls = self._decide_certificate(listeners, ours, faults)
        listen_tls = [each for each in listeners if self._find_own(each, "tls first")]
        tls_required = self._decide_required(listeners, listen_tls, ours, faults)
        has_certificate = "tls_certificate" in ours or "tls_certificate" in tls
        for each in listeners:
            lacking = self._find_lacking(each, ours, has_certificate=has_certificate)
            faults += ((each, text) for text in lacking)
        return Rules(
            networks=networks,
            open_relay=open_relay,
            tls=tls,
            tls_required=tls_required,
            listen_tls=listen_tls,
            faults=faults,
        )

    def _find_lacking(
        self, listener: Listener, ours: Mapping[str, object], *, has_certificate: bool
    ) -> Iterator[str]:
        """Find what a listener asks for and msys-track can't give, or lacks the means for."""
        asking = self._find(listener, "tls", "tls only", "tls first")
        if asking and not has_certificate:
            yield (
                f"{_name(asking, listener)} for TLS, but there is no certificate: write "
                'TLS_Certificate = "cert.pem" and TLS_Key = "key.pem" in ESMTP_Listener, or '
                "tls_certificate and tls_key in msys_track { }"
            )
        if some := self._find_of_some(listener, "tls first"):
            yield (
                f"{_name(some, listener)} for TLS, but msys-track begins with TLS for all clients "
                "of a port or for none: write Use_SSL in Listen"
            )
        if listener.table == ("listener",) and self._find_own(listener, "tls first"):
            yield "Use_SSL has no Listen: write the port that begins with TLS"
        headed = self._find(listener, "proxy header")
        if headed and not ours.get("proxy_protocol_from"):
            yield (
                f"{_name(headed, listener)} for a PROXY header, but msys-track believes that of "
                "load balancers which you name, and no other: "
                'write msys_track { proxy_protocol_from = ( "10.0.0.5" ) }'
            )
        verified = self._find(listener, "client certificate")
        if verified and not _has_senders(ours):
            yield (
                f"{_name(verified, listener)} for a client's certificate, but msys-track asks "
                "clients for none: leave it out, and say who may send by networks or auth_users "
                "in msys_track { }"
            )

    def _decide_senders(
        self,
        listeners: Sequence[Listener],
        ours: Mapping[str, object],
        faults: list[tuple[Listener, str]],
    ) -> tuple[Sequence[tuple[str, Place]] | None, Place | None]:
        """Decide who may send; a key of ours that lets in or keeps out is the only rule."""
        if ours.get("open_relay") is True or "networks" in ours:
            return None, None
        opened = [each for each in listeners if self._is_open(each)]
        restrained = [
            each for each in listeners if each not in opened and self._find(each, "relay", "login")
        ]
        for each in opened:
            if restrained:
                text = (
                    f"Open_Relay = true lets in everybody, but {restrained[0].words} does not, "
                    f"and msys-track has one rule for all ports: {_SAY_WHO}"
                )
                faults.append((each, text))
            elif narrow := self._find_narrowed(each, None):
                faults.append((each, f"{_name(narrow, each)} for less relaying, but {_ONE_RULE}"))
        if restrained:
            lists = {each: self._list_networks(each) for each in restrained}
            for each in restrained:
                faults += self._judge_senders(each, restrained[0], lists, ours)
            for each in listeners:
                # Its own clients may be others: the first port may be one that few can reach.
                is_silent = each not in opened and each not in restrained
                if is_silent and each.is_reached and lists[restrained[0]]:
                    text = (
                        "nothing says who may send here, and msys-track has one rule for all "
                        f"ports, which would let in those whom {restrained[0].words} names: write "
                        "Relay_Hosts in ESMTP_Listener, or networks in msys_track { }"
                    )
                    faults.append((each, text))
            return lists[restrained[0]], None
        reached = [each for each in listeners if each.is_reached]
        is_open = bool(reached) and all(each in opened for each in reached)
        return None, reached[0].place if is_open and "open_relay" not in ours else None

    def _judge_senders(
        self,
        listener: Listener,
        first: Listener,
        lists: Mapping[Listener, Sequence[tuple[str, Place]]],
        ours: Mapping[str, object],
    ) -> Iterator[tuple[Listener, str]]:
        """Find why the networks of the first listener can't be the rule of this one."""
        networks = lists[listener]
        if _read_networks(networks) != _read_networks(lists[first]):
            text = (
                f"others may send here than to {first.words}, and msys-track has one rule for all "
                "ports: write msys_track { networks = ( … ) }, with all who may send to any"
            )
            yield listener, text
        if narrow := self._find_narrowed(listener, networks):
            yield listener, f"{_name(narrow, listener)} for less relaying, but {_ONE_RULE}"
        elif (logins := self._find(listener, "login")) and not _offers_auth(ours):
            text = (
                'Momentum\'s users are not read: write msys_track { auth_users = "users.toml" }, '
                "made by msys-track users add users.toml NAME, or auth_passthrough = true there, "
                "if the upstream knows them; or say by networks there who may send without AUTH"
            )
            yield listener, f"{_name(logins, listener)} for AUTH, but {text}"
        elif not networks and not _offers_auth(ours):
            text = (
                'nothing says who may send: write Relay_Hosts = ( "10.0.0.0/8" ), or networks or '
                "auth_users in msys_track { }; or, if something else, such as a firewall, "
                "protects the port, msys_track { open_relay = true }"
            )
            asking = self._find(listener, "relay")
            yield listener, f"{_name(asking, listener)} for less relaying, but {text}"

    def _is_open(self, listener: Listener) -> bool:
        """Whether a listener is an open relay for everybody, as its own option says."""
        said = self._list_own(listener).get(_OPEN_RELAY)
        return said is not None and _is_on(said)

    def _list_networks(self, listener: Listener) -> Sequence[tuple[str, Place]]:
        """List the networks whose clients may send: Relay_Hosts, and peers with Open_Relay."""
        networks: list[tuple[str, Place]] = []
        said = self._list_own(listener).get(_RELAY_HOSTS)
        if said is not None and isinstance(said.item, Option):
            hosts = read_texts(said.item.value)
            if isinstance(hosts, list):
                networks += [(str(each), said.place) for each in hosts]
        for some in self._list_of_some(listener):
            table = some.table
            is_peer = table[-2:-1] == ("peer",) and len(table) in (2, 4)
            if is_peer and some.item.name == _OPEN_RELAY and _is_on(some):
                networks.append((str(table[-1]), some.place))
        return networks

    def _find_narrowed(
        self, listener: Listener, networks: Sequence[tuple[str, Place]] | None
    ) -> list[Said]:
        """Find what keeps out some of those whom the networks let in; None: all are let in."""
        allowed = _read_networks(networks or ())
        narrowed = []
        for some in self._find_of_some(listener, "relay"):
            peers = frozenset[Network]()
            if some.item.name == _OPEN_RELAY:
                if _is_on(some):
                    continue  # lets in more
                if some.table[-2:-1] == ("peer",):
                    peers = _read_networks([(str(some.table[-1]), some.place)])
            is_apart = bool(peers) and not any(
                _overlap(peer, each) for peer in peers for each in allowed
            )
            if networks is None or not is_apart:
                narrowed.append(some)
        return narrowed

    def _decide_certificate(
        self,
        listeners: Sequence[Listener],
        ours: Mapping[str, object],
        faults: list[tuple[Listener, str]],
    ) -> Mapping[str, Said]:
        if "tls_certificate" in ours:
            return {}
        chosen: dict[str, Said] = {}
        for each in listeners:
            own = {
                name: said
                for name in ("tls_certificate", "tls_key")
                if (said := self._list_own(each).get(name)) and _text(said).lower() != "none"
            }
            if "tls_certificate" not in own:
                continue
            chosen = chosen or own
            if {name: _text(said) for name, said in own.items()} != {
                name: _text(said) for name, said in chosen.items()
            }:
                text = (
                    f"TLS_Certificate or TLS_Key differs from {chosen['tls_certificate'].name}, "
                    "and msys-track has one for all ports: write tls_certificate and tls_key in "
                    "msys_track { }"
                )
                faults.append((each, text))
        return chosen

    def _decide_required(
        self,
        listeners: Sequence[Listener],
        listen_tls: Sequence[Listener],
        ours: Mapping[str, object],
        faults: list[tuple[Listener, str]],
    ) -> Place | None:
        if ours.get("tls_required") is True:
            return None
        plain = [
            each
            for each in listeners
            if each not in listen_tls
            and ("tls_required" in ours or not self._find_own(each, "tls only"))
        ]
        found = None
        for each in listeners:
            asking = [] if each in listen_tls else self._find(each, "tls only")
            if asking and plain:
                text = (
                    "msys-track takes mail over TLS only at all ports or at none: write "
                    "msys_track { tls_required = true }"
                )
                faults.append((each, f"{_name(asking, each)} for TLS, but {text}"))
            elif asking:
                found = found or asking[0].place
        return found


def _select(found: Iterable[Said], asks: Sequence[Ask]) -> list[Said]:
    return [each for each in found if not set(asks).isdisjoint(list_asks(each.item))]


def _offers_auth(ours: Mapping[str, object]) -> bool:
    return "auth_users" in ours or ours.get("auth_passthrough") is True


def _has_senders(ours: Mapping[str, object]) -> bool:
    """Whether our own stanza says who may send."""
    return ours.get("open_relay") is True or "networks" in ours or _offers_auth(ours)


def _name(said: Sequence[Said], listener: Listener) -> str:
    """Write options and their places as the subject of a sentence."""
    folder = listener.place.file.parent
    named = ", ".join(f"{each.name} ({each.place.format_from(folder)})" for each in said)
    return f"{named} {'ask' if len(said) > 1 else 'asks'}"


def _text(said: Said) -> str:
    return str(read_text(said.item.value)) if isinstance(said.item, Option) else ""


def _is_on(said: Said) -> bool:
    return isinstance(said.item, Option) and read_boolean(said.item.value) is True


def _read_networks(networks: Sequence[tuple[str, Place]]) -> frozenset[Network]:
    """Read those that are good; the others are reported where the rules are checked."""
    read: set[Network] = set()
    for text, _ in networks:
        with suppress(NotAllowedError):
            read.add(NETWORK.read(text))
    return frozenset(read)


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)
