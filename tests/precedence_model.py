"""Who wins, a second time: a model of precedence that shares no code with `options` or `config`.

It is written from Momentum's pages (listeners, fallback, pathways, policy variables) and from
`docs/configuration.md`, for one attribute at a time: candidates are listed from the highest to the
lowest, and the first one wins. `test_precedence_at_random.py` holds the proxy's own decisions
against it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

# Options of a file, with the attribute that each sets and its default.
CONFIGURED: Mapping[str, tuple[str, Any]] = {
    "open_tracking_enabled": ("open_tracking", False),
    "click_tracking_enabled": ("click_tracking", False),
    "open_tracking_scheme": ("open_tracking_scheme", "http"),
    "click_tracking_scheme": ("click_tracking_scheme", "http"),
    "tracking_domain": ("tracking_domain", "localhost:8080"),
    "tracking_link_expiry": ("tracking_link_expiry_seconds", 365 * 24 * 3600),
    "initial_open_pixel_tracking": ("initial_open", False),
    "keep_link_attributes": ("keep_link_attributes", True),
    "signed_mail": ("signed_mail", "skip"),
    "click_tracking_include_metadata": ("click_tracking_include_metadata", True),
    "max_metadata_len": ("max_metadata_bytes", 1000),
}
ASKED = ("open_tracking", "click_tracking", "initial_open", "transactional")
"""Options of the header."""
NOT_CONFIGURED: Mapping[str, Any] = {
    "transactional": False, "campaign_id": None, "metadata": None, "tags": (), "customer_id": 1,
    "subaccount_id": None,
}  # fmt: skip
VARIABLES: Mapping[str, str] = {
    "open_tracking": "smtpapi_open_tracking",
    "click_tracking": "smtpapi_click_tracking",
    "open_tracking_scheme": "smtpapi_open_tracking_scheme",
    "click_tracking_scheme": "smtpapi_click_tracking_scheme",
    "tracking_domain": "smtpapi_tracking_domain",
    "tracking_link_expiry_seconds": "smtpapi_tracking_link_expiry",
    "campaign_id": "smtpapi_campaign_id",
    "metadata": "smtpapi_metadata",
    "tags": "smtpapi_tags",
    "customer_id": "mo_customer_id",
    "subaccount_id": "subaccount_id",
}
BOTTOM = "engagement_tracker"


@dataclass(slots=True)
class Table:
    """A scope as a file writes it."""

    options: dict[str, Any] = field(default_factory=dict)
    pathway: str | None = None
    context: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class SetUp:
    """A configuration, by what a person would call each scope."""

    listener: Table = field(default_factory=Table)
    engagement_tracker: Table = field(default_factory=Table)
    peers: dict[str, Table] = field(default_factory=dict)
    listens: dict[str, Table] = field(default_factory=dict)
    listen_peers: dict[tuple[str, str], Table] = field(default_factory=dict)
    pathways: dict[str, Table] = field(default_factory=dict)
    groups: dict[str, Table] = field(default_factory=dict)
    group_pathways: dict[tuple[str, str], Table] = field(default_factory=dict)


@dataclass(slots=True)
class Mail:
    """One mail to one recipient: how it comes in, and what its sender and policy say."""

    listen: str
    client: str
    recipient: str
    header: dict[str, Any] | None = None
    variables: dict[str, str] = field(default_factory=dict)


class Winner(NamedTuple):
    """A value, and who decided it."""

    value: Any
    who: str


def decide(setup: SetUp, mail: Mail) -> dict[str, Winner]:
    """Say what holds for a mail, attribute by attribute."""
    decided: dict[str, Winner] = {}
    context = _find_context(setup, mail)
    variables = {**context, **mail.variables}
    walk = list(_walk(setup, mail, variables.get("pathway")))
    for option, (attribute, default) in CONFIGURED.items():
        candidates = [*_by_policy(attribute, variables), *_by_header(attribute, mail)]
        candidates += [
            Winner(table.options[option], who) for who, table in walk if option in table.options
        ]
        decided[attribute] = [*candidates, Winner(default, "default")][0]
    for attribute, default in NOT_CONFIGURED.items():
        candidates = [*_by_policy(attribute, variables), *_by_header(attribute, mail)]
        decided[attribute] = [*candidates, Winner(default, "default")][0]
    room = decided["max_metadata_bytes"].value
    metadata, who = decided["metadata"]
    decided["metadata"] = Winner(_cut(metadata, room), who)
    return decided


def _walk(setup: SetUp, mail: Mail, chosen: str | None) -> Iterator[tuple[str, Table]]:
    """Go through the tables that apply, the strongest first; one may come twice."""
    if chosen is not None:
        yield from _pathway(setup, chosen)
    for who, table in _tables(setup, mail):
        yield who, table
        if table.pathway is not None:
            yield from _pathway(setup, table.pathway)


def _tables(setup: SetUp, mail: Mail) -> Iterator[tuple[str, Table]]:
    at = {
        net: table for (listen, net), table in setup.listen_peers.items() if listen == mail.listen
    }
    for network in _around(mail.client, at):
        yield f'listen "{mail.listen}" peer "{network}"', at[network]
    for network in _around(mail.client, setup.peers):
        yield f'peer "{network}"', setup.peers[network]
    if mail.listen in setup.listens:
        yield f'listen "{mail.listen}"', setup.listens[mail.listen]
    yield "listener", setup.listener
    yield BOTTOM, setup.engagement_tracker


def _around(client: str, networks: Mapping[str, Table]) -> list[str]:
    address = ip_address(client)
    around = [each for each in networks if address in ip_network(each)]
    return sorted(around, key=lambda each: int(each.rpartition("/")[2]), reverse=True)


def _pathway(setup: SetUp, name: str) -> Iterator[tuple[str, Table]]:
    group = next((group for group, inner in setup.group_pathways if inner == name), None)
    if group is not None:
        yield f'pathway_group "{group}" pathway "{name}"', setup.group_pathways[group, name]
    if name in setup.pathways:
        yield f'pathway "{name}"', setup.pathways[name]
    if group is not None and group in setup.groups:
        yield f'pathway_group "{group}"', setup.groups[group]


def _find_context(setup: SetUp, mail: Mail) -> dict[str, str]:
    """Say which variables a connection begins with: for each, the strongest table has it."""
    found: dict[str, str] = {}
    for _, table in _walk(setup, mail, None):
        for name, value in table.context.items():
            found.setdefault(name, value)
    return found


def _by_policy(attribute: str, variables: Mapping[str, str]) -> list[Winner]:
    text = variables.get(VARIABLES.get(attribute, ""))
    value = None if text is None else _read_variable(attribute, text)
    return [] if value is None else [Winner(value, "policy")]


def _read_variable(attribute: str, text: str) -> Any:
    """Read the text of a variable; None if it means nothing, and the next candidate counts."""
    if attribute in ("open_tracking", "click_tracking"):
        return {"1": True, "true": True, "0": False, "false": False}.get(text.lower())
    if attribute in ("tracking_link_expiry_seconds", "customer_id", "subaccount_id"):
        return int(text) if text.isdecimal() else None
    if attribute == "metadata":
        return json.loads(text)
    if attribute == "tags":
        tags = json.loads(text)
        return tuple(tags) if isinstance(tags, list) else None
    return text


def _by_header(attribute: str, mail: Mail) -> list[Winner]:
    if mail.header is None:
        return []
    extension = mail.header.get("x_msys_track") or {}
    own = (extension.get("recipients") or {}).get(mail.recipient)
    found: list[Winner] = []
    for members, who in ((own, "header (recipient)"), (mail.header, "header")):
        inner = ((members or {}).get("options") or {}) if attribute in ASKED else (members or {})
        value = inner.get(attribute)
        if value is not None:
            found.append(Winner(tuple(value) if attribute == "tags" else value, who))
    return found


def _cut(metadata: dict[str, Any] | None, room: int) -> dict[str, Any] | None:
    """Leave out pairs from the first on that has no room in the object's compact text."""
    kept: dict[str, Any] = {}
    for name, value in (metadata or {}).items():
        text = json.dumps({**kept, name: value}, separators=(",", ":"), ensure_ascii=False)
        if len(text.encode()) > room:
            break
        kept[name] = value
    return kept or None
