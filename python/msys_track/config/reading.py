"""One pass over a document: settings by dataclass, stanzas, and every fault.

A misspelt table is checked as the one that it most likely is, so that all faults of a file are
reported together. Its path then differs from the canonical one.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial
from os.path import realpath
from pathlib import Path
from typing import Any, Final

from msys_track.accounts.users import fold_name
from msys_track.config import scopes
from msys_track.config.document import Document, KeyPath, write_path
from msys_track.config.named_files import NamedFiles, Server
from msys_track.config.problems import Problem
from msys_track.config.schema.naming import judge_key, judge_table
from msys_track.config.schema.tables import (
    FAMILIES,
    NESTED,
    SCOPE,
    SEALING,
    TABLES,
    TOP,
    Family,
    Key,
    TopLevel,
)
from msys_track.config.scopes import ScopeStanza
from msys_track.eventlog.settings import EventsSettings
from msys_track.injection.access.settings import AccessSettings
from msys_track.injection.metrics_settings import MetricsSettings
from msys_track.injection.settings import ProxySettings
from msys_track.kept_mail.settings import KeptMailSettings
from msys_track.options.scopes import Scope
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.loading import PolicySettings
from msys_track.relay.settings import UpstreamSettings
from msys_track.report.settings import ReportSettings
from msys_track.settings.addresses import NETWORK
from msys_track.settings.key import ConflictError
from msys_track.settings.kinds import NotAllowedError, write_found
from msys_track.signing.settings import DOMAIN
from msys_track.sinks.kafka.settings import KafkaSettings
from msys_track.sinks.rabbitmq.settings import RabbitmqSettings
from msys_track.sinks.store.settings import StoreSettings
from msys_track.sinks.webhook.momentum import MomentumWebhooksError, read_webhooks
from msys_track.sinks.webhook.settings import WebhookSettings
from msys_track.spool.settings import SpoolSettings
from msys_track.tracking.classify.settings import ClassificationSettings
from msys_track.tracking.settings import TrackerSettings

_SINGLE: Final = (
    TopLevel, PolicySettings, ProxySettings, AccessSettings, UpstreamSettings, SpoolSettings,
    MetricsSettings, TrackerSettings, EventsSettings, ClassificationSettings, StoreSettings,
    KeptMailSettings, ReportSettings,
)  # fmt: skip
_SINKS: Final[Mapping[str, type]] = {
    "webhook": WebhookSettings,
    "kafka": KafkaSettings,
    "rabbitmq": RabbitmqSettings,
}


class Reading:
    """What was read; `values` and `stanzas` are complete only if there are no problems."""

    __slots__ = (
        "_document", "_files", "_folder", "_likely", "_written", "families", "faults",
        "policy_files", "stanzas", "values", "webhooks",
    )  # fmt: skip

    def __init__(self, document: Document, server: Server | None = None) -> None:
        """Read all of a document; if one server is to start, ignore the others' files."""
        self._document = document
        self._files = NamedFiles(document, server)
        self._folder = document.path.parent
        self.faults: dict[tuple[KeyPath, str], None] = {}
        self._likely: set[KeyPath] = set()
        self._written: dict[KeyPath, KeyPath] = {}
        self.policy_files: dict[int, Path] = {}
        """By their places in the array: those that are there."""
        self.stanzas: dict[KeyPath, ScopeStanza] = {}
        self.values: dict[type, dict[str, Any]] = {each: {} for each in _SINGLE}
        self.families: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in FAMILIES}
        """Of each table in a family, by the family's name and its own: its fields."""
        self._read_table((), (), document.members, TOP, (*TABLES, *FAMILIES, *NESTED))
        for path, text in scopes.find_faults(self.stanzas, self._format_line):
            self._add_fault(self._find_written_path(path), text)
        self._find_missing()
        self._find_unused_upstream()
        self.webhooks = self._read_webhooks_json()
        """Of Momentum's file, by their names."""
        if not self.faults:
            self._find_conflicts()

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong, in the order in which it was found."""
        for path, text in self.faults:
            yield self._document.problem(path, text)

    def make_upstreams(self) -> dict[str, UpstreamSettings]:
        """Make the settings of each upstream by its table's name; without tables, of `""`.

        What a table does not set is as `[proxy]` has it. There must be no problems so far.
        """
        shared = self.values[UpstreamSettings]
        tables = self.families["upstream"] or {"": {}}
        return {name: UpstreamSettings(**{**shared, **own}) for name, own in tables.items()}

    def _read_table(
        self,
        path: KeyPath,
        canonical: KeyPath,
        given: Mapping[str, object],
        keys: Mapping[str, Key],
        inner: Collection[str] = (),
    ) -> None:
        """Read what a table gives; a misspelt inner table is read as the likely one."""
        for name, value in given.items():
            here = (*path, name)
            if name in keys and name not in inner:
                self._read_key(here, keys[name], value, (*canonical, name))
                continue
            known = name
            if name not in inner:
                unknown = judge_key(canonical, name, keys, inner) if path else judge_table(name)
                self._add_fault(here, unknown.text)
                self._likely.update(unknown.likely)
                if not isinstance(value, dict) or len(unknown.likely) != 1:
                    continue
                known = str(unknown.likely[0][-1])
                if known not in inner:
                    continue
            if not isinstance(value, dict):
                table = "a table of tables" if path else f"a table, [{name}]"
                self._add_fault(here, f"found {write_found(value)}, allowed: {table}")
            elif known in NESTED:
                self._read_scopes(here, (*canonical, known), value)
            elif known in FAMILIES:
                self._read_family(here, known, FAMILIES[known], value)
            else:
                self._written[known,] = here
                self._read_table(here, (known,), value, TABLES[known])

    def _read_family(
        self, path: KeyPath, name: str, family: Family, given: Mapping[str, object]
    ) -> None:
        """Read a table of tables that are no scopes."""
        for member, keys in given.items():
            here, canonical = (*path, member), (name, member)
            if family.name is DOMAIN and (bare := _find_bare_names(keys, family.keys)):
                for names in bare:
                    found = (*here, *names)
                    quoted = f'[{write_path(path)}."{".".join(map(str, found[len(path) :]))}"]'
                    self._add_fault(found, f"a name with dots needs quotes: {quoted}")
                continue
            if member in family.keys and not isinstance(keys, dict):
                named = write_path((*path, family.example))
                self._add_fault(here, f"belongs in a table with a name, as in [{named}]")
                continue
            try:
                family.name.read(member)
            except NotAllowedError as error:
                self._add_fault(here, str(error))
            if not isinstance(keys, dict):
                self._refuse_value(here, keys)
                continue
            self.families[name].setdefault(member, {})
            self._written[canonical] = here
            self._read_table(here, canonical, keys, family.keys)

    def _refuse_doubles(self, family: str, read_name: Callable[[str], object]) -> None:
        """Refuse a second table of a family whose name is another form of the first one's."""
        firsts: dict[object, str] = {}
        for name in self.families[family]:
            with suppress(NotAllowedError):  # reported already
                first = firsts.setdefault(read_name(name), name)
                if first != name:
                    other = write_path((family, first))
                    path = self._find_written_path((family, name))
                    self._add_fault(path, f"the same as [{other}]; keep one")

    def _refuse_value(self, path: KeyPath, value: object) -> None:
        table = f"a table, [{write_path(path)}]"
        self._add_fault(path, f"found {write_found(value)}, allowed: {table}")

    def _read_scopes(self, path: KeyPath, canonical: KeyPath, given: Mapping[str, object]) -> None:
        """Read a table of tables: one for each scope of a kind."""
        for name, member in given.items():
            here, scope = (*path, name), (*canonical, name)
            if not isinstance(member, dict):
                self._refuse_value(here, member)
                continue
            self._find_stanza(scope)
            self._written.setdefault(scope, here)
            self._read_table(here, scope, member, SCOPE, NESTED[str(canonical[-1])])

    # Values

    def _read_key(self, path: KeyPath, key: Key, value: object, canonical: KeyPath) -> None:
        before = len(self.faults)
        if key is SCOPE["context"] and isinstance(value, dict):
            self._find_stanza(canonical[:-1]).variables = value
        try:
            setting = key.kind.read(value)
        except NotAllowedError as error:
            for item, text in error.faults:
                self._add_fault(path if item is None else (*path, item), text)
            return
        setting = self._find_files(path, key, setting)
        if len(self.faults) > before:
            return
        parts = setting if len(key.fields) > 1 else (setting,)
        fields = dict(zip(key.fields, parts, strict=True))
        if key.settings in (Scope, TrackingOptions):
            place = self._document.format_place(path)
            self._find_stanza(canonical[:-1]).add(key.settings, fields, place)
        elif canonical[0] in FAMILIES:
            self.families[str(canonical[0])][str(canonical[1])].update(fields)
        else:
            self.values[key.settings].update(fields)

    def _find_files(self, path: KeyPath, key: Key, setting: Any) -> Any:
        """Return a setting with the whole paths of its files; report what is wrong with those."""
        if type(setting) is tuple:  # an address is a tuple of its own type
            items = enumerate(setting)
            return tuple(self._find_files((*path, at), key, each) for at, each in items)
        if not isinstance(setting, Path):
            return setting
        file = self._folder / setting
        if fault := self._files.find_fault(path, key, setting):
            self._add_fault(path, fault)
        elif key.settings is PolicySettings:
            self.policy_files[int(path[-1])] = file
        return file

    # What is not there

    def _find_missing(self) -> None:
        written = [table for table in TABLES if (table,) in self._written]
        for table in written:
            for name, key in TABLES[table].items():
                is_elsewhere = key.settings is UpstreamSettings and self.families["upstream"]
                if key.is_required and not is_elsewhere:
                    self._require((table, name), "write it", key)
        self._refuse_doubles("client", NETWORK.read)
        self._refuse_doubles("user", fold_name)
        self._refuse_doubles("tenant", DOMAIN.read)
        self._refuse_doubles("dkim", DOMAIN.read)
        for family, its in FAMILIES.items():
            for member in self.families[family]:
                for name, key in its.keys.items():
                    if key.is_required:
                        self._require((family, member, name), "write it", key)
        if server := next((table for table in written if table in SEALING), None):
            self._require(("keys",), f"[{server}] needs it at the top,", TOP["keys"])

    def _require(self, canonical: KeyPath, what: str, key: Key) -> None:
        document, path = self._document, self._find_written_path(canonical)
        *tables, name = path
        given: Any = document.members
        for table in tables:
            given = given[table]
        is_unread = any(
            canonical[:length] in document.unread for length in range(len(canonical) + 1)
        )
        if name in given or canonical in self._likely or is_unread:
            return
        example = write_found(key.example)
        hint = document.hints.get(canonical, f"{what} as in {name} = {example}")
        self._add_fault(path, f"missing; {hint}")

    # What does not go together

    def _find_unused_upstream(self) -> None:
        """Refuse an upstream that gets no mail because there are `[upstream.NAME]` tables."""
        named = next(iter(self.families["upstream"]), None)
        if named is None or "host" not in self.values[UpstreamSettings]:
            return
        table = write_path(("upstream", named))
        text = f"no mail would go there, beside [{table}]; leave it out, or give it such a table"
        self._add_fault(self._find_written_path(("proxy", "upstream")), text)

    def _find_conflicts(self) -> None:
        if ("proxy",) in self._written:
            self._find_conflicts_of_upstreams()
        if "store" in self.values[TrackerSettings]:
            tracker = TrackerSettings(**self.values[TrackerSettings])
            self._find_conflict(tracker.check_conflicts, ("tracker",))
        report = ReportSettings(**self.values[ReportSettings])
        self._find_conflict(report.check_conflicts, ("report",))
        for family, settings in _SINKS.items():
            required = [key for key in FAMILIES[family].keys.values() if key.is_required]
            for name, own in self.families[family].items():
                # Without those, their lines are the ones that can't be read.
                if all(own.keys() >= {*key.fields} for key in required):
                    self._find_conflict(partial(settings, **own), (family, name))
        self._find_files_that_two_write()

    def _find_conflict(self, check: Callable[[], object], table: KeyPath) -> None:
        try:
            check()
        except ConflictError as error:
            self._add_fault(self._find_written_path((*table, error.field)), error.text)

    def _find_conflicts_of_upstreams(self) -> None:
        relays_passwords = bool(self.values[AccessSettings].get("auth_passthrough"))
        for name, settings in self.make_upstreams().items():
            try:
                settings.check_conflicts(relays_passwords=relays_passwords)
            except ConflictError as error:
                here = ("upstream", name, error.field)
                path = here if name else ("proxy", f"upstream_{error.field}")
                self._add_fault(self._find_written_path(path), error.text)

    def _find_files_that_two_write(self) -> None:
        writers: dict[str, str] = {}
        for name, own in self.families["file"].items():
            if (path := own.get("path")) is not None:
                first = writers.setdefault(realpath(self._folder / path), name)
                if first != name:
                    other = write_path(("file", first))
                    text = f"[{other}] writes it already; give each its own file"
                    self._add_fault(self._find_written_path(("file", name, "path")), text)

    def _read_webhooks_json(self) -> dict[str, WebhookSettings]:
        file = self.values[EventsSettings].get("webhooks_json")
        if file is None or not self._files.has_sinks:
            return {}
        path = self._find_written_path(("events", "webhooks_json"))
        allows = bool(self.values[EventsSettings].get("webhooks_json_allow_private"))
        try:
            found = read_webhooks(file, allow_private=allows)
        except MomentumWebhooksError as error:
            for fault in error.faults:
                self._add_fault(path, fault)
            return {}
        for name in found:
            if name in self.families["webhook"]:
                self._add_fault(path, f"{file.name}: {name}: there is a [webhook.{name}] too")
        return found

    # Faults

    def _find_stanza(self, path: KeyPath) -> ScopeStanza:
        return self.stanzas.setdefault(path, ScopeStanza(path))

    def _format_line(self, path: KeyPath) -> str:
        """Say where a stanza is, as seen from the file itself."""
        file, line = self._document.place(self._find_written_path(path))
        return f"line {line}" if file == self._document.path else f"{file}:{line}"

    def _find_written_path(self, path: KeyPath) -> KeyPath:
        for length in range(len(path), 0, -1):
            if path[:length] in self._written:
                return (*self._written[path[:length]], *path[length:])
        return path

    def _add_fault(self, path: KeyPath, text: str) -> None:
        self.faults[path, text] = None


def _find_bare_names(given: object, keys: Collection[str]) -> list[KeyPath]:
    """Find the paths that a name with dots has become, which lacks its quotes; perhaps none."""
    if not isinstance(given, dict) or not given or any(name in keys for name in given):
        return []
    found: list[KeyPath] = []
    for name, each in given.items():
        if not isinstance(each, dict):
            return []
        found += [(name, *rest) for rest in _find_bare_names(each, keys)] or [(name,)]
    return found
