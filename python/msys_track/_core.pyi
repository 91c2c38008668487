# The compiled core, as Python sees it: conversions only, no logic (`rust/python/`).

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, final

from msys_track.keys.ring import KeyRing as _KeyRing
from msys_track.rewriting.engine import HeaderField, LeftAlone, Plan
from msys_track.rewriting.recipe import Reader, WireCopy

__all__ = [
    "REASONS",
    "BareNewlineError",
    "Claims",
    "ClickPath",
    "Engagement",
    "HitLog",
    "HitLogLockedError",
    "HtmlStream",
    "KeyRing",
    "Pattern",
    "Recipe",
    "Rules",
    "TokenError",
    "TrackedUrls",
    "find_end_of_data",
    "header_fields",
    "normalize",
    "plan",
    "read_toml",
    "relax_body",
    "stuff",
    "unstuff",
]

_Kind: TypeAlias = Literal[
    "click",
    "open",
    "initial_open",
    "amp_click",
    "amp_open",
    "amp_initial_open",
    "list_unsubscribe",
    "link_unsubscribe",
]
_RecipientType: TypeAlias = Literal["to", "cc", "bcc", "archive"]
_Privacy: TypeAlias = Literal["full", "truncated", "aggregate"]
_LinkPart: TypeAlias = Literal["html", "text", "amp"]

# Each reason's code, and what it means as Markdown.
REASONS: Mapping[str, str]

class TokenError(Exception): ...

# Other processes write all hit logs that there may be.
class HitLogLockedError(OSError): ...

# args: (offset of the bare CR or LF in the wire bytes,)
class BareNewlineError(Exception): ...

@final
class Engagement:
    def __new__(
        cls,
        *,
        message_id: str,
        recipient: str,
        injected_at: int,
        expires_at: int,
        customer_id: int,
        transmission_id: int = 0,
        recipient_type: _RecipientType = "to",
        campaign_id: str | None = None,
        metadata: str | None = None,
        tags: Sequence[str] = ...,
        subaccount_id: int | None = None,
        open_tracking: bool = False,
        click_tracking: bool = False,
        initial_pixel: bool = False,
        amp_enabled: bool = False,
        transactional: bool = False,
        privacy: _Privacy = "full",
    ) -> Engagement: ...
    @property
    def message_id(self) -> str: ...
    @property
    def recipient(self) -> str: ...
    @property
    def injected_at(self) -> int: ...
    @property
    def expires_at(self) -> int: ...
    @property
    def transmission_id(self) -> int: ...
    @property
    def recipient_type(self) -> _RecipientType: ...
    @property
    def campaign_id(self) -> str | None: ...
    @property
    def metadata(self) -> str | None: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def customer_id(self) -> int: ...
    @property
    def subaccount_id(self) -> int | None: ...
    @property
    def open_tracking(self) -> bool: ...
    @property
    def click_tracking(self) -> bool: ...
    @property
    def initial_pixel(self) -> bool: ...
    @property
    def amp_enabled(self) -> bool: ...
    @property
    def transactional(self) -> bool: ...
    @property
    def privacy(self) -> _Privacy: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]: ...

@final
class Claims:
    def __new__(
        cls,
        *,
        kind: _Kind,
        engagement: Engagement,
        target: str | None = None,
        link_name: str | None = None,
        link_number: int | None = None,
        link_part: _LinkPart | None = None,
    ) -> Claims: ...
    @property
    def kind(self) -> _Kind: ...
    @property
    def target(self) -> str | None: ...
    @property
    def link_name(self) -> str | None: ...
    @property
    def link_number(self) -> int | None: ...
    @property
    def link_part(self) -> _LinkPart | None: ...
    @property
    def engagement(self) -> Engagement: ...
    def is_expired(self, now: float, /) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]: ...

@final
class KeyRing:
    def __new__(cls, keys: Sequence[tuple[int, bytes]], /) -> KeyRing: ...
    def seal(self, claims: Claims, /) -> str: ...
    def open(self, path: str, /) -> Claims: ...

@final
class ClickPath:
    # targets, recipients: one a line. hashes: 32 bytes each. They are read without the GIL.
    # limits: the longest target, all header fields, how many of them, requests of one read.
    def __new__(
        cls,
        hits: HitLog,
        *,
        keys: KeyRing,
        keys_by_host: Mapping[str, KeyRing],
        redirect_start: bytes,
        redirect_end: bytes,
        pixel_head: bytes,
        pixel_body: bytes,
        trusted: Sequence[str],
        limits: tuple[int, int, int, int],
        targets: str,
        recipients: str,
        hashes: bytes,
    ) -> Self: ...
    # The answer to a read and whether the connection ends with it; None: others answer.
    def answer(self, read: bytes, peer: str | None, at: int, /) -> tuple[bytes, bool] | None: ...
    # Clicks and opens since the last call.
    def take_counts(self) -> tuple[int, int]: ...

