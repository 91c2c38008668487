"""Momentum's `webhooks.json`, as its operators have it: webhooks with their targets and events.

Source: Momentum's manual, "Webhooks", the appendices on events and on consumers.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from msys_track.errors import SettingsError, describe_os_error
from msys_track.settings.key import ConflictError
from msys_track.sinks.webhook.settings import TYPES, WebhookSettings

EVENTS: Final = (
    "ad_adjust", "ad_status", "bounce", "click", "delay", "delivery", "generation_failure",
    "generation_rejection", "injection", "link_unsubscribe", "list_unsubscribe", "open",
    "out_of_band", "policy_rejection", "sms_status", "spam_complaint",
)  # fmt: skip
"""Momentum's keys of events; most of them are the MTA's, which we don't make."""

_NAMES: Final = ("name", "events", "target", "auth_token", "custom_headers")
_LONGEST_NAME: Final = 64


class MomentumWebhooksError(SettingsError):
    """What is wrong with a `webhooks.json`; `faults` has it one by one."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def read_webhooks(file: Path, *, allow_private: bool = False) -> dict[str, WebhookSettings]:
    """Read a `webhooks.json`: the settings of each webhook, by a name that is made of its own.

    A webhook whose events the MTA alone makes is left out, as it would get nothing.

    Args:
        file: In JSON, an array.
        allow_private: Whether targets may be off the public internet.

    Raises:
        MomentumWebhooksError: all that is wrong with it; secrets are not shown.
    """
    found: dict[str, WebhookSettings] = {}
    faults: list[str] = []
    for place, each in enumerate(_read_array(file), start=1):
        try:
            name, settings = _read_webhook(each, allow_private=allow_private)
        except MomentumWebhooksError as error:
            faults += [f"{file.name}: webhook {place}: {text}" for text in error.faults]
            continue
        if name in found:
            text = "a second one has this name; give it another"
            faults.append(f"{file.name}: webhook {place}: {text}")
        if settings is not None:
            found[name] = settings
    if faults:
        raise MomentumWebhooksError(faults)
    return found


def _read_array(file: Path) -> list[Any]:
    try:
        given = json.loads(file.read_bytes())
    except OSError as error:
        raise MomentumWebhooksError([f"{file}: {describe_os_error(error)}"]) from error
    except (ValueError, RecursionError) as error:
        raise MomentumWebhooksError([f"{file.name}: not JSON: {error}"]) from error
    if not isinstance(given, list):
        text = f"{file.name}: not an array of webhooks, as Momentum has it"
        raise MomentumWebhooksError([text])
    return given


def _read_webhook(given: Any, *, allow_private: bool) -> tuple[str, WebhookSettings | None]:
    if faults := list(_find_faults(given)):
        raise MomentumWebhooksError(faults)
    name = _make_name(given)
    types = tuple(kind for kind in given["events"] if kind in TYPES)
    if not types:
        return name, None
    headers = dict(given.get("custom_headers", {}))
    if token := given.get("auth_token"):
        headers["X-MessageSystems-Webhook-Token"] = token
    try:
        return name, WebhookSettings(
            url=given["target"], types=types, custom_headers=headers, allow_private=allow_private
        )
    except ConflictError as error:
        hint = "set webhooks_json_allow_private to allow it"
        reason = error.text.partition(";")[0]
        raise MomentumWebhooksError([f"target: {reason}; {hint}"]) from error
    except SettingsError as error:
        lines = (line.removeprefix("webhook: ") for line in str(error).splitlines())
        raise MomentumWebhooksError(
            [re.sub(r"^url: ", "target: ", each) for each in lines]
        ) from error


def _find_faults(given: object) -> Iterator[str]:
    if not isinstance(given, dict):
        yield "not an object"
        return
    for name in given:
        if name not in _NAMES:
            yield f"{name}: not known; known: {', '.join(_NAMES)}"
    events = given.get("events")
    if not isinstance(events, list) or not events:
        yield "events: missing, or not an array of keys of events"
    else:
        for each in events:
            if each not in EVENTS:
                yield f"events: {each!r}: not known; known: {', '.join(EVENTS)}"
    for name in ("target", "name", "auth_token"):
        if not isinstance(given.get(name, "" if name != "target" else None), str):
            yield f"{name}: missing, or not a text"
    headers = given.get("custom_headers", {})
    if not isinstance(headers, dict) or not all(
        isinstance(each, str) for each in headers.values()
    ):
        yield "custom_headers: not an object of texts"


def _make_name(given: Mapping[str, Any]) -> str:
    """Make a name that can name files; of the target where the webhook has none."""
    name = given.get("name")
    if not name:
        host = urlsplit(given["target"]).hostname or ""
        facts = json.dumps([given["target"], sorted(given["events"])]).encode()
        digest = hashlib.sha1(facts, usedforsecurity=False).hexdigest()
        name = f"{host[: _LONGEST_NAME - 9]}-{digest[:8]}"
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[:_LONGEST_NAME] or "webhook"
