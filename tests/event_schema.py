"""The JSON Schema of events, and what it leaves open: fields that it does not know."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

SCHEMA: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "docs" / "msys-track-events.schema.json").read_text("utf-8")
)
_VALIDATOR: Final = Draft202012Validator(SCHEMA)


def find_faults(event: Any) -> list[str]:
    """Find what is wrong with an event, and the fields that the schema does not have."""
    faults = [f"{error.json_path}: {error.message}" for error in _VALIDATOR.iter_errors(event)]
    return faults or list(_find_unknown_fields(event))


def list_fields(envelope: str) -> set[str]:
    """Name the fields that an envelope can have."""
    return set(SCHEMA["$defs"][envelope]["properties"])


def _find_unknown_fields(event: Any) -> Iterator[str]:
    for envelope, fields in event["msys"].items():
        for name in fields.keys() - list_fields(envelope):
            if not name.startswith("cust_"):
                yield f"{envelope} has {name}"
        for name in ("x_msys_track", "user_agent_parsed", "geo_ip"):
            for member in fields.get(name, {}).keys() - SCHEMA["$defs"][name]["properties"].keys():
                yield f"{name} has {member}"
