"""Turns a document's values into the settings of each room, or refuses the whole document.

Configurations in both forms are checked here and nowhere else.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from msys_track.config import scopes
from msys_track.config.document import Document, KeyPath
from msys_track.config.loops import find_loops
from msys_track.config.named_files import Server
from msys_track.config.problems import ConfigurationError, Problem
from msys_track.config.reading import Reading
from msys_track.config.schema.tables import TopLevel
from msys_track.eventlog.settings import EventsSettings
from msys_track.injection.access.faults import find_faults
from msys_track.injection.access.settings import AccessSettings, ClientSettings, LimitSettings
from msys_track.injection.metrics_settings import MetricsSettings
from msys_track.injection.settings import ProxySettings
from msys_track.kept_mail.settings import KeptMailSettings
from msys_track.keys.file import KeySource
from msys_track.options.scopes import Scopes
from msys_track.policy.loading import PolicySettings
from msys_track.relay.settings import UpstreamSettings
from msys_track.report.settings import ReportSettings
from msys_track.settings.addresses import NETWORK
from msys_track.signing.settings import DkimSettings
from msys_track.sinks.file import FileSettings
from msys_track.sinks.kafka.settings import KafkaSettings
from msys_track.sinks.rabbitmq.settings import RabbitmqSettings
from msys_track.sinks.store.settings import StoreSettings
from msys_track.sinks.webhook.settings import WebhookSettings
from msys_track.spool.settings import SpoolSettings
from msys_track.tracking.classify.settings import ClassificationSettings
from msys_track.tracking.settings import TrackerSettings
from msys_track.tracking.tenants import TenantSettings

_Settings = TypeVar("_Settings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A file's settings; None for a missing table."""

    path: Path
    scopes: Scopes
    smtpapi: bool
    """Whether X-MSYS-API is obeyed and mail is tracked."""
    policy: PolicySettings
    keys: KeySource | None
    proxy: ProxySettings | None
    upstream: UpstreamSettings | None
    """Set whenever `proxy` is; what `[upstream.NAME]` tables don't set is as here."""
    upstreams: Mapping[str, UpstreamSettings]
    """Of each `[upstream.NAME]` by its name, or `upstream` alone with an empty name."""
    dkim: Mapping[str, DkimSettings]
    """Of each `[dkim."DOMAIN"]` by its domain."""
    spool: SpoolSettings
    metrics: MetricsSettings
    tracker: TrackerSettings | None
    tenants: Mapping[str, TenantSettings]
    """Of each `[tenant."HOST"]` by its host."""
    events: EventsSettings
    tracking_domains: frozenset[str]
    """Those of all scopes; links that policy or a header gives another one lead elsewhere."""
    webhooks: Mapping[str, WebhookSettings]
    """Of each `[webhook.NAME]` by its name, and of those in Momentum's `webhooks.json`."""
    kafka: Mapping[str, KafkaSettings]
    """Of each `[kafka.NAME]` by its name."""
    rabbitmq: Mapping[str, RabbitmqSettings]
    """Of each `[rabbitmq.NAME]` by its name."""
    classification: ClassificationSettings
    store: StoreSettings
    kept_mail: KeptMailSettings
    """With the whole path of its folder."""
    report: ReportSettings | None
    files: Mapping[str, FileSettings]
    """Of each `[file.NAME]` by its name."""
    notices: tuple[Problem, ...]
    """What is ignored, and why."""
    document: Document = field(repr=False)
    """Says where a key stands, and what it is called there."""

    @property
    def events_folder(self) -> Path | None:
        """Where events are logged; None where neither a folder nor a store is named."""
        if self.events.folder is not None or self.tracker is None:
            return self.events.folder
        return self.tracker.store.with_name(f"{self.tracker.store.name}.d")

    @property
    def report_store(self) -> Path | None:
        """What the report shows; None where neither it nor a tracker names a store."""
        if self.report is not None and self.report.store is not None:
            return self.report.store
        return self.tracker.store if self.tracker is not None else None

    @property
    def report_users(self) -> Path | None:
        """Who may log in to the report; None where neither it nor a proxy names a file."""
        if self.report is not None and self.report.users is not None:
            return self.report.users
        return self.proxy.access.auth_users if self.proxy is not None else None

    @property
    def families(self) -> Mapping[str, Mapping[str, Any]]:
        """The settings of each table in a family, by the family's name and its own."""
        rules = self.proxy.access if self.proxy is not None else AccessSettings()
        return {
            "upstream": {name: each for name, each in self.upstreams.items() if name},
            "client": {str(network): each for network, each in rules.clients.items()},
            "user": rules.users,
            "dkim": self.dkim,
            "tenant": self.tenants,
            "webhook": {
                name: each
                for name, each in self.webhooks.items()
                if ("webhook", name) in self.document.places
            },
            "kafka": self.kafka,
            "rabbitmq": self.rabbitmq,
            "file": self.files,
        }


