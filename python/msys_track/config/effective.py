"""The values in force, key by key, and where each comes from: a line of the file or the default.

Scope options are resolved as for a mail without X-MSYS-API, so the output shows what the proxy
does. People get TOML, programs JSON.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from msys_track.config.configuration import Configuration
from msys_track.config.document import Document, KeyPath
from msys_track.config.schema.scope_keys import ENGAGEMENT_TRACKER
from msys_track.config.schema.tables import FAMILIES, SCOPE, TABLES, TOP, Key
from msys_track.config.toml.names import write_name
from msys_track.config.toml.writing import header_text, value_text
from msys_track.options.resolve import DEFAULT, POLICY, resolve
from msys_track.options.scopes import Scope
from msys_track.options.variables import FIELDS, PATHWAY
from msys_track.policy.context import Context, Contexts
from msys_track.settings.addresses import listen_name
from msys_track.settings.key import write_fields, write_setting
from msys_track.smtp.address import Address, IpAddress
from msys_track.tracking.settings import REFUSE

_DOWNGRADE: Final = (
    "click_tracking_scheme is http, so links to https become http; set it to https or same, or "
    "set allow_downgrade"
)
_UNKEPT: Final = (
    "the spool never keeps mail of users whom the upstream checks, since it could not send it "
    "later without their passwords"
)
_PLAIN: Final = "credentials go there in plain text; use https"
_VARIABLES: Final = {field: name for name, field in FIELDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeSelector:
    """How a mail comes in; with all None, only the listener's scope applies."""

    listen: str | None = None
    peer: IpAddress | None = None
    pathway: str | None = None
    """The pathway that policy chooses."""


class Effective(NamedTuple):
    """A value as a file has it, and its source; if it is None, `source` says what applies."""

    value: object
    source: str


Table: TypeAlias = Mapping[str, Effective]


def find_listen(listens: Collection[str], address: Address) -> str | None:
    """Find the listener that an address leads to: `0.0.0.0:25` listens on 127.0.0.1:25 too."""
    anywhere = Address("::" if ":" in address.host else "0.0.0.0", address.port)  # noqa: S104
    return next((str(each) for each in (address, anywhere) if str(each) in listens), None)


def find_options(configuration: Configuration, selector: ScopeSelector) -> Table:
    """Find the values in force for mail that comes in one way, without header or policy file."""
    scopes = configuration.scopes
    connection = scopes.layers(selector.listen, selector.peer)
    # No policy file is called, so policy's variables are those of a scope's context.
    context = scopes.context(connection)
    setting = [scope for scope in connection if scope.context]
    sources = {
        name: f"context of {each.source('context')}"
        for each in reversed(setting)
        for name in each.context
    }
    places = ", ".join(dict.fromkeys(scope.source("context") for scope in setting))
    own = {
        "pathway": _find_pathway(selector, connection, context, sources),
        "context": Effective(context or None, places or SCOPE["context"].unset),
    }
    layers = scopes.layers(
        selector.listen, selector.peer, selector.pathway or context.get(PATHWAY)
    )
    contexts = Contexts(connection=Context(context), message=Context())
    origins = dict(resolve(layers, None, contexts).origins())
    shown: dict[str, Effective] = {}
    for name, key in {**SCOPE, **ENGAGEMENT_TRACKER}.items():
        if name in own:
            shown[name] = own[name]
            continue
        (field,) = key.fields
        value, source, _ = origins[field]
        source = sources[_VARIABLES[field]] if source == POLICY else source
        shown[name] = Effective(write_setting(value), source)
    return shown


def _find_pathway(
    selector: ScopeSelector,
    connection: Sequence[Scope],
    context: Mapping[str, str],
    sources: Mapping[str, str],
) -> Effective:
    """Find the pathway of mail that comes in one way.

    Args:
        selector: how it comes in.
        connection: the scopes of its connection, the most specific first.
        context: the variables that these set.
        sources: where each variable comes from.
    """
    if selector.pathway is not None:
        return Effective(selector.pathway, POLICY)
    if PATHWAY in context:
        return Effective(context[PATHWAY], sources[PATHWAY])
    named = next((scope for scope in connection if scope.pathway is not None), None)
    if named is not None:
        return Effective(named.pathway, named.source("pathway"))
    return Effective(None, SCOPE["pathway"].unset)


