"""The tables of a configuration file: which keys each has, and what it is for.

The check, `docs/configuration.md`, the starter file and the JSON Schema are made from these.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final, NamedTuple

from msys_track.config.document import KeyPath
from msys_track.config.schema.scope_keys import ENGAGEMENT_TRACKER, SCOPE
from msys_track.errors import KeyRingError
from msys_track.eventlog.settings import EventsSettings
from msys_track.injection.access.settings import AccessSettings, ClientSettings, LimitSettings
from msys_track.injection.metrics_settings import MetricsSettings
from msys_track.injection.settings import ProxySettings
from msys_track.kept_mail.settings import KeptMailSettings
from msys_track.keys.file import KeySource, key_source
from msys_track.policy.loading import PolicySettings
from msys_track.relay.settings import UpstreamSettings
from msys_track.report.settings import ReportSettings
from msys_track.settings.addresses import NETWORK
from msys_track.settings.key import Key, list_keys
from msys_track.settings.kinds import NAME, SINK_NAME, SWITCH, Kind, NotAllowedError
from msys_track.settings.secrets import SECRET
from msys_track.signing.settings import DOMAIN, DkimSettings
from msys_track.sinks.file import FileSettings
from msys_track.sinks.kafka.settings import KafkaSettings
from msys_track.sinks.rabbitmq.settings import RabbitmqSettings
from msys_track.sinks.store.settings import StoreSettings
from msys_track.sinks.webhook.settings import WebhookSettings
from msys_track.spool.settings import SpoolSettings
from msys_track.tracking.classify.settings import ClassificationSettings
from msys_track.tracking.settings import TrackerSettings
from msys_track.tracking.tenants import TenantSettings

__all__ = [
    "FAMILIES",
    "NESTED",
    "SCOPE",
    "SEALING",
    "TABLES",
    "TEXTS",
    "TOP",
    "TOP_LEVEL",
    "Family",
    "Key",
    "TopLevel",
    "known_key",
]


def _read_key_source(value: object) -> KeySource:
    # What may be a secret is not shown.
    if isinstance(value, list | dict):
        raise NotAllowedError(KeyRingError("the keys themselves"), _KEYS.allowed)
    if not isinstance(value, str) or value == "" or "\0" in value:
        raise NotAllowedError(value, _KEYS.allowed)
    try:
        return key_source(value)
    except KeyRingError as error:
        what = KeyRingError(str(error).partition(";")[0])
        raise NotAllowedError(what, _KEYS.allowed) from None


_KEYS: Final[Kind] = replace(SECRET, read=_read_key_source)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopLevel:
    """The keys above all tables; `keys` is required if there is a server."""

    keys: Annotated[
        KeySource | None,
        Key(
            _KEYS,
            "the keys that seal and open links; needed by `[proxy]` and `[tracker]`",
            example="keys.toml",
            unset="none",
            is_required=True,
        ),
    ] = None
    smtpapi: Annotated[bool, Key(SWITCH, "whether X-MSYS-API is obeyed and mail tracked")] = True


SEALING: Final = ("proxy", "tracker")
"""The tables of servers that need the keys of links."""

TOP: Final = list_keys(TopLevel)
"""Keys above all tables."""

TABLES: Final[Mapping[str, Mapping[str, Key]]] = {
    "listener": SCOPE,
    "engagement_tracker": ENGAGEMENT_TRACKER,
    "policy": list_keys(PolicySettings),
    "proxy": {
        **list_keys(ProxySettings),
        **list_keys(AccessSettings),
        **list_keys(UpstreamSettings),
    },
    "spool": list_keys(SpoolSettings),
    "metrics": list_keys(MetricsSettings),
    "tracker": list_keys(TrackerSettings),
    "events": list_keys(EventsSettings),
    "classification": list_keys(ClassificationSettings),
    "store": list_keys(StoreSettings),
    "kept_mail": list_keys(KeptMailSettings),
    "report": list_keys(ReportSettings),
}


class Family(NamedTuple):
    """A table of tables that are no scopes, such as `[upstream.NAME]`."""

    name: Kind
    """What such a table may be called."""
    keys: Mapping[str, Key]
    example: str
    """The name of one, to show."""


def _list_upstream_keys() -> Mapping[str, Key]:
    """List the keys of one upstream: those of `[proxy]` without `upstream_` before the name.

    What one does not set is as `[proxy]` has it.
    """
    keys = {"address": replace(list_keys(UpstreamSettings)["upstream"], name="address")}
    for name, key in list_keys(UpstreamSettings).items():
        if name != "upstream":
            own = name.removeprefix("upstream_")
            example = key.example if key.default is None else key.default
            unset = f"`{name}` of `[proxy]`"
            keys[own] = replace(key, name=own, default=None, example=example, unset=unset)
    return keys


FAMILIES: Final[Mapping[str, Family]] = {
    "upstream": Family(NAME, _list_upstream_keys(), "primary"),
    "dkim": Family(DOMAIN, list_keys(DkimSettings), "example.com"),
    "client": Family(NETWORK, list_keys(ClientSettings), "10.0.0.0/8"),
    "user": Family(NAME, list_keys(LimitSettings), "shop"),
    "tenant": Family(DOMAIN, list_keys(TenantSettings), "click.example.com"),
    "webhook": Family(SINK_NAME, list_keys(WebhookSettings), "shop"),
    "kafka": Family(SINK_NAME, list_keys(KafkaSettings), "main"),
    "rabbitmq": Family(SINK_NAME, list_keys(RabbitmqSettings), "hose"),
    "file": Family(SINK_NAME, list_keys(FileSettings), "day"),
}

NESTED: Final[Mapping[str, tuple[str, ...]]] = {
    "listen": ("peer",),
    "peer": (),
    "pathway": (),
    "pathway_group": ("pathway",),
}
"""Tables of scopes, and what such a table may hold beside `SCOPE`'s keys."""

