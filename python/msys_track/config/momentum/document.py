"""What Momentum's configuration says about tracking, in the shape of our own TOML file.

One check then serves both: what is allowed is decided once, and `places` lets it name the line of
`ecelerity.conf`. Nothing is dropped in silence: what means nothing here is listed as ignored.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from msys_track.config.document import Document, KeyPath, Place, dotted
from msys_track.config.momentum import files as ecelerity
from msys_track.config.momentum.mistakes import (
    misplaced,
    mistake,
    options,
    stanza_meant,
    why_ignored,
    written_as_stanza,
)
from msys_track.config.momentum.names import (
    EVERY_MODULE,
    GLOBAL,
    HINTS,
    LOADED_BY_ITSELF,
    TRACKING,
    TRACKING_SCOPES,
    Scope,
)
from msys_track.config.momentum.protection import Guards
from msys_track.config.momentum.stanzas import Array, Dictionary, Item, Option, Stanza, Value
from msys_track.config.problems import Problem, nearest
from msys_track.config.schema.tables import known_key
from msys_track.config.scopes import meant
from msys_track.injection.settings import is_loopback
from msys_track.settings.kinds import NotAllowedError, shown
from msys_track.smtp.address import Address

_ORDER: Final = (
    "keys", "smtpapi", "listener", "listen", "peer", "pathway", "pathway_group",
    "engagement_tracker", "policy", "proxy", "tracker",
)  # fmt: skip
_SWITCHES: Final = ("open_tracking_enabled", "click_tracking_enabled")
_SCRIPT_SUFFIXES: Final = (".lua", ".py")
_SMTP_PORT: Final = 25
_HOST_WITHOUT_PORT: Final = re.compile(r"[^:\[\]\s]+|\[[^\[\]\s]+\]")
_BARE_IPV6: Final = re.compile(r"[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*")


def document(path: Path, *, search_path: Sequence[Path] | None = None) -> Document:
    """Read `ecelerity.conf` and map its stanzas to the members of `msys-track.toml`.

    Values are not checked: a text that should be a boolean or a number and is none stays a text.
    What means nothing here is a notice, told once however often it stands there. Includes are
    looked for in Momentum's search path, that of the environment, unless another is given.

    Raises:
        SettingsError: the file can't be read.
    """
    if search_path is None:
        search_path = ecelerity.search_path(os.environ)
    tree = ecelerity.parse(path, search_path=search_path)
    mapping = _Mapping(path)
    mapping.read(tree.body, GLOBAL, ())
    mapping.finish()
    return Document(
        path=path,
        members={name: mapping.members[name] for name in _ORDER if name in mapping.members},
        places=mapping.places,
        problems=(*tree.problems, *mapping.problems),
        notices=tuple(mapping.notices.values()),
        unread=frozenset(mapping.unread),
        hints=HINTS,
    )


def origins(document: Document) -> dict[KeyPath, str]:
    """Say of each member where it comes from, such as `from conf.d/tracking.conf:14`."""
    return {path: f"from {document.seen(path)}" for path in document.places}


class _Mapping:
    """What one pass over the tree gathers; `finish` then settles what the pass can't yet know."""

    __slots__ = (
        "_guards", "_known", "_path", "members", "notices", "places", "problems", "unread",
    )  # fmt: skip

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[tuple[KeyPath, object], KeyPath] = {}
        self._guards = Guards()
        self.members: dict[str, Any] = {}
        self.places: dict[KeyPath, Place] = {}
        self.notices: dict[str, Problem] = {}
        self.problems: list[Problem] = []
        self.unread: set[KeyPath] = set()

    def read(self, body: Sequence[Item], scope: Scope, table: KeyPath) -> None:
        for item in body:
            if isinstance(item, Option):
                self._read_option(item, scope, table)
            elif item.name in scope.inner:
                self._read_stanza(item, scope.inner[item.name], table)
            else:
                self._pass_over(item, scope, table)

    def finish(self) -> None:
        self._finish_listeners()
        self._finish_guards()
        self._finish_smtpapi()
        self._finish_policy()
        self._finish_upstream()

    # The pass

    def _read_option(self, option: Option, scope: Scope, table: KeyPath) -> None:
        known = scope.options.get(option.name)
        if known is not None:
            path, read = known
            self._set((*table, *path), read(option.value), option)
        elif why := mistake(option.name, scope):
            self._problem(option.place, _dotted(scope, option.written), why)
            if near := nearest(option.name, scope.options):
                self.unread.add((*table, *scope.options[near][0]))
        elif option.name not in EVERY_MODULE:
            self._guards.add_option(option, table, _dotted(scope, option.written))
            self._notice(option.place, _dotted(scope, option.name), why_ignored(option))

    def _read_stanza(self, stanza: Stanza, scope: Scope, outer: KeyPath) -> None:
        table = (*(() if scope.is_top else outer), *scope.table)
        if scope.instance:
            if len(stanza.instances) != 1:
                self._wrong_instances(stanza, scope)
                return
            table = self._named((*table, *stanza.instances))
        self._open(table, stanza.place)
        self.read(stanza.body, scope, table)

    def _named(self, table: KeyPath) -> KeyPath:
        """Find the table that stands for the same address or network, whatever it is called."""
        meaning = meant(table)
        if meaning is None:
            return table
        return self._known.setdefault((table[:-1], meaning), table)

    def _wrong_instances(self, stanza: Stanza, scope: Scope) -> None:
        found = " ".join(map(shown, stanza.instances)) or "none"
        allowed = f'{stanza.written} "{scope.instance}" {{ … }}'
        self._problem(stanza.place, stanza.written, f"found {found}, allowed: one, {allowed}")

    def _pass_over(self, stanza: Stanza, scope: Scope, table: KeyPath) -> None:
        name = _dotted(scope, stanza.name)
        if stanza.name == "msg_gen":
            why = "its tracking options are those of Momentum's REST injection; SMTP has its own"
            self._notice(stanza.place, name, why)
            return
        if stanza.name in LOADED_BY_ITSELF:
            return
        if close := stanza_meant(stanza, scope):
            self._problem(stanza.place, name, f"unknown stanza; did you mean {close}?")
            self._read_stanza(stanza, scope.inner[close], table)
            return
        if fault := misplaced(stanza, scope) or written_as_stanza(stanza, scope):
            self._problem(stanza.place, _dotted(scope, stanza.written), fault)
            return
        self._guards.add_stanza(stanza, table, _dotted(scope, stanza.written))
        self._notice(stanza.place, name, "no stanza of msys-track, and nothing in it is read")
        for option in options(stanza.body):
            if option.name in TRACKING:
                why = f"means nothing in {stanza.written}; it belongs in {TRACKING_SCOPES}"
                self._problem(option.place, option.written, why)

    # What the pass can't yet know

    def _finish_listeners(self) -> None:
        """Leave out listeners that are switched off, and those that are no TCP address."""
        default = self._take_switch(("listener",))
        for address in list(self.members.get("listen", {})):
            table = ("listen", address)
            why = "" if self._take_switch(table, default=default) else "switched off by Enable"
            why = "a Unix socket; only TCP is listened on" if address.startswith("/") else why
            if why:
                self._notice(self.places[table], f'listen "{address}"', why)
                del self.members["listen"][address]
                self._forget(table)

    def _finish_guards(self) -> None:
        """Refuse to open a port to others whose guards would not be enforced."""
        if self.members.get("proxy", {}).get("unprotected") is True:
            return
        for name in self.members.get("listen", {}):
            table = ("listen", name)
            address, guards = meant(table), tuple(self._guards.of(table))
            if guards and isinstance(address, Address) and not is_loopback(address.host):
                told = (f"{each} ({place.seen_from(self._path.parent)})" for each, place in guards)
                text = (
                    f"msys-track does not enforce these options yet: {', '.join(told)}; "
                    f"{address} would be an open relay: listen on a loopback address, or write "
                    "msys_track { unprotected = true } if something else, such as a firewall, "
                    "protects it"
                )
                self._problem(self.places[table], f'listen "{name}"', text)

    def _finish_smtpapi(self) -> None:
        """Tell whether the module is loaded: without it nothing is tracked."""
        is_loaded = "smtpapi" in self.members
        self.members["smtpapi"] = self._take_switch(("smtpapi",)) and is_loaded
        first = next((path for path in self.places if path[-1] in _SWITCHES), None)
        if first is not None and not is_loaded:
            why = "nothing is tracked, because there is no smtpapi { }"
            self._notice(self.places[first], str(first[-1]), why)

    def _finish_policy(self) -> None:
        """Make the list of files from the scripts, in their order."""
        is_enabled = self._take_switch(("scriptlet",))
        scripts = self.members.pop("scriptlet", {}).get("script", {})
        for name, script in scripts.items() if is_enabled else ():
            self._add_script(name, script.get("source"))
        self._forget(("scriptlet",))

    def _take_switch(self, table: KeyPath, *, default: bool = True) -> bool:
        """Take a table's `enabled` out again, which is not of our file."""
        members: Any = self.members
        for name in table:
            members = members.get(name, {})
        value = members.pop("enabled", default)
        if not isinstance(value, bool):
            self._wrong_switch(self.places[*table, "enabled"], value)
            value = default
        self.places.pop((*table, "enabled"), None)
        return value

    def _add_script(self, name: str, source: object) -> None:
        path = ("scriptlet", "script", name)
        place = self.places.get((*path, "source"), self.places[path])
        if source is None:
            self._problem(place, f'script "{name}"', 'missing; allowed: source = "policy.lua"')
        elif isinstance(source, str) and re.match(r"msys[./]", source):
            self._notice(place, f'script "{name}"', f"{source} is a part of Momentum")
        else:
            files = self._open(("policy",), place).setdefault("files", [])
            self.places.setdefault(("policy", "files"), place)
            self.places["policy", "files", len(files)] = place
            files.append(_script_file(source) if isinstance(source, str) else source)

    def _finish_upstream(self) -> None:
        """Take the smart host as upstream, unless our own stanza names one."""
        gateway, port = (
            self.members.pop("gateway", None),
            self.members.pop("remote_smtp_port", None),
        )
        place = self.places.get(("gateway",))
        if place is not None and ("proxy", "upstream") not in self.places:
            self._open(("proxy",), place)["upstream"] = _with_port(gateway, port)
            self.places["proxy", "upstream"] = place
        self._forget(("gateway",))
        self._forget(("remote_smtp_port",))

    # Members and their places

    def _open(self, table: KeyPath, place: Place) -> dict[str, Any]:
        members: dict[str, Any] = self.members
        for depth, name in enumerate(table, start=1):
            members = members.setdefault(str(name), {})
            self.places.setdefault(table[:depth], place)
        return members

    def _set(self, path: KeyPath, value: object, option: Option) -> None:
        members = self._open(path[:-1], option.place)
        if path in self.places:
            self._judge_overridden(path, members[str(path[-1])])
            self._forget(path)
        members[str(path[-1])] = value
        self.places.update(_places(path, option.value))
        self.places[path] = option.place

    def _judge_overridden(self, path: KeyPath, value: object) -> None:
        """Tell what is wrong with a value that the check of what holds will never see."""
        if path[-1] == "enabled":
            if not isinstance(value, bool):
                self._wrong_switch(self.places[path], value)
            return
        key = known_key(path)
        try:
            if key is not None:
                key.kind.read(value)
        except NotAllowedError as error:
            for item, text in error.faults:
                wrong = path if item is None else (*path, item)
                self._problem(self.places.get(wrong, self.places[path]), dotted(wrong), text)

    def _wrong_switch(self, place: Place, value: object) -> None:
        self._problem(place, "enable", f"found {shown(value)}, allowed: true or false")

    def _forget(self, path: KeyPath) -> None:
        for known in [known for known in self.places if known[: len(path)] == path]:
            del self.places[known]

    def _notice(self, place: Place, name: str, why: str) -> None:
        self.notices.setdefault(name, self._told(place, name, why))

    def _problem(self, place: Place, key: str, text: str) -> None:
        self.problems.append(self._told(place, key, text))

    def _told(self, place: Place, key: str, text: str) -> Problem:
        file = None if place.file == self._path else place.file
        return Problem(line=place.line, key=key, text=text, file=file)


def _places(path: KeyPath, value: Value) -> Iterator[tuple[KeyPath, Place]]:
    yield path, value.place
    if isinstance(value, Array):
        for number, each in enumerate(value.values):
            yield from _places((*path, number), each)
    elif isinstance(value, Dictionary):
        for option in value.options:
            yield from _places((*path, option.written), option.value)
            yield (*path, option.written), option.place


def _dotted(scope: Scope, name: str) -> str:
    return f"{scope.name}.{name}" if scope.name else name


def _script_file(source: str) -> str:
    """Find the file that a script's source names: a file, or a Lua module in dots or slashes."""
    if source.endswith(_SCRIPT_SUFFIXES):
        return source
    return f"{source if '/' in source else source.replace('.', '/')}.lua"


def _with_port(gateway: object, port: object) -> object:
    if not isinstance(gateway, str):
        return gateway
    if _BARE_IPV6.fullmatch(gateway):
        gateway = f"[{gateway}]"
    number = _SMTP_PORT if port is None else port
    return f"{gateway}:{number}" if _HOST_WITHOUT_PORT.fullmatch(gateway) else gateway