@final
class HitLog:
    # Raises HitLogLockedError; OSError: the folder can't be used.
    def __new__(
        cls, logs: Path, *, max_queued: int, batch_seconds: float, segment_bytes: int
    ) -> HitLog: ...
    def put_hit(
        self,
        claims: Claims,
        at: int,
        address: str | None = None,
        agent: str | None = None,
        language: str | None = None,
        request: str | None = None,
    ) -> bool: ...
    # Raises ValueError: an empty line, or several.
    def put_line(self, line: bytes, /) -> bool: ...
    def flush(self, timeout_seconds: float) -> bool: ...
    def close(self, timeout_seconds: float) -> int: ...
    def figures(self) -> dict[str, Any]: ...

@final
class Pattern:
    # Raises ValueError: it is no pattern; NotImplementedError: too large, or not in linear time.
    def __new__(cls, pattern: str, /) -> Pattern: ...
    @property
    def names(self) -> tuple[str | None, ...]: ...
    def find(self, subject: str, start: int, /) -> list[tuple[int, int] | None] | None: ...

@final
class TrackedUrls:
    def __new__(
        cls,
        *,
        domain: str,
        click_scheme: str,
        open_scheme: str,
        click_metadata: bool,
        allow_downgrade: bool = True,
    ) -> TrackedUrls: ...
    @property
    def domain(self) -> str: ...
    @property
    def click_scheme(self) -> str: ...
    @property
    def open_scheme(self) -> str: ...
    @property
    def click_metadata(self) -> bool: ...
    @property
    def allow_downgrade(self) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]: ...

@final
class Rules:
    def __new__(
        cls,
        *,
        signed_mail: Literal["skip", "strip", "track"],
        outlook_links: bool,
        text_links: bool,
        keep_link_attributes: bool,
        never_wrap: Sequence[str],
        fold_long_lines: bool,
        foreign_opt_outs: bool,
        spare_url_text: bool,
        strip_text_options: bool,
        pixel_placeholder: str | None,
    ) -> Rules: ...

@final
class Recipe:
    def __new__(
        cls,
        keys: _KeyRing,
        engagement: Engagement,
        urls: TrackedUrls,
        rules: Rules,
        /,
        *,
        drop_headers: Sequence[bytes],
        tracks_amp: bool,
        max_growth_bytes: int,
    ) -> Recipe: ...
    def rewrite(
        self, message: bytes, reader: Reader, insertions: Sequence[tuple[int, bytes]] = ..., /
    ) -> WireCopy: ...
    def rewrite_message(
        self, message: bytes, reader: Reader, insertions: Sequence[tuple[int, bytes]] = ..., /
    ) -> bytes: ...
    def render(
        self, plan: Plan, reader: Reader, insertions: Sequence[tuple[int, bytes]] = ..., /
    ) -> WireCopy: ...

@final
class HtmlStream:
    def __new__(
        cls,
        keys: _KeyRing,
        engagement: Engagement,
        urls: TrackedUrls,
        rules: Rules,
        charset: str | None,
    ) -> HtmlStream: ...
    def write(self, chunk: bytes) -> bytes: ...
    def end(self) -> bytes: ...
    @property
    def wrapped_links(self) -> int: ...
    @property
    def pixels(self) -> int: ...
    @property
    def without_metadata(self) -> int: ...
    @property
    def left_alone(self) -> tuple[LeftAlone, ...]: ...
    @property
    def reasons(self) -> list[tuple[str, int]]: ...

def plan(message: bytes, rules: Rules, /, *, drop_headers: Sequence[bytes] = ...) -> Plan: ...
def header_fields(message: bytes, name: bytes, /) -> list[HeaderField]: ...
def find_end_of_data(buffer: bytes, start: int, /) -> int | None: ...
def relax_body(wire: bytes, start: int, /) -> bytes: ...
def unstuff(wire: bytes, /) -> bytes: ...
def stuff(message: bytes, /) -> bytes: ...
def normalize(wire: bytes, /) -> bytes: ...
def read_toml(
    text: str, /
) -> tuple[
    dict[str, object],
    dict[tuple[str | int, ...], int],
    list[tuple[int, tuple[str, ...], str, tuple[str, ...] | None]],
]: ...
