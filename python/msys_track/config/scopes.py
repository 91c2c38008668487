"""Turns the stanzas of a configuration into scopes, and finds faults between stanzas.

A single stanza is checked where it is read. The faults found here need several: a pathway that
does not exist, a name that two groups have.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from msys_track.config.document import KeyPath, write_path
from msys_track.config.problems import nearest
from msys_track.config.toml.names import write_string
from msys_track.options import variables
from msys_track.options.scopes import Listen, Networks, Scope, Scopes
from msys_track.options.tracking import TrackingOptions
from msys_track.settings import addresses
from msys_track.settings.kinds import NotAllowedError
from msys_track.smtp.address import Address

_MODULE: Final = "smtpapi_"
_VARIABLES: Final = tuple(name for name in variables.FIELDS if name.startswith(_MODULE))
"""Context variables of Momentum's module: only these may have its prefix."""


class ScopeStanza:
    """The values that one table sets; `path` is its name."""

    __slots__ = ("options", "path", "places", "scope", "variables")

    def __init__(self, path: KeyPath) -> None:
        self.path = path
        self.options: dict[str, Any] = {}
        self.scope: dict[str, Any] = {}
        self.places: dict[str, str] = {}
        self.variables: Mapping[str, object] = {}
        """The context's variables as written, because a fault in one must not hide the others'
        faults."""

    def add(self, settings: type, fields: Mapping[str, Any], place: str) -> None:
        """Keep what a key sets, in the dataclass that has it."""
        (self.options if settings is TrackingOptions else self.scope).update(fields)
        self.places.update(dict.fromkeys(fields, place))


def find_faults(
    stanzas: Mapping[KeyPath, ScopeStanza], line: Callable[[KeyPath], str]
) -> Iterator[tuple[KeyPath, str]]:
    """Find what is wrong with the names of stanzas, and with what they say of each other.

    `line` says where a stanza is, for a fault of two of them.
    """
    yield from _find_doubles(stanzas, line)
    pathways = {str(path[-1]) for path in stanzas if _is_pathway(path)}
    for path, stanza in stanzas.items():
        yield from _find_wrong_variables((*path, "context"), stanza.variables)
        yield from _find_unknown_pathways(path, stanza, pathways)


def _find_doubles(
    stanzas: Mapping[KeyPath, ScopeStanza], line: Callable[[KeyPath], str]
) -> Iterator[tuple[KeyPath, str]]:
    """Find names that are none of their kind, or the same as one before."""
    firsts: dict[tuple[KeyPath, object], KeyPath] = {}
    for path in stanzas:
        # Groups share the names of their pathways.
        around = path[::2] if _is_pathway(path) else path[:-1]
        try:
            first = firsts.setdefault((around, read_name(path)), path)
        except NotAllowedError as error:
            yield path, str(error)
            continue
        there = f"[{write_path(first)}] in {line(first)}"
        if first != path and path[0] == "pathway_group":
            yield path, f"another group has a pathway of that name: {there}; rename one"
        elif first != path:
            yield path, f"the same as {there}; keep one"


def _find_unknown_pathways(
    path: KeyPath, stanza: ScopeStanza, pathways: Collection[str]
) -> Iterator[tuple[KeyPath, str]]:
    """Find pathways that a stanza puts mail on, and that are none."""
    chosen = stanza.scope.get("pathway")
    if chosen is not None and path[0] in ("pathway", "pathway_group"):
        yield (*path, "pathway"), "a pathway can't be put on another one"
        chosen = None
    of_context = stanza.variables.get(variables.PATHWAY)
    for key, name in (("pathway",), chosen), (("context", variables.PATHWAY), of_context):
        if isinstance(name, str) and name not in pathways:
            near = nearest(name, pathways)
            hint = f"; did you mean {near}?" if near else ""
            yield (*path, *key), f"there is no [pathway.{write_string(name)}]{hint}"


def _is_pathway(path: KeyPath) -> bool:
    return path[-2:-1] == ("pathway",)


def _find_wrong_variables(
    context: KeyPath, given: Mapping[str, object]
) -> Iterator[tuple[KeyPath, str]]:
    """Find unknown variables that have the prefix of Momentum's module."""
    bare = [known.removeprefix(_MODULE) for known in _VARIABLES]
    for name in given:
        if name in _VARIABLES or not name.casefold().startswith(_MODULE):
            continue
        # Compare without the prefix, which alone makes any two of them similar.
        near = nearest(name.casefold().removeprefix(_MODULE), bare)
        known = f"did you mean {_MODULE}{near}?" if near else f"known: {', '.join(_VARIABLES)}"
        yield (*context, name), f"unknown variable; {known}"


def read_name(path: KeyPath) -> Address | addresses.Network | str:
    """Read the name of a table: an address, a network, or any other as it is.

    Raises:
        NotAllowedError: not an address or network where there should be one.
    """
    name = str(path[-1])
    match path[-2:-1]:
        case ("listen",):
            return addresses.listen_name(name)
        case ("peer",):
            return addresses.network_name(name)
    return name


def build_scopes(stanzas: Mapping[KeyPath, ScopeStanza]) -> Scopes:
    """Put scopes together from stanzas that have no faults."""
    made: dict[KeyPath, Scope] = {}
    for path, stanza in stanzas.items():
        # As people say it: listen "x" peer "y".
        pairs = zip(path[::2], path[1::2], strict=False)
        made[path] = Scope(
            name=" ".join(f'{kind} "{name}"' for kind, name in pairs) or str(path[0]),
            options=TrackingOptions(**stanza.options),
            places=stanza.places,
            **stanza.scope,
        )
    # The order of a pathway's layers is that of `Scopes.pathways`; those in groups come first.
    layers: dict[str, tuple[KeyPath, ...]] = {}
    for path in sorted(made, key=len, reverse=True):
        if _is_pathway(path):
            paths = dict.fromkeys((path, path[-2:], path[:-2]))
            layers.setdefault(str(path[-1]), tuple(paths))
    return Scopes(
        listener=made.get(("listener",), Scope(name="listener")),
        module=made.get(("engagement_tracker",)),
        peers=_find_peers(made, ()),
        listens={
            str(address): Listen(scope=made[path], peers=_find_peers(made, path))
            for path, address in find_listens(stanzas).items()
        },
        pathways={
            name: tuple(made[path] for path in paths if path in made)
            for name, paths in layers.items()
        },
    )


def find_listens(stanzas: Mapping[KeyPath, ScopeStanza]) -> dict[KeyPath, Address]:
    """Find the addresses that have a table of their own."""
    paths = [path for path in stanzas if path[::2] == ("listen",)]
    return {path: addresses.listen_name(str(path[1])) for path in paths}


def _find_peers(made: Mapping[KeyPath, Scope], around: KeyPath) -> Networks[Scope]:
    values: dict[addresses.Network, Scope] = {
        addresses.network_name(str(path[-1])): scope
        for path, scope in made.items()
        if path[:-1] == (*around, "peer")
    }
    return Networks(values)
