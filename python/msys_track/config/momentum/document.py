"""Momentum's settings about tracking, in the shape of our own TOML file.

One check then serves both: what is allowed is decided once, and `places` lets it name the line of
`ecelerity.conf`. Nothing is dropped silently: what has no meaning here is listed as ignored.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Final

from msys_track.config.document import Document, KeyPath, Place
from msys_track.config.momentum import files as ecelerity
from msys_track.config.momentum.mistakes import (
    explain_unknown,
    find_close_stanza,
    find_mistake,
    find_stanza_mistake,
    list_options,
)
from msys_track.config.momentum.names import (
    EVERY_MODULE,
    GLOBAL,
    HINTS,
    LOADED_BY_ITSELF,
    OF_DELIVERY,
    TRACKING,
    TRACKING_SCOPES,
    StanzaKind,
    read_text,
)
from msys_track.config.momentum.protection import Guards, Listener, explain_unread
from msys_track.config.momentum.stanzas import Array, Dictionary, Item, Option, Stanza, Value
from msys_track.config.momentum.words import write_key, write_text
from msys_track.config.problems import Problem, nearest
from msys_track.config.schema.tables import known_key
from msys_track.config.scopes import read_name
from msys_track.config.toml.names import write_string
from msys_track.config.toml.writing import toml_text
from msys_track.injection.settings import ProxySettings, is_loopback
from msys_track.keys.file import key_source
from msys_track.settings.kinds import NotAllowedError, write_found
from msys_track.smtp.address import Address

_ORDER: Final = (
    "keys", "smtpapi", "listener", "listen", "peer", "pathway", "pathway_group",
    "engagement_tracker", "policy", "proxy", "tracker",
)  # fmt: skip
_TRACKING_SWITCHES: Final = ("open_tracking_enabled", "click_tracking_enabled")
_SCRIPT_SUFFIXES: Final = (".lua", ".py")
_FILES: Final = (
    ("tracker", "store"),
    ("proxy", "auth_users"),
    ("proxy", "tls_certificate"),
    ("proxy", "tls_key"),
    ("proxy", "upstream_tls_ca_file"),
)
_SMTP_PORT: Final = 25
_HOST_WITHOUT_PORT: Final = re.compile(
    r"[^:\[\]\s]+|\[[^:\[\]\s]*:[^\[\]\s]*\]|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*"
)


def read_document(path: Path, *, search_path: Sequence[Path] | None = None) -> Document:
    """Read `ecelerity.conf` and map its stanzas to the members of `msys-track.toml`.

    Values are not checked: a malformed number stays a text. What has no meaning here becomes one
    notice, however often it occurs. Includes are looked for in `search_path`, or else in
    Momentum's own path, which the environment may set.

    Raises:
        SettingsError: the file can't be read.
    """
    if search_path is None:
        search_path = ecelerity.search_path(os.environ)
    tree = ecelerity.parse(path, search_path=search_path)
    mapping = _Mapping(path)
    mapping.read_body(tree.body, GLOBAL, ())
    mapping.settle()
    return Document(
        path=path,
        members={name: mapping.members[name] for name in _ORDER if name in mapping.members},
        places=mapping.places,
        problems=(*tree.problems, *mapping.problems),
        notices=tuple(mapping.notices.values()),
        unread=frozenset(mapping.unread),
        hints=HINTS,
        write_key=partial(write_key, renamed=mapping.words),
        write_text=write_text,
    )


def write_toml(document: Document, folder: Path) -> str:
    """Write a document without problems as TOML that means the same in a folder.

    A comment says where each member comes from, such as `from conf.d/tracking.conf:14`. Names of
    files are relative to the file that they stand in: where the TOML goes elsewhere, they become
    absolute.
    """
    home = document.path.parent.resolve()
    members: dict[str, Any] = deepcopy(dict(document.members))
    if folder.resolve() != home:
        if "keys" in members and isinstance(key_source(members["keys"]), Path):
            members["keys"] = str(home / members["keys"])
        for table, name in _FILES:
            if name in members.get(table, {}):
                members[table][name] = str(home / members[table][name])
        if "files" in members.get("policy", {}):
            members["policy"]["files"] = [str(home / name) for name in members["policy"]["files"]]
    head = f"# Made from {document.path.resolve()} by msys-track config import.\n"
    origins = {path: f"from {document.format_place(path)}" for path in document.places}
    return f"{head}\n{toml_text(members, origins)}"


class _Mapping:
    """The result of one pass over the tree; `settle` then decides what the pass can't yet know."""

    __slots__ = (
        "_guards", "_path", "_switches", "_tables", "members", "notices", "places", "problems",
        "unread", "words",
    )  # fmt: skip

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guards = Guards()
        self._switches: dict[KeyPath, bool] = {}
        """By table, whether it is enabled; our file has no such key."""
        self._tables: dict[tuple[KeyPath, object], KeyPath] = {}
        """By the table around it and what its name means."""
        self.members: dict[str, Any] = {}
        self.places: dict[KeyPath, Place] = {}
        self.notices: dict[str, Problem] = {}
        self.problems: list[Problem] = []
        self.unread: set[KeyPath] = set()
        self.words: dict[KeyPath, str] = {}
        """The names, in the file's own words, of keys that other options became."""

    # The pass

    def read_body(self, body: Sequence[Item], scope: StanzaKind, table: KeyPath) -> None:
        for item in body:
            written = _join(scope, item.written)
            if isinstance(item, Stanza):
                if item.name in scope.inner:
                    self._read_stanza(item, scope.inner[item.name], table)
                else:
                    self._pass_over(item, scope, table)
            elif item.name in scope.options:
                path, read = scope.options[item.name]
                self._set_member((*table, *path), read(item.value), item)
            elif why := find_mistake(item.name, scope):
                self._add_problem(item.place, written, why)
                if near := nearest(item.name, scope.options):
                    self.unread.add((*table, *scope.options[near][0]))
            elif item.name not in EVERY_MODULE:
                self._guards.add(item, table, written)
                if why := explain_unread(item):
                    self._add_notice(item.place, _join(scope, item.name), why)

    def _read_stanza(self, stanza: Stanza, scope: StanzaKind, outer: KeyPath) -> None:
        table = (*(() if scope.is_top else outer), *scope.table)
        if scope.instance:
            if len(stanza.instances) != 1:
                found = " ".join(map(write_found, stanza.instances)) or "none"
                text = f'found {found}, allowed: one, {stanza.written} "{scope.instance}" {{ … }}'
                self._add_problem(stanza.place, stanza.written, text)
                return
            table = (*table, *stanza.instances)
            # An address or a network has one table, however it is written.
            with suppress(NotAllowedError):
                table = self._tables.setdefault((table[:-1], read_name(table)), table)
        self._open_table(table, stanza.place)
        self.read_body(stanza.body, scope, table)

    def _pass_over(self, stanza: Stanza, scope: StanzaKind, table: KeyPath) -> None:
        name, written = _join(scope, stanza.name), _join(scope, stanza.written)
        if stanza.name in LOADED_BY_ITSELF:
            return
        if stanza.name == "msg_gen":
            why = "its tracking options are those of Momentum's REST injection; SMTP has its own"
            self._add_notice(stanza.place, name, why)
        elif close := find_close_stanza(stanza, scope):
            self._add_problem(stanza.place, name, f"unknown stanza; did you mean {close}?")
            self._read_stanza(stanza, scope.inner[close], table)
        elif mistake := find_stanza_mistake(stanza, scope):
            self._add_problem(stanza.place, written, mistake)
        else:
            self._guards.add(stanza, table, written)
            why = "not a stanza of msys-track; nothing in it is read"
            if not scope.name:
                why += explain_unknown(stanza.name)
            self._add_notice(stanza.place, name, why)
            for option in list_options(stanza.body):
                if option.name in TRACKING:
                    why = f"has no effect in {stanza.written}; it belongs in {TRACKING_SCOPES}"
                    self._add_problem(option.place, option.written, why)

    def _set_member(self, path: KeyPath, value: object, option: Option) -> None:
        table, name = path[:-1], str(path[-1])
        if name == "enabled":
            self._switches.pop(table, None)
            if isinstance(value, bool):
                self._switches[table] = value
            else:
                text = f"found {write_found(value)}, allowed: true or false"
                self._add_problem(option.place, "enable", text)
            return
        members = self._open_table(table, option.place)
        # Overridden values are checked here, because the later check never sees them.
        key = known_key(path) if path in self.places else None
        try:
            if key is not None:
                key.kind.read(members[name])
        except NotAllowedError as error:
            for item, text in error.faults:
                wrong = path if item is None else (*path, item)
                place = self.places.get(wrong, self.places[path])
                self._add_problem(place, write_key(wrong, self.words), write_text(text))
        if path in self.places:
            self._forget_places(path)
        members[name] = value
        self.places.update(_find_places(path, option.value))
        self.places[path] = option.place

    # What the pass can't yet know

    def settle(self) -> None:
        """Replace Momentum's own options by the keys that our file has for them."""
        self._settle_listeners()
        is_loaded = "smtpapi" in self.members
        self.members["smtpapi"] = is_loaded and self._switches.get(("smtpapi",), True)
        first = next((path for path in self.places if path[-1] in _TRACKING_SWITCHES), None)
        if first is not None and not is_loaded:
            why = "nothing is tracked, because there is no smtpapi { }"
            self._add_notice(self.places[first], str(first[-1]), why)
        self._settle_scripts()
        self._settle_upstream()

    def _settle_upstream(self) -> None:
        """Make the upstream of the smart host, unless our own stanza names one."""
        place = self.places.get(("gateway",))
        gateway = self._take_member("gateway")
        port = self._take_member("remote_smtp_port", _SMTP_PORT)
        is_used = place is not None and ("proxy", "upstream") not in self.places
        delivery = {name: self.places.get((name,)) for name in OF_DELIVERY}
        for name, written in delivery.items():
            value = self._take_member(name)
            if written is None:
                continue
            if not is_used:
                why = "for the next hop; write upstream_tls in msys_track { } for its upstream"
                self._add_notice(written, name, why)
                continue
            self._set_delivery(name, value, written)
            if name == "tls" and delivery["tls_verify"] is None:
                self._set_delivery("tls_verify", "no", written)  # Momentum's default
        if place is None or not is_used:
            return
        if isinstance(gateway, str) and _HOST_WITHOUT_PORT.fullmatch(gateway):
            gateway = str(Address(gateway.strip("[]"), port))
        self._open_table(("proxy",), place)["upstream"] = gateway
        self.places["proxy", "upstream"] = place
        self.words["proxy", "upstream"] = "Gateway"

    def _set_delivery(self, name: str, value: object, place: Place) -> None:
        """Write into `[proxy]` what an option says of TLS to the smart host."""
        key, allowed = OF_DELIVERY[name]
        if allowed:
            folded = str(value).lower()
            if folded not in allowed:
                found = f"found {write_found(value)}, allowed: {', '.join(allowed)}"
                self._add_problem(place, name, found)
                return
            value = allowed[folded]
        if ("proxy", key) not in self.places:
            self._open_table(("proxy",), place)[key] = value
            self.places["proxy", key] = place
            self.words["proxy", key] = name

    def _settle_listeners(self) -> None:
        """Leave out listeners that are not opened, and make rules of what the others say."""
        is_on = self._switches.get(("listener",), True)
        addresses = {table: meaning for (_, meaning), table in self._tables.items()}
        listeners: list[Listener] = []
        for name in list(self.members.get("listen", {})):
            table = ("listen", name)
            key = write_key(table, self.words)
            place, address = self.places[table], addresses.get(table)
            is_unix = name.startswith("/")
            if is_unix or not self._switches.get(table, is_on):
                unix = "a Unix socket; only TCP is listened on"
                why = unix if is_unix else "switched off by Enable"
                self._add_notice(place, key, why)
                del self.members["listen"][name]
                self._forget_places(table)
            elif isinstance(address, Address):
                is_reached = not is_loopback(address.host)
                listeners.append(Listener(table, key, str(address), place, is_reached))
        if "listener" in self.members and not self.members.get("listen"):
            place = self.places["listener",]
            address = ProxySettings().listens[0]
            listeners.append(
                Listener(("listener",), "ESMTP_Listener", str(address), place, is_reached=False)
            )
        if listeners:
            self._settle_rules(listeners)

    def _settle_rules(self, listeners: Sequence[Listener]) -> None:
        """Write into `[proxy]` what the listeners say of who may send, and over what."""
        ours: dict[str, Any] = dict(self.members.get("proxy", {}))
        rules = self._guards.decide(listeners, ours)
        for listener, text in rules.faults:
            self._add_problem(listener.place, listener.words, text)
        for said, why in self._guards.list_unread(ours):
            self._add_notice(said.place, said.name.lower(), why)
        given: dict[str, tuple[object, Place, str]] = {}
        first = listeners[0].place
        if rules.networks is not None:
            networks = [text for text, _ in rules.networks]
            given["networks"] = (
                networks,
                (rules.networks[:1] or [("", first)])[0][1],
                "Relay_Hosts",
            )
        if rules.open_relay is not None:
            given["open_relay"] = True, rules.open_relay, "Open_Relay"
        if rules.tls_required is not None:
            given["tls_required"] = True, rules.tls_required, "TLS_Required"
        if rules.listen_tls:
            addresses = [each.address for each in rules.listen_tls]
            given["listen_tls"] = addresses, rules.listen_tls[0].place, "Use_SSL"
        for name, said in rules.tls.items():
            value = read_text(said.item.value) if isinstance(said.item, Option) else None
            given[name] = value, said.place, said.item.written
        for name, (value, place, words) in given.items():
            self._open_table(("proxy",), first)[name] = value
            self.places["proxy", name] = place
            self.words["proxy", name] = words
        for number, (_, place) in enumerate(rules.networks or ()):
            self.places["proxy", "networks", number] = place

    def _settle_scripts(self) -> None:
        """Make the list of policy files from the scripts, in their order."""
        places = dict(self.places)
        scripts = self._take_member("scriptlet", {}).get("script", {})
        if not self._switches.get(("scriptlet",), True):
            return
        for name, script in scripts.items():
            path, key = ("scriptlet", "script", name), f"script {write_string(name)}"
            place = places.get((*path, "source"), places[path])
            words = f"{key}.source"
            source = script.get("source")
            if source is None:
                self._add_problem(place, key, 'missing; allowed: source = "policy.lua"')
                continue
            if isinstance(source, str) and re.match(r"msys[./]", source):
                self._add_notice(place, key, f"{source} is a part of Momentum")
                continue
            if isinstance(source, str) and not source.endswith(_SCRIPT_SUFFIXES):
                # A Lua module, in dots or slashes.
                source = f"{source if '/' in source else source.replace('.', '/')}.lua"
            files = self._open_table(("policy",), place).setdefault("files", [])
            self.places.setdefault(("policy", "files"), place)
            self.places["policy", "files", len(files)] = place
            self.words["policy", "files", len(files)] = words
            files.append(source)

    # Members and their places

    def _open_table(self, table: KeyPath, place: Place) -> dict[str, Any]:
        members: dict[str, Any] = self.members
        for depth, name in enumerate(table, start=1):
            members = members.setdefault(str(name), {})
            self.places.setdefault(table[:depth], place)
        return members

    def _take_member(self, name: str, default: object = None) -> Any:
        """Remove a member that our file does not have."""
        self._forget_places((name,))
        return self.members.pop(name, default)

    def _forget_places(self, path: KeyPath) -> None:
        for known in [known for known in self.places if known[: len(path)] == path]:
            del self.places[known]

    def _add_notice(self, place: Place, name: str, why: str) -> None:
        self.notices.setdefault(name, self._make_problem(place, name, why))

    def _add_problem(self, place: Place, key: str, text: str) -> None:
        self.problems.append(self._make_problem(place, key, text))

    def _make_problem(self, place: Place, key: str, text: str) -> Problem:
        file = None if place.file == self._path else place.file
        return Problem(line=place.line, key=key, text=text, file=file)


def _find_places(path: KeyPath, value: Value) -> Iterator[tuple[KeyPath, Place]]:
    yield path, value.place
    if isinstance(value, Array):
        for number, each in enumerate(value.values):
            yield from _find_places((*path, number), each)
    elif isinstance(value, Dictionary):
        for option in value.options:
            yield from _find_places((*path, option.written), option.value)
            yield (*path, option.written), option.place


def _join(scope: StanzaKind, name: str) -> str:
    return f"{scope.name}.{name}" if scope.name else name
