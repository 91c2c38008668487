"""Engagement tracking for mail injected over SMTP.

```python
from msys_track import KeyRing, TrackingOptions, rewrite

keys = KeyRing.load("keys.toml")
options = TrackingOptions(
    open_tracking=True,
    click_tracking=True,
    tracking_domain="click.example.com",
    open_tracking_scheme="https",
    click_tracking_scheme="https",  # "http", the default, makes http links of https ones
)
tracked = rewrite(message, recipient="jo@example.com", options=options, keys=keys)
```
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from msys_track.dispatch.copies import Copy
    from msys_track.dispatch.hook import LinkChange, OnLink
    from msys_track.dispatch.library import (
        EngagementArguments,
        Message,
        MessageSource,
        RewriteArguments,
        Rewriter,
        open_page,
        rewrite,
        rewrite_all,
        rewrite_html,
        rewrite_text,
    )
    from msys_track.dispatch.recipients import Reader
    from msys_track.errors import (
        HeaderRefusedError,
        InvalidTokenError,
        KeyRingError,
        MessageError,
        RecipientError,
        RewriteError,
        SettingsError,
        SinkError,
        TrackingError,
        UpstreamError,
    )
    from msys_track.event_fields import EventType
    from msys_track.events import Event, Finding, LinkPosition, ReaderClass, Verdict
    from msys_track.keys.file import KeySource, NamedSource
    from msys_track.keys.link import open_link
    from msys_track.keys.ring import Claims, Engagement, KeyRing, TrackedUrls
    from msys_track.options.resolve import Origin, Resolved
    from msys_track.options.tracking import TrackingOptions
    from msys_track.options.variables import IgnoredVariable
    from msys_track.reasons import Reason
    from msys_track.rewriting.engine import (
        Engine,
        HeaderField,
        LeftAlone,
        Link,
        Part,
        Plan,
        Rendered,
    )
    from msys_track.rewriting.rules import Rules
    from msys_track.rewriting.stream import HtmlRewriter
    from msys_track.smtpapi.header import ApiHeader
    from msys_track.smtpapi.mailbox import Mailbox

    __version__: str

else:  # type checkers would take every name for a public one

    def __getattr__(name: str) -> Any:
        """Import the module that has a public name (PEP 562), once."""
        if name == "__version__":
            value = import_module("importlib.metadata").version("msys-track")
        elif name in _MODULES:
            value = getattr(import_module(_MODULES[name]), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


__all__ = [
    "ApiHeader",
    "Claims",
    "Copy",
    "Engagement",
    "EngagementArguments",
    "Engine",
    "Event",
    "EventType",
    "Finding",
    "HeaderField",
    "HeaderRefusedError",
    "HtmlRewriter",
    "IgnoredVariable",
    "InvalidTokenError",
    "KeyRing",
    "KeyRingError",
    "KeySource",
    "LeftAlone",
    "Link",
    "LinkChange",
    "LinkPosition",
    "Mailbox",
    "Message",
    "MessageError",
    "MessageSource",
    "NamedSource",
    "OnLink",
    "Origin",
    "Part",
    "Plan",
    "Reader",
    "ReaderClass",
    "Reason",
    "RecipientError",
    "Rendered",
    "Resolved",
    "RewriteArguments",
    "RewriteError",
    "Rewriter",
    "Rules",
    "SettingsError",
    "SinkError",
    "TrackedUrls",
    "TrackingError",
    "TrackingOptions",
    "UpstreamError",
    "Verdict",
    "__version__",
    "open_link",
    "open_page",
    "rewrite",
    "rewrite_all",
    "rewrite_html",
    "rewrite_text",
]

# Where each name is. A name's module is imported when the name is first asked for: a program that
# seals links loads no rewriting, and `import msys_track` loads nothing.
_NAMES: Final = {
    "msys_track.dispatch.copies": ("Copy",),
    "msys_track.dispatch.hook": ("LinkChange", "OnLink"),
    "msys_track.dispatch.library": (
        "EngagementArguments",
        "Message",
        "MessageSource",
        "RewriteArguments",
        "Rewriter",
        "open_page",
        "rewrite",
        "rewrite_all",
        "rewrite_html",
        "rewrite_text",
    ),
    "msys_track.dispatch.recipients": ("Reader",),
    "msys_track.errors": (
        "HeaderRefusedError",
        "InvalidTokenError",
        "KeyRingError",
        "MessageError",
        "RecipientError",
        "RewriteError",
        "SettingsError",
        "SinkError",
        "TrackingError",
        "UpstreamError",
    ),
    "msys_track.event_fields": ("EventType",),
    "msys_track.events": (
        "Event",
        "Finding",
        "LinkPosition",
        "ReaderClass",
        "Verdict",
    ),
    "msys_track.keys.file": ("KeySource", "NamedSource"),
    "msys_track.keys.link": ("open_link",),
    "msys_track.keys.ring": ("Claims", "Engagement", "KeyRing", "TrackedUrls"),
    "msys_track.options.resolve": ("Origin", "Resolved"),
    "msys_track.options.tracking": ("TrackingOptions",),
    "msys_track.options.variables": ("IgnoredVariable",),
    "msys_track.reasons": ("Reason",),
    "msys_track.rewriting.engine": (
        "Engine",
        "HeaderField",
        "LeftAlone",
        "Link",
        "Part",
        "Plan",
        "Rendered",
    ),
    "msys_track.rewriting.rules": ("Rules",),
    "msys_track.rewriting.stream": ("HtmlRewriter",),
    "msys_track.smtpapi.header": ("ApiHeader",),
    "msys_track.smtpapi.mailbox": ("Mailbox",),
}
_MODULES: Final = {name: module for module, names in _NAMES.items() for name in names}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
