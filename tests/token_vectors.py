"""The test vectors of the token format, as Python's tests read them; Rust's read the same file."""

import base64
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.claims import made

from msys_track.keys.ring import Claims, KeyRing

FILE = Path(__file__).parent / "vectors" / "tokens.toml"

_TABLES = tomllib.loads(FILE.read_text(encoding="utf-8"))

KEYS: Mapping[int, bytes] = {
    table["id"]: bytes.fromhex(table["secret"]) for table in _TABLES["key"]
}
TOKENS: list[dict[str, Any]] = _TABLES["token"]
OPENS: list[dict[str, Any]] = _TABLES["opens"]
REFUSED: list[dict[str, Any]] = _TABLES["refused"]

_ABSENT: Mapping[str, Any] = {
    "target": None,
    "link_name": None,
    "transmission_id": 0,
    "injected_at": 0,
    "lifetime": 0,
    "customer_id": 0,
    "subaccount_id": None,
    "recipient_type": "to",
    "campaign_id": None,
    "metadata": None,
    "tags": [],
    "open_tracking": False,
    "click_tracking": False,
    "initial_pixel": False,
    "amp_enabled": False,
    "transactional": False,
}
_NO_CLAIMS = {"what", "key", "claims", "path"}


def what(vector: Mapping[str, Any]) -> str:
    """The name of a vector's test."""
    return str(vector["what"]).replace(" ", "_")


def fields_of(vector: Mapping[str, Any]) -> dict[str, Any]:
    """Every claim of a vector, those that it does not name too."""
    named = {name: value for name, value in vector.items() if name not in _NO_CLAIMS}
    return {**_ABSENT, **named}


def claims_of(vector: Mapping[str, Any]) -> Claims:
    """The claims of a vector for `KeyRing.seal`."""
    fields = fields_of(vector)
    return made(fields | {"expires_at": fields["injected_at"] + fields["lifetime"]})


def ring(folder: Path, keys: Mapping[int, bytes] = KEYS, *, first: int | None = None) -> KeyRing:
    """A ring of known keys, by way of a key file in `folder`; `first` seals."""
    return KeyRing.load(key_file(folder, keys, first=first))


def key_file(folder: Path, keys: Mapping[int, bytes] = KEYS, *, first: int | None = None) -> Path:
    """A key file with these secrets by their numbers."""
    path = folder / "keys.toml"
    numbers = sorted(keys, key=lambda number: number != first)
    tables = (
        f"[[key]]\nid = {number}\ncreated = 2026-11-24T10:00:00Z\n"
        f'secret = "{base64.b64encode(keys[number]).decode()}"\n'
        for number in numbers
    )
    path.write_text("\n".join(tables), encoding="utf-8")
    path.chmod(0o600)
    return path