TEXTS: Final[Mapping[str, str]] = {
    "listener": "Options for every mail, however it comes in.",
    "engagement_tracker": "What links carry; it is fixed when the mail is sent.",
    "policy": "Code of your own that is called for each mail.",
    "proxy": "Takes mail over SMTP and hands it on: `msys-track proxy`.",
    "metrics": "The figures of proxy, tracker and report, over HTTP.",
    "spool": "Mail that waits on disk for the upstream, and is tried again.",
    "tracker": "Answers the links over HTTP: `msys-track tracker`.",
    "classification": "Tells people from machines in what the tracker sees.",
    "events": "The log of events, from which they go to the store and the other sinks.",
    "store": "The store of events, an SQLite file.",
    "kept_mail": "The mail that `keep_messages` keeps for click maps.",
    "report": "Shows the store as pages, and over SparkPost's read APIs: `msys-track report`.",
    "upstream": "One of several servers to relay to, in place of `upstream` of `[proxy]`.",
    "dkim": "The key that signs mail from one domain.",
    "client": "How much the clients of one network may send.",
    "user": "How much one user of AUTH may send.",
    "tenant": "A host whose links have keys of their own, where several share a tracker.",
    "webhook": "A URL that events are posted to, as SparkPost does.",
    "kafka": "A topic of a Kafka cluster that events go to.",
    "rabbitmq": "A RabbitMQ broker that events go to, as Momentum's hose does.",
    "file": "A file that events are written to, a line each.",
    "listen": "An address that mail comes in at.",
    "peer": "Clients of one network.",
    "pathway": "Mail that a scope or policy puts on this pathway.",
    "pathway_group": "What the pathways in it have in common.",
}
"""The purpose of each table."""

TOP_LEVEL: Final = (*TOP, *TABLES, *FAMILIES, *NESTED)


def known_key(path: KeyPath) -> Key | None:
    """Find the key that a path from the root down names: one of the top, a table or a scope."""
    *tables, name = path
    if not tables:
        return TOP.get(str(name))
    table = str(tables[0])
    keys = SCOPE if table in NESTED else TABLES.get(table, {})
    return keys.get(str(name))
