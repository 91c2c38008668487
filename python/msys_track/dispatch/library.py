"""The library: one call rewrites a message, a page of HTML, or a text."""

import base64
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from email.generator import BytesGenerator
from email.message import Message as StandardMessage
from functools import lru_cache
from io import BytesIO
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias, TypedDict, TypeVar, Unpack, cast

from msys_track.dispatch.copies import Copy
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.dispatch.hook import OnLink
from msys_track.dispatch.inputs import make_engagement, make_rules, make_urls
from msys_track.dispatch.message import OpenedMessage
from msys_track.dispatch.recipients import Reader
from msys_track.errors import MessageError, SettingsError
from msys_track.keys.ring import KeyRing
from msys_track.options.arguments import Arguments, check_arguments
from msys_track.options.resolve import resolve
from msys_track.options.scopes import Scope, Scopes
from msys_track.options.tracking import TrackingOptions
from msys_track.rewriting.engine import Engine
from msys_track.rewriting.stream import HtmlRewriter
from msys_track.smtp.path import check_recipients
from msys_track.smtpapi.header import ApiHeader

MessageSource: TypeAlias = bytes | bytearray | memoryview | StandardMessage
"""A whole message: its bytes (RFC 5322), line breaks CRLF or LF; or `email`'s object of one."""

Text = TypeVar("Text", str, bytes)

_MARKUP: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|!--|[a-z])", re.IGNORECASE)
_STARTS_OF_MARKUP: Final = frozenset(b"<" + b" \t\r\n\f" + b"\xef")
_LAST_SECOND: Final = 253_402_300_799  # of the year 9999
_CHARSET: Final = re.compile(r"[A-Za-z0-9._:+-]{1,64}")


class EngagementArguments(TypedDict, total=False):
    """Engagement data of a call. They stand before what `X-MSYS-API` says of the same.

    Attributes:
        campaign_id: at most 64 bytes of UTF-8.
        metadata: a JSON object; each event has it.
        tags: the first ten different ones; each event has them.
        subaccount_id: from 0 to 4,294,967,295.
    """

    campaign_id: str | None
    metadata: Mapping[str, Any] | None
    tags: Sequence[str] | None
    subaccount_id: int | None


class RewriteArguments(EngagementArguments, total=False):
    """What each function takes by keyword, beside the recipient and the keys.

    Attributes:
        options: what is tracked, and how; None means that nothing is.
        on_link: decides about each link that may be wrapped.
        engine: the engine, or its name: `native` is the compiled core, `reference` pure Python.
        now: the injection time in Unix seconds; None means the present.
    """

    options: TrackingOptions | None
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
        MessageError: it is not a message: HTML without a header section, or a `str`.
        RecipientError: the recipient is not a mail address alone.
        SettingsError: engagement data that no link can carry.
        HeaderRefusedError: `X-MSYS-API` is malformed.
    """
    call = _read_arguments(keys, arguments)
    return call.dispatcher.message_for(
        recipient, _read_message(message), now=call.now, arguments=call.engagement
    )


def rewrite_all(
    message: MessageSource,
    recipients: Iterable[str],
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
        MessageError: it is not a message: HTML without a header section, or a `str`.
        RecipientError: a recipient is not a mail address alone.
        SettingsError: engagement data that no link can carry.
        HeaderRefusedError: `X-MSYS-API` is malformed.
    """
    call = _read_arguments(keys, arguments)
    return call.dispatcher.copies(
        _read_message(message),
        _list_recipients(recipients),
        now=call.now,
        arguments=call.engagement,
    )


def rewrite_html(
    html: Text,
    *,
    recipient: str,
    keys: KeyRing,
    charset: str | None = None,
    **arguments: Unpack[RewriteArguments],
) -> Text:
    """Wrap the links of an HTML document or fragment, and add a pixel.

    The same as for the HTML part of a mail, but that no line has a limit. `open_page` does it in
    chunks, for documents that don't fit into memory.

    Args:
        html: text, or bytes.
        recipient: the address that opens and clicks are counted for, without a name.
        keys: seals the links; the tracker needs the same ring.
        charset: of bytes; None means UTF-8, and windows-1252 for what is not UTF-8.
        arguments: see `RewriteArguments`.

    Raises:
        RecipientError: the recipient is not a mail address alone.
        SettingsError: engagement data that no link can carry, or a charset that is not a name.
        MessageError: neither text nor bytes.
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
        SettingsError: engagement data that no link can carry, or a charset that is not a name.
        MessageError: neither text nor bytes.
        UnicodeEncodeError: the text has half of a surrogate pair.
    """
    options = _check_options(arguments.get("options"))
    if options is not None:
        arguments["options"] = replace(options, click_tracking_text=True)
    call = _read_arguments(keys, arguments)
    return cast("Text", _rewrite_body("text/plain", text, recipient, charset, call))


