"""Engagement data that a program gives with a call, in place of the `X-MSYS-API` header."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msys_track.errors import SettingsError
from msys_track.options.variables import MAX_ID
from msys_track.smtpapi import json as strict_json
from msys_track.smtpapi.header import MAX_CAMPAIGN_BYTES, MAX_TAGS


class Arguments(NamedTuple):
    """Engagement data of a call; None where it gives none. They rank as X-MSYS-API does."""

    campaign_id: str | None = None
    metadata: str | None = None
    """Compact JSON text of an object."""
    tags: tuple[str, ...] | None = None
    subaccount_id: int | None = None


def check_arguments(
    *,
    campaign_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
    subaccount_id: int | None = None,
) -> Arguments | None:
    """Check the engagement data of a call; None if it gives none.

    Args:
        campaign_id: at most 64 bytes of UTF-8.
        metadata: what JSON can write; pairs beyond `max_metadata_len` are left out.
        tags: the first ten different ones are kept.
        subaccount_id: from 0 to 4,294,967,295.

    Raises:
        SettingsError: a value is of another type or too long.
    """
    if campaign_id is None and metadata is None and tags is None and subaccount_id is None:
        return None
    if campaign_id is not None:
        _check_text("campaign_id", campaign_id)
        size = len(campaign_id.encode("utf-8"))
        if size > MAX_CAMPAIGN_BYTES:
            raise SettingsError(
                f"campaign_id: {size} bytes; a campaign has at most {MAX_CAMPAIGN_BYTES}"
            )
    if tags is not None:
        if isinstance(tags, str):
            raise SettingsError('tags: a text; give a list of texts, as in ["spring"]')
        if not isinstance(tags, Iterable):
            raise SettingsError(f"tags: found {tags!r}; give a list of texts")
        tags = tuple(tags)
        for tag in tags:
            _check_text("tags", tag)
        tags = tuple(dict.fromkeys(tags))[:MAX_TAGS]
    if subaccount_id is not None and not (
        type(subaccount_id) is int and 0 <= subaccount_id <= MAX_ID
    ):
        raise SettingsError(
            f"subaccount_id: found {subaccount_id!r}; give a whole number from 0 to {MAX_ID}"
        )
    text = None if metadata is None else _compact_metadata(metadata)
    return Arguments(campaign_id, text, tags, subaccount_id)


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise SettingsError(f"{name}: found {value!r}; give a text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise SettingsError(f"{name}: half of a surrogate pair, which no UTF-8 has") from None


def _compact_metadata(metadata: Mapping[str, Any]) -> str:
    if not isinstance(metadata, Mapping):
        raise SettingsError(f"metadata: found {metadata!r}; give a mapping")
    try:
        text = json.dumps(dict(metadata), allow_nan=False)
        # The rules of X-MSYS-API: depth, surrogates, numbers.
        return strict_json.compact(strict_json.parse_object(text))
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingsError(f"metadata: JSON can't write it: {error}") from error
