"""What holds in the end, key by key, and where it comes from: the file's lines or the default.

Scope options are weighed as for a mail that asks for nothing, so that what is shown is what the
proxy does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, NamedTuple, TypeAlias

from msys_track.config.configuration import Configuration
from msys_track.config.document import Document, KeyPath
from msys_track.config.schema.scope_keys import ENGAGEMENT_TRACKER
from msys_track.config.schema.tables import SCOPE, TABLES, TOP
from msys_track.options import variables
from msys_track.options.resolve import DEFAULT, POLICY, Origin, resolve
from msys_track.options.scopes import Scope, Scopes
from msys_track.policy.context import Context, Contexts
from msys_track.settings.key import Key, write_fields, write_setting
from msys_track.smtp.address import Address

PeerAddress: TypeAlias = IPv4Address | IPv6Address

_VARIABLES: Final = {"tracking_link_expiry_seconds": "smtpapi_tracking_link_expiry"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a mail comes in; all None: as no scope but the listener would have it."""

    listen: str | None = None
    peer: PeerAddress | None = None
    pathway: str | None = None
    """As policy would choose it."""


class Effective(NamedTuple):
    """A value as the file would have it and its source; None: not set, and `source` what then."""

    value: object
    source: str


Table: TypeAlias = Mapping[str, Effective]


def known_listen(scopes: Scopes, address: Address) -> str | None:
    """Find the scope of an address: `0.0.0.0:25` listens on 127.0.0.1:25 too."""
    anywhere = Address("::" if ":" in address.host else "0.0.0.0", address.port)  # noqa: S104
    return next((str(each) for each in (address, anywhere) if str(each) in scopes.listens), None)


def ways(configuration: Configuration) -> tuple[Way, ...]:
    """List the ways in that a configuration names: the listener, then each `[listen]`."""
    return (Way(), *(Way(listen=name) for name in configuration.scopes.listens))


def scope_options(configuration: Configuration, way: Way) -> Table:
    """Find what holds for mail that comes in one way, without a header or a policy file."""
    scopes = configuration.scopes
    connection = scopes.layers(way.listen, way.peer)
    context = scopes.context(connection)
    pathway = way.pathway or context.get(variables.PATHWAY)
    layers = scopes.layers(way.listen, way.peer, pathway)
    contexts = Contexts(connection=Context(context), message=Context())
    origins = dict(resolve(layers, None, contexts).origins())
    shown: dict[str, Effective] = {}
    for name, key in {**SCOPE, **ENGAGEMENT_TRACKER}.items():
        if name == "pathway":
            shown[name] = _pathway(connection, way, context, key)
        elif name == "context":
            shown[name] = _context(connection, context, key)
        else:
            shown[name] = _option(origins[key.fields[0]], key.fields[0], connection)
    return shown


def tables(document: Document, configuration: Configuration) -> dict[str, Table]:
    """Find what holds in the tables that are no scopes, "" for what stands above all of them.

    A server's table is left out where the file has none, as there is nothing to start then.
    """
    settings: dict[str, tuple[Any, ...]] = {
        "": (configuration,),
        "policy": (configuration.policy,),
        "proxy": (configuration.proxy, configuration.upstream),
        "tracker": (configuration.tracker,),
    }
    keys = {"": TOP, **TABLES}
    found: dict[str, Table] = {}
    for table, rooms in settings.items():
        if any(room is None for room in rooms):
            continue
        path: KeyPath = (table,) if table else ()
        found[table] = {
            name: _setting((*path, name), key, rooms, document)
            for name, key in keys[table].items()
        }
    return found


def _setting(path: KeyPath, key: Key, rooms: Sequence[Any], document: Document) -> Effective:
    room = next((each for each in rooms if isinstance(each, key.settings)), rooms[0])
    values = [getattr(room, field) for field in key.fields]
    value = write_fields(values)
    if path in document.places:
        return Effective(value, document.seen(path))
    if path == ("proxy", "listen") and document.members.get("listen"):
        return Effective(value, _first_listen(document))
    return Effective(value, key.unset if value is None else DEFAULT)


def _first_listen(document: Document) -> str:
    listens: Any = document.members["listen"]
    name = next(iter(listens))
    return f'listen "{name}" ({document.seen(("listen", name))})'


def _option(origin: Origin[Any], field: str, connection: Sequence[Scope]) -> Effective:
    if origin.source != POLICY:
        return Effective(write_setting(origin.value), origin.source)
    variable = _VARIABLES.get(field, f"smtpapi_{field}")
    return Effective(write_setting(origin.value), _variable_source(variable, connection))


def _variable_source(variable: str, connection: Sequence[Scope]) -> str:
    scope = next(each for each in connection if variable in each.context)
    return f"context of {scope.source('context')}"


def _pathway(
    connection: Sequence[Scope], way: Way, context: Mapping[str, str], key: Key
) -> Effective:
    if way.pathway is not None:
        return Effective(way.pathway, POLICY)
    if variables.PATHWAY in context:
        source = _variable_source(variables.PATHWAY, connection)
        return Effective(context[variables.PATHWAY], source)
    named = next((scope for scope in connection if scope.pathway is not None), None)
    if named is None:
        return Effective(None, key.unset)
    return Effective(named.pathway, named.source("pathway"))


def _context(connection: Sequence[Scope], context: Mapping[str, str], key: Key) -> Effective:
    if not context:
        return Effective(None, key.unset)
    sources = dict.fromkeys(scope.source("context") for scope in connection if scope.context)
    return Effective(dict(context), ", ".join(sources))