def open_page(
    *,
    recipient: str,
    keys: KeyRing,
    options: TrackingOptions | None = None,
    charset: str | None = None,
    now: int | None = None,
    **arguments: Unpack[EngagementArguments],
) -> HtmlRewriter:
    """Begin the copy of an HTML document for one recipient, which goes by in chunks.

    Args:
        recipient: the address that opens and clicks are counted for, without a name.
        keys: seals the links; the tracker needs the same ring.
        options: what is tracked, and how; None means that nothing is.
        charset: the document's encoding; None if nothing names it.
        now: the injection time in Unix seconds; None means the present.
        arguments: see `EngagementArguments`.

    Raises:
        RecipientError: the recipient is not a mail address alone.
        SettingsError: engagement data that no link can carry, or a charset that is not a name.
    """
    check_recipients((recipient,))
    _check_charset(charset)
    layers = _make_scopes(_check_options(options)).layers(None, None)
    resolved = resolve(layers, arguments=check_arguments(**arguments))
    engagement = make_engagement(resolved, Reader(recipient, "to"), now=_find_time(now))
    return HtmlRewriter(
        keys=_check_keys(keys),
        engagement=engagement,
        urls=make_urls(resolved),
        rules=make_rules(resolved),
        charset=charset,
    )


class Message:
    """A message whose header is read, and whose links are found once for many recipients.

    `Rewriter.open` makes it. Threads may share it; it can't be pickled.
    """

    __slots__ = ("_opened",)

    def __init__(self, _opened: OpenedMessage, /) -> None:
        self._opened = _opened

    @property
    def header(self) -> ApiHeader | None:
        """What its `X-MSYS-API` asks for; None when it has none."""
        return self._opened.header

    def __repr__(self) -> str:
        return f"<Message of {len(self._opened.message):,} bytes>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Message can't be pickled or copied; pickle the bytes it was made from, and open "
            "them again"
        )


class Rewriter:
    """Makes copies with one key ring, one set of options, one engine and one hook.

    Threads may share it, and so may the children of a fork. It can't be pickled, because a pickle
    would carry the keys: make one in each process.

    Args:
        keys: seals the links; the tracker needs the same ring.
        options: what is tracked, and how; None means that nothing is.
        on_link: decides about each link that may be wrapped; None for none.
        engine: the engine, or its name: `native` is the compiled core, `reference` pure Python.

    Raises:
        SettingsError: an argument is of another type, or there is no such engine.
    """

    __slots__ = ("_dispatcher",)

    def __init__(
        self,
        *,
        keys: KeyRing,
        options: TrackingOptions | None = None,
        on_link: OnLink | None = None,
        engine: Engine | str = "native",
    ) -> None:
        self._dispatcher = _make_dispatcher(keys, options, engine, on_link)

    def open(self, message: MessageSource) -> Message:
        """Read a message for many recipients; its links are found when the first copy is made.

        Raises:
            MessageError: it is not a message: HTML without a header section, or a `str`.
            HeaderRefusedError: `X-MSYS-API` is malformed.
        """
        return Message(self._dispatcher.open(_read_message(message)))

    def copy_for(
        self,
        recipient: str,
        message: MessageSource | Message,
        *,
        now: int | None = None,
        **arguments: Unpack[EngagementArguments],
    ) -> Copy:
        """Make the copy of a message for one recipient, as if it were the only one.

        Args:
            recipient: the address that opens and clicks are counted for, without a name.
            message: a whole message; or an opened one, so that it is read once for many.
            now: the injection time in Unix seconds; None means the present.
            arguments: see `EngagementArguments`; each recipient may have others.

        Raises:
            MessageError: it is not a message: HTML without a header section, or a `str`.
            RecipientError: the recipient is not a mail address alone.
            SettingsError: engagement data that no link can carry.
            HeaderRefusedError: `X-MSYS-API` is malformed.
        """
        opened = message._opened if isinstance(message, Message) else _read_message(message)  # noqa: SLF001
        engagement = check_arguments(**arguments)
        return self._dispatcher.copy_for(
            recipient, opened, now=_find_time(now), arguments=engagement
        )

    def copies(
        self,
        message: MessageSource,
        recipients: Iterable[str],
        *,
        now: int | None = None,
        **arguments: Unpack[EngagementArguments],
    ) -> tuple[Copy, ...]:
        """Make the copy of each reader: of the recipients, and of those that `X-MSYS-API` names.

        Args:
            message: a whole message; it is read once.
            recipients: mail addresses without names, each once.
            now: the injection time in Unix seconds; None means the present.
            arguments: see `EngagementArguments`.

        Raises:
            MessageError: it is not a message: HTML without a header section, or a `str`.
            RecipientError: a recipient is not a mail address alone.
            SettingsError: engagement data that no link can carry.
            HeaderRefusedError: `X-MSYS-API` is malformed.
        """
        engagement = check_arguments(**arguments)
        return self._dispatcher.copies(
            _read_message(message),
            _list_recipients(recipients),
            now=_find_time(now),
            arguments=engagement,
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Rewriter can't be pickled or copied: a pickle would carry the keys; make one in "
            "each process"
        )


