"""The keys of a scope: Momentum's options for SMTP engagement tracking, and those that it lacks.

Momentum's keep their names, so that its options can be moved here as they are.
"""

from collections.abc import Mapping
from typing import Any, Final

from msys_track.config.schema import kinds
from msys_track.config.schema.addresses import PORT_PATTERN
from msys_track.config.schema.key import Key
from msys_track.options.scopes import Scope
from msys_track.options.tracking import PATTERNS, TrackingOptions

_BOOLEAN: Final = {"type": "boolean"}
_SCHEME: Final = {"type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?$"}
_LABEL: Final = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN: Final = {
    "type": "string",
    "pattern": rf"^({_LABEL}(\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(:(?!0+$){PORT_PATTERN})?$",
}
_EXPIRY: Final = {"type": "integer", "minimum": 1, "maximum": 4_294_967_295}
_METADATA: Final = {"type": "integer", "minimum": 0, "maximum": 65_535}


def _key(field: str, text: str, json_schema: Mapping[str, Any] = _BOOLEAN) -> Key:
    return Key(
        settings=TrackingOptions,
        fields=(field,),
        kind=kinds.tracking_option(field, json_schema),
        text=text,
    )


SCOPE: Final[Mapping[str, Key]] = {
    "open_tracking_enabled": _key("open_tracking", "add an open pixel"),
    "click_tracking_enabled": _key("click_tracking", "wrap links"),
    "open_tracking_scheme": _key("open_tracking_scheme", "scheme of the pixels' URLs", _SCHEME),
    "click_tracking_scheme": _key(
        "click_tracking_scheme", "scheme of wrapped links, whatever that of their targets", _SCHEME
    ),
    "tracking_domain": _key(
        "tracking_domain", "where readers reach the tracker; written into links as it is", _DOMAIN
    ),
    "tracking_link_expiry": _key(
        "tracking_link_expiry_seconds", "how long after its mail a link leaves events", _EXPIRY
    ),
    "pathway": Key(
        settings=Scope,
        fields=("pathway",),
        kind=kinds.NAME,
        text="the pathway that mail of this scope is on; not for pathways and their groups",
        example="receipts",
        unset="none",
    ),
    "context": Key(
        settings=Scope,
        fields=("context",),
        kind=kinds.VARIABLES,
        text="context variables of the connection, which count as policy's",
        example={"smtpapi_campaign_id": "spring"},
        unset="none",
    ),
    "initial_open_pixel_tracking": _key(
        "initial_open", "add a second pixel at the top, where open tracking is on"
    ),
    "click_tracking_text": _key(
        "click_tracking_text",
        "wrap the links of the text/plain part too, whose readers then see the tracked URLs; "
        "Momentum does, so in `ecelerity.conf` the default is `true`",
    ),
    "outlook_links": _key(
        "outlook_links", "wrap links that only Outlook shows: VML, and conditional comments"
    ),
    "keep_link_attributes": _key(
        "keep_link_attributes",
        "leave `data-msys-…` attributes in; without them readers don't see what they say, but "
        "more than hrefs and pixels changes",
    ),
    "keep_x_msys_api": _key(
        "keep_x_msys_api", "leave X-MSYS-API in, with the addresses of its `bcc`"
    ),
    "signed_mail": _key(
        "signed_mail",
        "mail that arrives with a DKIM signature, which a changed byte breaks: leave it alone, "
        "take the signature off, or track it all the same",
        {"enum": ["skip", "strip", "track"]},
    ),
    "never_wrap": Key(
        settings=TrackingOptions,
        fields=("never_wrap",),
        kind=kinds.array(kinds.PATTERN, PATTERNS),
        text="targets that stay as they are; `*` stands for any characters",
    ),
}
ENGAGEMENT_TRACKER: Final[Mapping[str, Key]] = {
    "click_tracking_include_metadata": _key(
        "click_tracking_include_metadata", "metadata in click links too; open links always have it"
    ),
    "max_metadata_len": _key(
        "max_metadata_bytes",
        "metadata in a link; what does not fit is left out, whole pairs at a time",
        _METADATA,
    ),
}
