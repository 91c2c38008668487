"""Engagement tracking for mail injected over SMTP.

```python
from msys_track import KeyRing, TrackingOptions, rewrite

keys = KeyRing.load("keys.toml")
options = TrackingOptions(
    open_tracking=True, click_tracking=True, tracking_domain="click.example.com"
)
tracked = rewrite(message, recipient="jo@example.com", options=options, keys=keys)
```
"""

from importlib.metadata import version as _version

from msys_track.dispatch.copies import Copy
from msys_track.dispatch.library import rewrite
from msys_track.dispatch.message import Message
from msys_track.dispatch.rewriter import Rewriter
from msys_track.errors import (
    HeaderRefusedError,
    InvalidTokenError,
    KeyRingError,
    RecipientError,
    RewriteError,
    SettingsError,
    SinkError,
    TrackingError,
    UpstreamError,
)
from msys_track.keys.ring import Claims, Engagement, KeyRing, TrackedUrls
from msys_track.options.tracking import TrackingOptions
from msys_track.reasons import Reason
from msys_track.rewriting.rules import Rules
from msys_track.rewriting.stream import HtmlRewriter

__version__ = _version("msys-track")

__all__ = [
    "Claims",
    "Copy",
    "Engagement",
    "HeaderRefusedError",
    "HtmlRewriter",
    "InvalidTokenError",
    "KeyRing",
    "KeyRingError",
    "Message",
    "Reason",
    "RecipientError",
    "RewriteError",
    "Rewriter",
    "Rules",
    "SettingsError",
    "SinkError",
    "TrackedUrls",
    "TrackingError",
    "TrackingOptions",
    "UpstreamError",
    "__version__",
    "rewrite",
]