def judge_document(document: Document, server: Server | None = None) -> Configuration:
    """Check a document, for one server or for all; file names in it are relative to its folder.

    Raises:
        ConfigurationError: a `SettingsError` that lists every fault.
    """
    reading = Reading(document, server)
    problems = [*document.problems, *reading.problems()]
    if problems:
        raise ConfigurationError(document.path, problems)
    configuration = make_configuration(document, reading)
    if problems := list(find_dangers(document, reading, configuration)):
        raise ConfigurationError(document.path, problems)
    return configuration


def find_dangers(
    document: Document, reading: Reading, configuration: Configuration
) -> Iterator[Problem]:
    """Find what would let in everybody, or nobody, send mail round in a circle, or go nowhere.

    The document has no other problems.
    """
    if configuration.events.injection and configuration.events_folder is None:
        text = "there is nowhere to write to; name a `folder` in [events], or `store` in [tracker]"
        yield document.problem(("events", "injection"), text)
    if configuration.report is not None and configuration.report_store is None:
        text = "there is nothing to show; name a `store` here, or in [tracker]"
        yield document.problem(("report", "store"), text)
    if configuration.proxy is None:
        return
    tables = {address: path for path, address in scopes.find_listens(reading.stanzas).items()}
    for fault in find_faults(configuration.proxy):
        path: KeyPath = ("proxy", fault.key)
        if fault.address is not None and path not in document.places:
            path = tables.get(fault.address, path)
        yield document.problem(path, fault.text)
    for name, text in find_loops(configuration.proxy, configuration.upstreams):
        path = ("upstream", name, "address") if name else ("proxy", "upstream")
        yield document.problem(path, text)


def make_configuration(document: Document, reading: Reading) -> Configuration:
    """Make the settings of a document that has no problems."""
    values, families = reading.values, reading.families
    folder = document.path.parent
    has_proxy = "proxy" in document.members
    top = TopLevel(**values[TopLevel])
    return Configuration(
        path=document.path,
        scopes=scopes.build_scopes(reading.stanzas),
        smtpapi=top.smtpapi,
        policy=PolicySettings(**values[PolicySettings]),
        keys=top.keys,
        proxy=_make_proxy(reading) if has_proxy else None,
        upstream=UpstreamSettings(**values[UpstreamSettings]) if has_proxy else None,
        upstreams=reading.make_upstreams() if has_proxy else {},
        dkim=_make_family(DkimSettings, families["dkim"]),
        spool=SpoolSettings(**{"path": folder / SpoolSettings().path, **values[SpoolSettings]}),
        metrics=MetricsSettings(**values[MetricsSettings]),
        tracker=(
            TrackerSettings(**values[TrackerSettings]) if "tracker" in document.members else None
        ),
        tenants=_make_family(TenantSettings, families["tenant"]),
        events=EventsSettings(**values[EventsSettings]),
        tracking_domains=frozenset(
            stanza.options["tracking_domain"]
            for stanza in reading.stanzas.values()
            if "tracking_domain" in stanza.options
        ),
        webhooks={**_make_family(WebhookSettings, families["webhook"]), **reading.webhooks},
        kafka=_make_family(KafkaSettings, families["kafka"]),
        rabbitmq=_make_family(RabbitmqSettings, families["rabbitmq"]),
        classification=ClassificationSettings(**values[ClassificationSettings]),
        store=StoreSettings(**values[StoreSettings]),
        kept_mail=KeptMailSettings(
            **{"folder": folder / KeptMailSettings().folder, **values[KeptMailSettings]}
        ),
        report=ReportSettings(**values[ReportSettings]) if "report" in document.members else None,
        files=_make_family(FileSettings, families["file"]),
        notices=document.notices,
        document=document,
    )


def _make_family(
    settings: Callable[..., _Settings], tables: Mapping[str, Mapping[str, Any]]
) -> dict[str, _Settings]:
    """Make the settings of each table in a family."""
    return {name: settings(**fields) for name, fields in tables.items()}


def _make_proxy(reading: Reading) -> ProxySettings:
    access = AccessSettings(
        **reading.values[AccessSettings],
        clients={
            NETWORK.read(name): ClientSettings(**fields)
            for name, fields in reading.families["client"].items()
        },
        users=_make_family(LimitSettings, reading.families["user"]),
    )
    return ProxySettings(**_list_proxy_fields(reading), access=access)


def _list_proxy_fields(reading: Reading) -> dict[str, Any]:
    """List the fields that the keys of `[proxy]` set, and `[listen]` tables beside them."""
    fields = dict(reading.values[ProxySettings])
    listens = list(scopes.find_listens(reading.stanzas).values())
    if not listens:
        return fields
    # Now `proxy.listen` has no default. The first port in plain text is the main one.
    main = (fields.pop("listen_host", None), fields.pop("listen_port", None))
    for_tls = reading.values[AccessSettings].get("listen_tls", ())
    plain = [main] if main[0] else []
    plain += [each for each in dict.fromkeys(listens) if each != main and each not in for_tls]
    if plain:
        fields["listen_host"], fields["listen_port"] = plain[0]
    return {**fields, "more_listens": tuple(plain[1:]), "is_tls_only": not plain}
