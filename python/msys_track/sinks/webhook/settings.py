"""Settings of one webhook; every default is stated here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from msys_track.event_fields import EventType
from msys_track.keys.file import KeySource
from msys_track.settings.key import ConflictError, Key, check_settings
from msys_track.settings.kinds import (
    FILE_NAME,
    NAME,
    SWITCH,
    Kind,
    NotAllowedError,
    array,
    choice,
    seconds,
    text,
    whole_number,
)
from msys_track.settings.secrets import SECRET
from msys_track.sinks.webhook.addresses import is_private_host

Authentication: TypeAlias = Literal["none", "basic", "bearer", "oauth2"]

TYPES: Final[tuple[str, ...]] = tuple(
    dict.fromkeys(
        [*(each.value for each in EventType), "injection", "policy_rejection", "reclassified"]
    )
)
"""The types that a webhook can be limited to."""

_TOKEN: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - RFC 9110 section 5.6.2
_URL: Final = r"https?://[^\s/?#@\\]+([/?][!-~]*)?"
# What a batch says of itself, and what the connection needs.
_OWN_HEADERS: Final = frozenset({
    "content-type", "content-length", "transfer-encoding", "content-encoding", "connection",
    "host", "expect", "x-messagesystems-batch-id", "webhook-id", "webhook-timestamp",
    "webhook-signature",
})  # fmt: skip


def is_url(url: str) -> bool:
    """Whether a text is an absolute URL of `http` or `https`, in ASCII and without user."""
    if re.fullmatch(_URL, url) is None or "#" in url or not url.isascii():
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _texts(name_pattern: str, allowed: str, refused: frozenset[str] = frozenset()) -> Kind:
    """Make the kind of a table of texts."""

    def read_value(value: object) -> dict[str, str]:
        if not isinstance(value, dict):
            raise NotAllowedError(value, allowed)
        # A value may be a secret, which must not be shown.
        errors = [
            (name, NotAllowedError(ValueError("another value or name"), allowed))
            for name, each in value.items()
            if re.fullmatch(name_pattern, name) is None
            or name.lower() in refused
            or not (isinstance(each, str) and each.isascii() and each.isprintable())
        ]
        if errors:
            raise NotAllowedError.of_items(value, errors)
        return dict(value)

    schema: dict[str, Any] = {
        "type": "object",
        "propertyNames": {"pattern": f"^{name_pattern}$"},
        "additionalProperties": {"type": "string", "pattern": "^[ -~]*$"},
    }
    return Kind(read=read_value, allowed=allowed, json_schema=schema)


URL: Final = text(
    is_url,
    'a URL as "https://example.com/events", without user and fragment',
    {"pattern": f"^{_URL}$"},
)
_HEADERS: Final = _texts(
    _TOKEN,
    "names of headers, but for those that we send ourselves, each with its value in printable "
    "ASCII, env:NAME or credential:NAME",
    _OWN_HEADERS,
)
_BODY: Final = _texts(
    "[ -~]+", "names, each with a text in printable ASCII, env:NAME or credential:NAME"
)
_NAMED_SECRETS: Final = ("env:", "credential:")
# Which keys each way of authentication needs.
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "none": (),
    "basic": ("user", "password"),
    "bearer": ("bearer_token",),
    "oauth2": ("oauth_url", "oauth_body"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Where events are posted to, how often, and what proves that it is us.

    Raises:
        SettingsError: a value that no webhook could work with.
        ConflictError: values that do not go together; a private address.
    """

    url: Annotated[
        str,
        Key(
            URL,
            "where events are posted to",
            example="https://example.com/events",
            is_required=True,
        ),
    ]
    types: Annotated[
        tuple[str, ...],
        Key(
            array(choice(*TYPES), "types of events"),
            "the types of events that are sent",
            unset="all",
        ),
    ] = ()
    max_events: Annotated[int, Key(whole_number(highest=10_000), "events in a batch, at most")] = (
        1_000
    )
    max_age_seconds: Annotated[
        float, Key(seconds(highest=3_600), "the longest that an event waits for a batch to fill")
    ] = 30.0
    timeout_seconds: Annotated[
        float, Key(seconds(highest=600), "for so long an answer is waited for")
    ] = 10.0
    retry_hours: Annotated[
        int,
        Key(
            whole_number(highest=8_760, unit="hours, "),
            "for so long a batch is tried again; then it goes to the dead letters",
        ),
    ] = 8
    auth: Annotated[
        Authentication, Key(choice(*get_args(Authentication)), "how we prove who we are")
    ] = "none"
    user: Annotated[
        str | None, Key(NAME, "the user of `basic`", example="msys-track", unset="none")
    ] = None
    password: Annotated[
        KeySource | None,
        Key(SECRET, "where the password of `basic` is", example="env:PASSWORD", unset="none"),
    ] = None
    bearer_token: Annotated[
        KeySource | None,
        Key(SECRET, "where the token of `bearer` is", example="env:TOKEN", unset="none"),
    ] = None
    oauth_url: Annotated[
        str | None,
        Key(
            URL,
            "where `oauth2` asks for a token",
            example="https://login.example.com/token",
            unset="none",
        ),
    ] = None
    oauth_body: Annotated[
        Mapping[str, str],
        Key(
            _BODY,
            "what is posted there; secrets as env:NAME or credential:NAME",
            example={"grant_type": "client_credentials", "client_id": "env:CLIENT_ID"},
            unset="nothing",
            hides_texts=True,
        ),
    ] = field(default_factory=dict, repr=False)
    oauth_form: Annotated[bool, Key(SWITCH, "post a form there in place of JSON")] = False
    auth_token: Annotated[
        KeySource | None,
        Key(
            SECRET,
            "where the value of `X-MessageSystems-Webhook-Token` is",
            example="credential:webhook",
            unset="no such header",
        ),
    ] = None
    custom_headers: Annotated[
        Mapping[str, str],
        Key(
            _HEADERS,
            "more headers; secrets as env:NAME or credential:NAME",
            example={"X-Api-Key": "env:API_KEY"},
            unset="none",
            hides_texts=True,
        ),
    ] = field(default_factory=dict, repr=False)
    signing_secret: Annotated[
        KeySource | None,
        Key(
            SECRET,
            "where the secret `whsec_…` is that batches are signed with (Standard Webhooks); "
            "several, a line each, while it is changed",
            example="env:WEBHOOK_SECRET",
            unset="no signature",
        ),
    ] = None
    tls_ca_file: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "certificates of the authorities to trust, in PEM",
            example="ca.pem",
            unset="the system's",
        ),
    ] = None
    allow_private: Annotated[
        bool, Key(SWITCH, "allow addresses that are not on the public internet")
    ] = False

    def __post_init__(self) -> None:
        check_settings(self, "webhook: ")
        for name in ("url", "oauth_url"):
            host = urlsplit(getattr(self, name) or "").hostname
            if host is not None and not self.allow_private and is_private_host(host):
                text = (
                    f"{host} is not on the public internet; set allow_private = true to allow it"
                )
                raise ConflictError("webhook: ", name, text)
        for name in _NEEDS[self.auth]:
            if not getattr(self, name):
                raise ConflictError("webhook: ", "auth", f'"{self.auth}" needs {name}')
        for auth, names in _NEEDS.items():
            # A token alone is sent without more ado.
            for name in names if self.auth == "none" and auth != "bearer" else ():
                if getattr(self, name):
                    raise ConflictError("webhook: ", name, f'does nothing without auth = "{auth}"')

    @property
    def has_plain_credentials(self) -> bool:
        """Whether something that proves who we are leaves the machine without TLS."""
        if self.auth == "oauth2" and _is_plain(self.oauth_url or ""):
            return True
        has_any = (
            self.auth != "none"
            or self.bearer_token is not None
            or self.auth_token is not None
            or any(each.startswith(_NAMED_SECRETS) for each in self.custom_headers.values())
        )
        return has_any and _is_plain(self.url)


def _is_plain(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    is_here = host in {"localhost", "::1"} or host.startswith("127.")
    return parts.scheme == "http" and not is_here
