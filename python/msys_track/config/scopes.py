"""From the stanzas of a configuration to its scopes, and what can be wrong between stanzas.

One stanza alone is judged where it is read; here they meet: a pathway that nobody has, a name
that two groups have.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from msys_track.config.document import KeyPath, dotted
from msys_track.config.problems import nearest
from msys_track.options import variables
from msys_track.options.scopes import Listen, Network, Networks, Scope, Scopes
from msys_track.options.tracking import TrackingOptions
from msys_track.settings import addresses
from msys_track.settings.kinds import NotAllowedError
from msys_track.smtp.address import Address

_LISTENER: Final[KeyPath] = ("listener",)
_TRACKER: Final[KeyPath] = ("engagement_tracker",)
_MODULE: Final = "smtpapi_"
_VARIABLES: Final = tuple(
    f"{_MODULE}{field.removesuffix('_seconds')}"
    for field in variables.Variables._fields
    if field not in ("customer_id", "ignored")
)
"""Context variables of Momentum's module: none but these may have its prefix."""


class Stanza:
    """What one table sets, as it is gathered; `path` is its name."""

    __slots__ = ("options", "path", "places", "scope", "variables")

    def __init__(self, path: KeyPath) -> None:
        self.path = path
        self.options: dict[str, Any] = {}
        self.scope: dict[str, Any] = {}
        self.places: dict[str, str] = {}
        self.variables: Mapping[str, object] = {}
        """The context's as written, because a fault in one must not hide those of the others."""

    def add(self, settings: type, fields: Mapping[str, Any], place: str) -> None:
        """Keep what a key sets, in the dataclass that has it."""
        (self.options if settings is TrackingOptions else self.scope).update(fields)
        self.places.update(dict.fromkeys(fields, place))

    def made(self) -> Scope:
        """Make the scope."""
        return Scope(
            name=_name(self.path),
            options=TrackingOptions(**self.options),
            places=self.places,
            **self.scope,
        )


def faults(
    stanzas: Mapping[KeyPath, Stanza], line: Callable[[KeyPath], str]
) -> Iterator[tuple[KeyPath, str]]:
    """Find what is wrong with the names of stanzas, and with what they say of each other.

    `line` says where a stanza is, for a fault of two of them.
    """
    pathways = {str(path[-1]) for path in stanzas if _is_pathway(path)}
    for path, stanza in stanzas.items():
        yield from _wrong_name(path)
        yield from _wrong_variables((*path, "context"), stanza.variables, pathways)
        pathway = stanza.scope.get("pathway")
        if pathway is None:
            continue
        if _is_pathway(path) or path[0] == "pathway_group":
            yield (*path, "pathway"), "a pathway can't be put on another one"
        elif pathway not in pathways:
            yield (*path, "pathway"), _no_pathway(pathway, pathways)
    yield from _twice_named(stanzas, line)
    yield from _twice_meant(stanzas, line)


def _no_pathway(name: str, pathways: Collection[str]) -> str:
    meant = nearest(name, pathways)
    hint = f"; did you mean {meant}?" if meant else ""
    return f'there is no [pathway."{name}"]{hint}'


def _wrong_variables(
    context: KeyPath, given: Mapping[str, object], pathways: Collection[str]
) -> Iterator[tuple[KeyPath, str]]:
    """Find variables that would decide about tracking, if they meant anything."""
    for name in given:
        if name.casefold().startswith(_MODULE) and name not in _VARIABLES:
            yield (*context, name), f"unknown variable; {_meant_variable(name)}"
    pathway = given.get(variables.PATHWAY)
    if isinstance(pathway, str) and pathway not in pathways:
        yield (*context, variables.PATHWAY), _no_pathway(pathway, pathways)


def _meant_variable(name: str) -> str:
    # Without the prefix, which alone would make any two of them look alike.
    bare = [known.removeprefix(_MODULE) for known in _VARIABLES]
    meant = nearest(name.casefold().removeprefix(_MODULE), bare)
    return f"did you mean {_MODULE}{meant}?" if meant else f"known: {', '.join(_VARIABLES)}"


