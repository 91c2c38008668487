"""The TOML form as a JSON Schema, for editors that check while one types.

It allows everything that the check allows, and a little more: it does not look at other files, or
compare tables with each other.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from msys_track.config.schema.tables import (
    FAMILIES,
    NESTED,
    SCOPE,
    SEALING,
    TABLES,
    TEXTS,
    TOP,
    Key,
)
from msys_track.settings.addresses import LISTEN_NAME_PATTERN, NETWORK_PATTERN

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NAMES: Final = {"listen": LISTEN_NAME_PATTERN, "peer": NETWORK_PATTERN}
_PATHWAYS: Final = ("pathway", "pathway_group")


def json_schema() -> dict[str, Any]:
    """Make the schema."""
    properties = {name: _key(key) for name, key in TOP.items()}
    for name, keys in TABLES.items():
        properties[name] = _table(name, _references() if keys is SCOPE else _keys(keys), keys)
    for name, family in FAMILIES.items():
        properties[name] = {
            "description": TEXTS[name],
            "type": "object",
            "propertyNames": family.name.json_schema,
            "additionalProperties": _table(name, _keys(family.keys), family.keys),
        }
    properties |= {name: _scopes(name) for name in NESTED}
    required = properties["proxy"].pop("required")
    return {
        "$schema": _DIALECT,
        "title": "msys-track.toml",
        "description": "The configuration of msys-track; see docs/configuration.md.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "dependentRequired": {name: ["keys"] for name in SEALING},
        # `[upstream.NAME]` tables stand in place of what `[proxy]` has to say of its upstream.
        "if": {"properties": {"upstream": {"minProperties": 1}}, "required": ["upstream"]},
        "else": {"properties": {"proxy": {"required": required}}},
        "$defs": _keys(SCOPE),
    }


def _table(name: str, properties: Mapping[str, Any], keys: Mapping[str, Key]) -> dict[str, Any]:
    required = [each for each, key in keys.items() if key.is_required]
    return {
        "description": TEXTS[name],
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _scopes(name: str) -> dict[str, Any]:
    """Make the schema of a table of tables, each of them a scope."""
    # A pathway can't be put on another one.
    without = ("pathway",) if name in _PATHWAYS else ()
    inner = {each: _scopes(each) for each in NESTED[name]}
    scope = _table(name, {**_references(without), **inner}, {})
    names = {"propertyNames": {"pattern": _NAMES[name]}} if name in _NAMES else {}
    return {"description": TEXTS[name], "type": "object", **names, "additionalProperties": scope}


def _references(without: Collection[str] = ()) -> dict[str, Any]:
    return {name: {"$ref": f"#/$defs/{name}"} for name in SCOPE if name not in without}


def _keys(keys: Mapping[str, Key]) -> dict[str, Any]:
    return {name: _key(key) for name, key in keys.items()}


def _key(key: Key) -> dict[str, Any]:
    default = {} if key.default is None else {"default": key.default}
    return {"description": key.text, **key.kind.json_schema, **default}