def find_warnings(configuration: Configuration) -> tuple[str, ...]:
    """Return what works but is hardly wanted: a line each, beginning with the place to change."""
    warnings = [
        *_find_circles_of_links(configuration),
        *_find_plain_credentials(configuration),
    ]
    proxy = configuration.proxy
    if proxy is not None and configuration.smtpapi:
        warnings += _find_downgrades(configuration)
    if proxy is not None and proxy.access.auth_passthrough and configuration.spool.mode != "off":
        key = configuration.document.write_key(("proxy", "auth_passthrough"))
        warnings.append(f"{key}: {_UNKEPT}")
    return tuple(warnings)


def _find_plain_credentials(configuration: Configuration) -> Iterator[str]:
    for name, webhook in configuration.webhooks.items():
        if webhook.has_plain_credentials:
            key = configuration.document.write_key(("webhook", name, "url"))
            yield f"{key}: {_PLAIN}"


def _find_circles_of_links(configuration: Configuration) -> Iterator[str]:
    """Find tracking domains to which the tracker hands on what it does not know."""
    tracker = configuration.tracker
    if tracker is None or tracker.unknown_links == REFUSE:
        return
    key = configuration.document.write_key(("tracker", "unknown_links"))
    host = urlsplit(tracker.unknown_links).hostname
    shown = find_options_of_scopes(configuration)
    domains = dict.fromkeys(str(options["tracking_domain"].value) for options in shown)
    for domain in domains:
        if urlsplit(f"//{domain}").hostname == host:
            yield (
                f"{key}: {tracker.unknown_links} is the tracking domain {domain}; "
                "links that are not ours would lead here again and again; "
                "give the old tracker a name of its own"
            )


def find_options_of_scopes(configuration: Configuration) -> list[Table]:
    """Find the values in force for the listener, for each `[listen]` and for each pathway."""
    scopes = configuration.scopes
    ways = [
        ScopeSelector(),
        *(ScopeSelector(listen=name) for name in scopes.listens),
        *(ScopeSelector(pathway=name) for name in scopes.pathways),
    ]
    return [find_options(configuration, way) for way in ways]


def _find_downgrades(configuration: Configuration) -> Iterator[str]:
    shown = find_options_of_scopes(configuration)
    places = (
        options["click_tracking_scheme"].source
        for options in shown
        if options["click_tracking_scheme"].value == "http"
        and options["allow_downgrade"].source == DEFAULT
    )
    return (f"{place}: {_DOWNGRADE}" for place in dict.fromkeys(places))


