"""Claims for tests: the vectors of the token format, and any that a token can hold.

Rust's tests read the same vectors.
"""

import base64
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from hypothesis import strategies as st

from msys_track.keys.plain.values import KINDS
from msys_track.keys.ring import Claims, Engagement, KeyRing

_FLAGS = ("open_tracking", "click_tracking", "initial_pixel", "amp_enabled", "transactional")
_ENGAGEMENT = (
    "message_id", "transmission_id", "injected_at", "expires_at", "customer_id", "subaccount_id",
    "recipient", "recipient_type", "campaign_id", "metadata", "tags", "privacy", *_FLAGS,
)  # fmt: skip
_LINK = ("kind", "target", "link_name", "link_number", "link_part")


def list_fields(claims: Claims) -> dict[str, Any]:
    """Every field of some claims, by name."""
    return {name: getattr(claims.engagement, name) for name in _ENGAGEMENT} | {
        name: getattr(claims, name) for name in _LINK
    }


# Vectors

_FOLDER = Path(__file__).parent / "vectors"
_TABLES, _POSITIONS, _PRIVACY = (
    tomllib.loads((_FOLDER / name).read_text("utf-8"))
    for name in ("tokens.toml", "positions.toml", "privacy.toml")
)

KEYS: Mapping[int, bytes] = {
    table["id"]: bytes.fromhex(table["secret"]) for table in _TABLES["key"]
}
TOKENS: list[dict[str, Any]] = _TABLES["token"] + _POSITIONS["token"] + _PRIVACY["token"]
OPENS: list[dict[str, Any]] = _TABLES["opens"] + _POSITIONS["opens"]
REFUSED: list[dict[str, Any]] = _TABLES["refused"] + _PRIVACY["refused"]

_ABSENT: Mapping[str, Any] = {
    **dict.fromkeys(["transmission_id", "injected_at", "lifetime", "customer_id"], 0),
    **dict.fromkeys(["target", "link_name", "link_number", "link_part"]),
    **dict.fromkeys(["subaccount_id", "campaign_id", "metadata"]),
    **dict.fromkeys(_FLAGS, False),
    "recipient_type": "to",
    "privacy": "full",
    "tags": [],
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
    fields["expires_at"] = fields["injected_at"] + fields["lifetime"]
    engagement = Engagement(**{name: fields[name] for name in _ENGAGEMENT})
    return Claims(engagement=engagement, **{name: fields[name] for name in _LINK})


def ring(folder: Path, keys: Mapping[int, bytes] = KEYS, *, first: int | None = None) -> KeyRing:
    """A ring of known keys, by way of a key file in `folder`; `first` seals."""
    return KeyRing.load(key_file(folder, keys, first=first))


def key_file(folder: Path, keys: Mapping[int, bytes] = KEYS, *, first: int | None = None) -> Path:
    """A key file with these secrets by their numbers."""
    path = folder / "keys.toml"
    tables = (
        f"[[key]]\nid = {number}\ncreated = 2026-11-24T10:00:00Z\n"
        f'secret = "{base64.b64encode(keys[number]).decode()}"\n'
        for number in sorted(keys, key=lambda number: number != first)
    )
    path.write_text("\n".join(tables), encoding="utf-8")
    path.chmod(0o600)
    return path


# Any claims

# UTF-8 has no half of a surrogate pair.
_ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
_URLS = st.from_regex(
    r"https?://(www\.)?[a-z]{2,9}\.(com|fr|co\.uk)/([a-z]{2,9}/)?(\?utm_source=[a-z0-9]{1,9})?",
    fullmatch=True,
)
_JSON = st.from_regex(r'\{("[a-z_]{1,9}":("[a-z0-9 ]{0,9}"|[0-9]{1,5}),?){0,5}\}', fullmatch=True)
_TEXTS = _ANY_TEXT | _URLS | _JSON
_UNSIGNED_32 = st.integers(0, 2**32 - 1)
_POSITIVE_32 = st.integers(1, 2**32 - 1)
_PARTS: st.SearchStrategy[Literal["html", "text", "amp"]] = st.sampled_from(
    ["html", "text", "amp"]
)
_UNSIGNED_64 = st.integers(0, 2**64 - 1)


@st.composite
def claims(draw: st.DrawFn) -> Claims:
    """Any claims: each kind, each field there or not, texts of every sort."""
    injected_at, expires_at = sorted((draw(_UNSIGNED_64), draw(_UNSIGNED_64)))
    engagement = Engagement(
        message_id=draw(st.from_regex(r"[0-9a-f]{20}", fullmatch=True) | _TEXTS),
        transmission_id=draw(_UNSIGNED_64),
        injected_at=injected_at,
        expires_at=expires_at,
        customer_id=draw(_UNSIGNED_32),
        subaccount_id=draw(st.none() | _UNSIGNED_32),
        recipient=draw(_TEXTS),
        recipient_type=draw(st.sampled_from(["to", "cc", "bcc", "archive"])),
        campaign_id=draw(st.none() | _TEXTS),
        metadata=draw(st.none() | _TEXTS),
        tags=draw(st.lists(_TEXTS, max_size=4)),
        privacy=draw(st.sampled_from(["full", "truncated", "aggregate"])),
        **{name: draw(st.booleans()) for name in _FLAGS},
    )
    number, part = draw(st.just((None, None)) | st.tuples(_POSITIVE_32, _PARTS))
    return Claims(
        kind=draw(st.sampled_from([*KINDS])),
        engagement=engagement,
        target=draw(st.none() | _TEXTS),
        link_name=draw(st.none() | _TEXTS),
        link_number=number,
        link_part=part,
    )