def listens(stanzas: Mapping[KeyPath, Stanza]) -> tuple[Address, ...]:
    """List the addresses that have a table of their own."""
    return tuple(addresses.listen_name(str(path[1])) for path in stanzas if _is(path, "listen", 2))


def build(stanzas: Mapping[KeyPath, Stanza]) -> Scopes:
    """Put scopes together from stanzas that have no faults."""
    made = {path: stanza.made() for path, stanza in stanzas.items()}
    return Scopes(
        listener=made.get(_LISTENER, Scope(name="listener")),
        module=made.get(_TRACKER),
        peers=_networks(made, ("peer",)),
        listens={
            str(addresses.listen_name(str(path[1]))): Listen(
                scope=scope, peers=_networks(made, (*path, "peer"))
            )
            for path, scope in made.items()
            if _is(path, "listen", 2)
        },
        pathways=_pathways(made),
    )


def _networks(made: Mapping[KeyPath, Scope], family: KeyPath) -> Networks[Scope]:
    values: dict[Network, Scope] = {
        addresses.network_name(str(path[-1])): scope
        for path, scope in made.items()
        if path[:-1] == family
    }
    return Networks(values)


def _pathways(made: Mapping[KeyPath, Scope]) -> dict[str, tuple[Scope, ...]]:
    """By name: the pathway in its group, the one of that name outside, the group."""
    layers: defaultdict[str, list[Scope]] = defaultdict(list)
    for path, scope in made.items():
        if _is(path, "pathway_group", 4):
            layers[str(path[3])].append(scope)
    for path, scope in made.items():
        if _is(path, "pathway", 2):
            layers[str(path[1])].append(scope)
    for path in made:
        if _is(path, "pathway_group", 4):
            layers[str(path[3])].append(made[path[:2]])
    return {name: tuple(scopes) for name, scopes in layers.items()}


def _twice_named(
    stanzas: Mapping[KeyPath, Stanza], line: Callable[[KeyPath], str]
) -> Iterator[tuple[KeyPath, str]]:
    groups: dict[str, KeyPath] = {}
    for path in stanzas:
        if not _is(path, "pathway_group", 4):
            continue
        first = groups.setdefault(str(path[3]), path)
        if first != path:
            said = f"another group has a pathway of that name: [{dotted(first)}] in {line(first)}"
            yield path, f"{said}; rename one"


def _twice_meant(
    stanzas: Mapping[KeyPath, Stanza], line: Callable[[KeyPath], str]
) -> Iterator[tuple[KeyPath, str]]:
    """Find two names of one address, or of one network: only one of them could count."""
    seen: dict[tuple[KeyPath, object], KeyPath] = {}
    for path in stanzas:
        meaning = meant(path)
        if meaning is None:
            continue
        first = seen.setdefault((path[:-1], meaning), path)
        if first != path:
            yield path, f"the same as [{dotted(first)}] in {line(first)}; keep one"


def meant(path: KeyPath) -> object | None:
    """Read the name of a table that is an address or a network; None where it is neither."""
    kind = _NAMED.get(str(path[-2])) if len(path) > 1 else None
    try:
        return kind(str(path[-1])) if kind is not None else None
    except NotAllowedError:
        return None


_NAMED: Final = {"listen": addresses.listen_name, "peer": addresses.network_name}


def _wrong_name(path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    kind = _NAMED.get(str(path[-2])) if len(path) > 1 else None
    if kind is None:
        return
    try:
        kind(str(path[-1]))
    except NotAllowedError as error:
        yield path, str(error)


def _is(path: KeyPath, family: str, depth: int) -> bool:
    return len(path) == depth and path[0] == family


def _is_pathway(path: KeyPath) -> bool:
    return _is(path, "pathway", 2) or _is(path, "pathway_group", 4)


def _name(path: KeyPath) -> str:
    """Write a scope's name as people say it: `listen "x" peer "y"`."""
    family, *rest = map(str, path)
    pairs = zip([family, *rest[1::2]], rest[0::2], strict=False)
    return " ".join(f'{kind} "{name}"' for kind, name in pairs) or family