def find_tables(document: Document, configuration: Configuration) -> dict[KeyPath, Table]:
    """Find the values in force in tables that are not scopes; `()` is the top of the file.

    A server's table that the file lacks is left out, because that server can't start.
    """
    proxy = configuration.proxy
    access = proxy.access if proxy is not None else None
    rooms: dict[KeyPath, tuple[Any, ...]] = {
        (): (configuration,),
        ("policy",): (configuration.policy,),
        ("proxy",): (configuration.proxy, access, configuration.upstream),
        ("spool",): (configuration.proxy and configuration.spool,),
        ("metrics",): ((configuration.proxy or configuration.tracker) and configuration.metrics,),
        ("tracker",): (configuration.tracker,),
        ("events",): (configuration.events_folder and configuration.events,),
        ("classification",): (configuration.events_folder and configuration.classification,),
        ("store",): (configuration.tracker and configuration.store,),
        ("kept_mail",): (
            (configuration.proxy or configuration.report) and configuration.kept_mail,
        ),
        ("report",): (configuration.report,),
    }
    keys: dict[KeyPath, Mapping[str, Key]] = {(): TOP}
    keys |= {(name,): its for name, its in TABLES.items()}
    for family, members in configuration.families.items():
        for member, settings in members.items():
            rooms[family, member] = (settings,)
            keys[family, member] = FAMILIES[family].keys
    listens: Any = document.members.get("listen")
    found: dict[KeyPath, Any] = {}
    for table, settings in rooms.items():
        for name, key in keys[table].items() if None not in settings else ():
            path = (*table, name)
            room = next((each for each in settings if isinstance(each, key.settings)), settings[0])
            value = write_fields([getattr(room, field) for field in key.fields])
            if key.hides_texts and isinstance(value, dict):
                value = {each: _hide_text(text) for each, text in value.items()}
            if path == ("proxy", "listen") and proxy is not None and proxy.is_tls_only:
                value = None
            if path in document.places:
                source = document.format_place(path)
            elif path == ("proxy", "listen") and listens and value is not None:
                # One of a port that begins with TLS is not the first of those in plain text.
                first = next(each for each in listens if str(listen_name(each)) == value)
                source = f'listen "{first}" ({document.format_place(("listen", first))})'
            else:
                has_own_text = value is None or len(table) > 1
                source = (key.unset if has_own_text else "") or DEFAULT
                if path == ("proxy", "listen") and value is None:
                    source = "every port begins with TLS"
            found.setdefault(table, {})[name] = Effective(value, source)
    return found


def _hide_text(value: object) -> object:
    if not isinstance(value, str) or value.startswith(("env:", "credential:")):
        return value
    return "(not shown)"


def as_json(
    tables: Mapping[KeyPath, Table], by_selector: Mapping[ScopeSelector, Table]
) -> dict[str, Any]:
    """Make data that JSON can hold: each value as `{"value": …, "source": …}`."""
    members = [
        {
            "listen": selector.listen,
            "peer": None if selector.peer is None else str(selector.peer),
            "pathway": selector.pathway,
            "options": _make_members(options),
        }
        for selector, options in by_selector.items()
    ]
    named: dict[str, Any] = {**_make_members(tables[()]), "ways": members}
    for path, table in tables.items():
        around = named
        for name in path:
            around = around.setdefault(str(name), {})
        around.update(_make_members(table))
    return named


def _make_members(table: Table) -> dict[str, Any]:
    return {name: each._asdict() for name, each in table.items()}


def as_toml(tables: Mapping[KeyPath, Table], by_selector: Mapping[ScopeSelector, Table]) -> str:
    """Write TOML with a comment for each value's source; scopes stand before the other tables."""
    parts = [_write_table((), tables[()])]
    for selector, options in by_selector.items():
        peer = f" from {selector.peer}" if selector.peer is not None else ""
        pathway = f", on pathway {selector.pathway}" if selector.pathway is not None else ""
        remark = f"# for mail that comes in at {selector.listen or 'any address'}{peer}{pathway}\n"
        # One way alone is shown as the listener's, with a remark.
        is_listen = len(by_selector) > 1 and selector.listen is not None
        path = ("listen", str(selector.listen)) if is_listen else ("listener",)
        scope = {name: each for name, each in options.items() if name not in ENGAGEMENT_TRACKER}
        parts.append((remark if peer or pathway else "") + _write_table(path, scope))
    # These are the same for every way in which mail comes in.
    first = next(iter(by_selector.values()))
    module = {name: first[name] for name in ENGAGEMENT_TRACKER}
    parts.append(_write_table(("engagement_tracker",), module))
    parts += [_write_table(path, table) for path, table in tables.items() if path]
    return "\n".join(parts)


def _write_table(path: KeyPath, table: Table) -> str:
    lines = [header_text(path)] if path else []
    for name, each in table.items():
        if each.value is None:
            lines.append(f"# {name} is not set: {each.source}")
        else:
            lines.append(f"{write_name(name)} = {value_text(each.value)}  # {each.source}")
    return "".join(f"{line}\n" for line in lines)