def _rewrite_body(
    media_type: str, body: str | bytes, recipient: str, charset: str | None, call: "_Call"
) -> str | bytes:
    _check_charset(charset)
    if isinstance(body, str):
        charset = "utf-8"
    elif not isinstance(body, bytes | bytearray | memoryview):
        raise MessageError(f"found {type(body).__name__}; give text or bytes")
    parameter = "" if charset is None else f"; charset={charset}"
    # In base64, because lines of every other encoding have a limit.
    head = f"Content-Type: {media_type}{parameter}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    content = body.encode("utf-8") if isinstance(body, str) else body
    message = head.encode("ascii") + base64.encodebytes(content)
    made = call.dispatcher.message_for(recipient, message, now=call.now, arguments=call.engagement)
    rewritten = base64.b64decode(made[len(head) :])
    return rewritten.decode("utf-8") if isinstance(body, str) else rewritten


def _read_message(message: MessageSource) -> bytes:
    source = message if type(message) is bytes else _write_message(message)
    if source and source[0] in _STARTS_OF_MARKUP and _MARKUP.match(source):
        raise MessageError(
            "this is HTML without a header section, not a message; rewrite_html takes it"
        )
    return source


def _write_message(message: MessageSource) -> bytes:
    if isinstance(message, bytes | bytearray | memoryview):
        return bytes(message)
    if isinstance(message, StandardMessage):
        # As smtplib sends it: CRLF, and lines that are folded as the message's own policy says.
        # Not `as_bytes`, which takes other arguments in Django's classes.
        written = BytesIO()
        policy = message.policy.clone(linesep="\r\n")
        BytesGenerator(written, mangle_from_=False, policy=policy).flatten(message)
        return written.getvalue()
    raise MessageError(
        f"found {type(message).__name__}, which is not a message; give its bytes or an "
        "email.message.EmailMessage"
    )


class _Call(NamedTuple):
    dispatcher: Dispatcher
    engagement: Arguments | None
    now: int


def _read_arguments(keys: KeyRing, arguments: RewriteArguments) -> _Call:
    options, on_link = arguments.pop("options", None), arguments.pop("on_link", None)
    engine, now = arguments.pop("engine", "native"), arguments.pop("now", None)
    return _Call(
        _make_dispatcher(keys, options, engine, on_link),
        check_arguments(**cast("EngagementArguments", arguments)) if arguments else None,
        _find_time(now),
    )


def _find_time(now: int | None) -> int:
    if now is None:
        return int(time.time())
    if type(now) is not int or not 0 <= now <= _LAST_SECOND:
        raise SettingsError(
            f"now: found {now!r}; give Unix seconds, a whole number up to year 9999"
        )
    return now


def _list_recipients(recipients: Iterable[str]) -> Sequence[str]:
    # An iterator would be at its end after the check. The check refuses a text.
    return recipients if isinstance(recipients, str) else tuple(recipients)


def _make_dispatcher(
    keys: KeyRing, options: TrackingOptions | None, engine: Engine | str, on_link: OnLink | None
) -> Dispatcher:
    _check_keys(keys)
    _check_options(options)
    if on_link is not None and not callable(on_link):
        raise SettingsError(f"on_link: found {on_link!r}; give a function that takes a Link")
    if on_link is None:
        return _find_dispatcher(keys, options, engine)  # type: ignore[arg-type]
    # Not kept: programs write hooks as functions inside functions.
    scopes = _make_scopes(options)
    return Dispatcher(keys=keys, scopes=scopes, engine=engine, on_link=on_link)


# Callers have many messages under few configurations.
@lru_cache(maxsize=16)
def _find_dispatcher(
    keys: KeyRing, options: TrackingOptions | None, engine: Engine | str
) -> Dispatcher:
    return Dispatcher(keys=keys, scopes=_make_scopes(options), engine=engine)


@lru_cache(maxsize=16)
def _make_scopes(options: TrackingOptions | None) -> Scopes:
    return Scopes(listener=Scope(name="options", options=options or TrackingOptions()))


def _check_keys(keys: KeyRing) -> KeyRing:
    if isinstance(keys, KeyRing):
        return keys
    raise SettingsError(
        f'keys: found {type(keys).__name__}; give a KeyRing, such as KeyRing.load("keys.toml")'
    )


def _check_charset(charset: object) -> None:
    if charset is not None and not (isinstance(charset, str) and _CHARSET.fullmatch(charset)):
        raise SettingsError(f"charset: found {charset!r}; give a name such as utf-8")


def _check_options(options: TrackingOptions | None) -> TrackingOptions | None:
    if options is None or isinstance(options, TrackingOptions):
        return options
    raise SettingsError(
        f"options: found {type(options).__name__}; give TrackingOptions, such as "
        "TrackingOptions(click_tracking=True)"
    )
