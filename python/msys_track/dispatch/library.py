"""The functions of the library: one call rewrites a message, a page of HTML, or a text."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from email.message import EmailMessage
from email.policy import SMTP
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias, TypedDict, TypeVar, Unpack, cast

from msys_track.dispatch.copies import Copy
from msys_track.dispatch.hook import OnLink
from msys_track.dispatch.rewriter import Rewriter
from msys_track.errors import MessageError, SettingsError
from msys_track.keys.ring import KeyRing
from msys_track.options.arguments import Arguments, check_arguments
from msys_track.options.tracking import TrackingOptions
from msys_track.rewriting.engine import Engine

MessageSource: TypeAlias = bytes | bytearray | memoryview | EmailMessage
"""A whole message: its bytes (RFC 5322), line breaks CRLF or LF; or what has such bytes."""

Text = TypeVar("Text", str, bytes)

_MARKUP: Final = re.compile(rb"\s*<(?:!doctype|!--|[a-z])", re.IGNORECASE)
_CHARSET: Final = re.compile(r"[A-Za-z0-9._:+-]{1,64}")


class RewriteArguments(TypedDict, total=False):
    """What each function takes by keyword, beside the recipient and the keys.

    Attributes:
        options: what is tracked, and how; None means that nothing is.
        campaign_id: at most 64 bytes of UTF-8.
        metadata: a JSON object; each event has it.
        tags: the first ten different ones; each event has them.
        subaccount_id: from 0 to 4,294,967,295.
        on_link: decides about each link that may be wrapped.
        engine: the engine, or its name: `native` is the compiled core, `reference` pure Python.
        now: the injection time in Unix seconds; None means the present.
    """

    options: TrackingOptions | None
    campaign_id: str | None
    metadata: Mapping[str, Any] | None
    tags: Sequence[str] | None
    subaccount_id: int | None
    on_link: OnLink | None
    engine: Engine | str
    now: int | None


def rewrite(
    message: MessageSource, *, recipient: str, keys: KeyRing, **arguments: Unpack[RewriteArguments]
) -> bytes:
    """Make the copy of a message for one recipient: its links wrapped, a pixel added.

    `options` decide what is tracked, and the message's own `X-MSYS-API` header overrides them and
    is removed. Without either, or if it can't be rewritten, the message comes back as it is.
    `rewrite_all` also says what was done and why.

    Args:
        message: a whole message, its header section included.
        recipient: the address that opens and clicks are counted for, without a name.
        keys: seals the links; the tracker needs the same ring.
        arguments: see `RewriteArguments`. What they say of campaign, metadata and tags stands
            before X-MSYS-API.

    Raises:
        MessageError: it is HTML without a header section.
        RecipientError: the recipient is not a mail address alone.
        SettingsError: engagement data that no link can carry.
        HeaderRefusedError: `X-MSYS-API` is malformed.
    """
    source = message if type(message) is bytes else _read_message(message)
    if source[:1] in _STARTS_OF_MARKUP:
        _refuse_markup(source)
    call = _read_arguments(keys, arguments)
    return call.rewriter.copy_for(
        recipient, source, now=call.now, arguments=call.engagement
    ).message


def rewrite_all(
    message: MessageSource,
    recipients: Sequence[str],
    *,
    keys: KeyRing,
    **arguments: Unpack[RewriteArguments],
) -> tuple[Copy, ...]:
    """Make the copy of each reader: of the recipients, and of those that `X-MSYS-API` names.

    The message is read once. A copy tells its readers, its edits, and what was left alone.

    Args:
        message: a whole message, its header section included.
        recipients: mail addresses without names, each once.
        keys: seals the links; the tracker needs the same ring.
        arguments: see `RewriteArguments`.

    Raises:
        MessageError: it is HTML without a header section.
        RecipientError: a recipient is not a mail address alone.
        SettingsError: engagement data that no link can carry.
        HeaderRefusedError: `X-MSYS-API` is malformed.
    """
    source = _read_message(message)
    _refuse_markup(source)
    call = _read_arguments(keys, arguments)
    return call.rewriter.copies(source, recipients, now=call.now, arguments=call.engagement)


def rewrite_html(
    html: Text,
    *,
    recipient: str,
    keys: KeyRing,
    charset: str | None = None,
    **arguments: Unpack[RewriteArguments],
) -> Text:
    """Wrap the links of an HTML document or fragment, and add a pixel.

    The same as for the HTML part of a mail, but that no line has a limit. `HtmlRewriter` does it
    for documents that don't fit into memory.

    Args:
        html: text, or bytes.
        recipient: the address that opens and clicks are counted for, without a name.
        keys: seals the links; the tracker needs the same ring.
        charset: of bytes; None means UTF-8, and windows-1252 for what is not UTF-8.
        arguments: see `RewriteArguments`.

    Raises:
        RecipientError: the recipient is not a mail address alone.
        SettingsError: engagement data that no link can carry, or a charset that is no name.
        UnicodeEncodeError: the text has half of a surrogate pair.
    """
    call = _read_arguments(keys, arguments)
    return cast("Text", _rewrite_body("text/html", html, recipient, charset, call))


def rewrite_text(
    text: Text,
    *,
    recipient: str,
    keys: KeyRing,
    charset: str | None = None,
    **arguments: Unpack[RewriteArguments],
) -> Text:
    """Wrap the links of a plain text. `click_tracking_text` need not be set.

    Args:
        text: text, or bytes.
        recipient: the address that clicks are counted for, without a name.
        keys: seals the links; the tracker needs the same ring.
        charset: of bytes; None means UTF-8, and windows-1252 for what is not UTF-8.
        arguments: see `RewriteArguments`.

    Raises:
        RecipientError: the recipient is not a mail address alone.
        SettingsError: engagement data that no link can carry, or a charset that is no name.
        UnicodeEncodeError: the text has half of a surrogate pair.
    """
    options = arguments.get("options")
    if options is not None:
        arguments["options"] = replace(options, click_tracking_text=True)
    call = _read_arguments(keys, arguments)
    return cast("Text", _rewrite_body("text/plain", text, recipient, charset, call))


def _rewrite_body(
    media_type: str, body: str | bytes, recipient: str, charset: str | None, call: "_Call"
) -> str | bytes:
    if charset is not None and not _CHARSET.fullmatch(charset):
        raise SettingsError(f"charset: found {charset!r}; give a name such as utf-8")
    if isinstance(body, str):
        charset = "utf-8"
    parameter = "" if charset is None else f"; charset={charset}"
    head = f"Content-Type: {media_type}{parameter}\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    content = body.encode("utf-8") if isinstance(body, str) else body
    copy = call.rewriter.copy_for(
        recipient, head.encode("ascii") + content, now=call.now, arguments=call.engagement
    )
    rewritten = copy.message[len(head) :]
    return rewritten.decode("utf-8") if isinstance(body, str) else rewritten


_STARTS_OF_MARKUP: Final = frozenset({b"<", b" ", b"\t", b"\r", b"\n", b"\f"})


def _refuse_markup(message: bytes) -> None:
    if _MARKUP.match(message):
        raise MessageError(
            "this is HTML without a header section, not a message; rewrite_html takes it"
        )


def _read_message(message: MessageSource) -> bytes:
    if isinstance(message, EmailMessage):
        # As smtplib sends it: CRLF, and lines that are folded as the message's own policy says.
        return message.as_bytes(policy=message.policy.clone(linesep=SMTP.linesep))
    if isinstance(message, bytes | bytearray | memoryview):
        return bytes(message)
    raise MessageError(
        f"found {type(message).__name__}, which is not a message; give its bytes or an EmailMessage"
    )


class _Call(NamedTuple):
    rewriter: Rewriter
    engagement: Arguments | None
    now: int


def _read_arguments(keys: KeyRing, arguments: RewriteArguments) -> _Call:
    return _Call(*_split_arguments(keys, **arguments))


def _split_arguments(  # noqa: PLR0913 - the members of RewriteArguments
    keys: KeyRing,
    *,
    options: TrackingOptions | None = None,
    campaign_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
    subaccount_id: int | None = None,
    on_link: OnLink | None = None,
    engine: Engine | str = "native",
    now: int | None = None,
) -> tuple[Rewriter, Arguments | None, int]:
    rewriter = _make_rewriter(keys, options, engine, on_link)  # type: ignore[arg-type]
    engagement = check_arguments(
        campaign_id=campaign_id, metadata=metadata, tags=tags, subaccount_id=subaccount_id
    )
    return rewriter, engagement, int(time.time()) if now is None else now


# Callers have many messages under few configurations.
@lru_cache(maxsize=16)
def _make_rewriter(
    keys: KeyRing, options: TrackingOptions | None, engine: Engine | str, on_link: OnLink | None
) -> Rewriter:
    return Rewriter(keys=keys, options=options, engine=engine, on_link=on_link)
