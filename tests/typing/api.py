"""Every public name as a program uses it. Nothing runs this: mypy reads it."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Literal, assert_type

from msys_track import (
    ApiHeader,
    Claims,
    Copy,
    Engagement,
    EngagementArguments,
    Engine,
    Event,
    EventType,
    Finding,
    HeaderField,
    HeaderRefusedError,
    HtmlRewriter,
    IgnoredVariable,
    InvalidTokenError,
    KeyRing,
    KeyRingError,
    KeySource,
    LeftAlone,
    Link,
    LinkChange,
    LinkPosition,
    Mailbox,
    Message,
    MessageError,
    MessageSource,
    NamedSource,
    OnLink,
    Origin,
    Part,
    Plan,
    Reader,
    ReaderClass,
    Reason,
    RecipientError,
    Rendered,
    Resolved,
    RewriteArguments,
    RewriteError,
    Rewriter,
    Rules,
    SettingsError,
    SinkError,
    TrackedUrls,
    TrackingError,
    TrackingOptions,
    UpstreamError,
    Verdict,
    __version__,
    open_link,
    open_page,
    rewrite,
    rewrite_all,
    rewrite_html,
    rewrite_text,
)
from msys_track.tracking.asgi import TrackerApp

NOW = 1_795_510_800


def rewrite_in_one_call(message: bytes) -> bytes:
    return rewrite(message, recipient="jo@example.com", keys=KeyRing.temporary())


def one_recipient(message: bytes, keys: KeyRing) -> bytes:
    options = TrackingOptions(
        open_tracking=True,
        click_tracking=True,
        open_tracking_scheme="https",
        click_tracking_scheme="https",
        tracking_domain="click.example.com:8443",
        tracking_link_expiry_seconds=86_400,
        click_tracking_include_metadata=True,
        max_metadata_bytes=1_000,
    )
    return assert_type(
        rewrite(
            message, recipient="jo@example.com", options=options, keys=keys, now=1_795_510_800
        ),
        bytes,
    )


def many_recipients(message: bytes, recipients: Sequence[str], keys: KeyRing) -> list[Copy]:
    rewriter = Rewriter(keys=keys, options=TrackingOptions(open_tracking=True))
    opened = assert_type(rewriter.open(message), Message)
    return [rewriter.copy_for(recipient, opened, now=NOW) for recipient in recipients]


def what_was_done(copy: Copy) -> None:
    assert_type(copy.message, bytes)
    assert_type(copy.message_id, str | None)
    assert_type(copy.edits, Sequence[tuple[int, int, bytes]])
    assert_type(copy.left_alone, Sequence[tuple[int, int, Reason]])
    assert_type(copy.wrapped_links, int)
    assert_type(copy.pixels, int)


def links(path: str) -> Claims:
    keys = KeyRing.load(Path("keys.toml"))
    engagement = Engagement(
        message_id="0123456789abcdef0123",
        recipient="jo@example.com",
        injected_at=NOW,
        expires_at=NOW + 31_536_000,
        customer_id=1,
        metadata='{"order":"4711"}',
        tags=["autumn"],
    )
    link = Claims(
        kind="click", engagement=engagement, target="https://example.com/", link_name="a"
    )
    sealed = assert_type(keys.seal(link), str)
    opened = assert_type(keys.open(f"/{sealed}"), Claims)
    assert_type(opened.engagement.recipient, str)
    assert_type(opened.target, str | None)
    return keys.open(path)


def what_can_go_wrong(message: bytes) -> str:
    try:
        rewrite_in_one_call(message)
    except HeaderRefusedError as refused:
        return f"{assert_type(refused.code, int)} {assert_type(refused.text, str)}"
    except UpstreamError as refused:
        return f"{assert_type(refused.code, int)} {assert_type(refused.text, str)}"
    except (KeyRingError, RecipientError, RewriteError, SettingsError) as error:
        return str(error)
    except (SinkError, InvalidTokenError) as error:
        return str(error)
    except TrackingError as error:
        return f"{error} (msys-track {assert_type(__version__, str)})"
    return Reason.TRACKING_OFF.value


def a_page_in_chunks(
    chunks: Iterable[bytes], keys: KeyRing, engagement: Engagement
) -> Iterator[bytes]:
    urls = TrackedUrls(
        domain="click.example.com", click_scheme="https", open_scheme="https", click_metadata=True
    )
    rewriter = HtmlRewriter(
        keys=keys, engagement=engagement, urls=urls, rules=Rules(outlook_links=False)
    )
    for chunk in chunks:
        yield assert_type(rewriter.write(chunk), bytes)
    yield rewriter.end()
    assert_type(rewriter.wrapped_links + rewriter.pixels + rewriter.without_metadata, int)
    assert_type(rewriter.reasons, dict[str, int])
    assert_type(
        [(each.offset, each.reason) for each in rewriter.left_alone], list[tuple[int, str]]
    )


async def an_async_page(rewriter: HtmlRewriter, chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in rewriter.rewrite(chunks)])


def several_forms(mail: EmailMessage, buffer: bytearray, keys: KeyRing) -> list[bytes]:
    sources: list[MessageSource] = [mail, buffer, memoryview(buffer), bytes(buffer)]
    return [rewrite(each, recipient="jo@example.com", keys=keys) for each in sources]


def bodies(keys: KeyRing) -> None:
    to = "jo@example.com"
    assert_type(rewrite_html("<a href='http://e.example/'>x</a>", recipient=to, keys=keys), str)
    assert_type(rewrite_html(b"<p>", recipient=to, keys=keys, charset="shift_jis"), bytes)
    assert_type(rewrite_text("http://e.example/", recipient=to, keys=keys, tags=["a"]), str)


def a_hook(link: Link) -> LinkChange | Literal[False] | None:
    assert_type((link.offset, link.length), tuple[int, int])
    if link.target.endswith(".pdf"):
        return False
    return LinkChange(name=link.name or "unnamed", target=f"{link.target}?utm_source=mail")


def hooked(message: bytes, recipients: Sequence[str], keys: KeyRing, engine: Engine) -> None:
    def keep(link: Link) -> LinkChange | None:
        return LinkChange(name="x") if link.kind == "click" else None

    on_link: OnLink = keep
    engagement: EngagementArguments = {"campaign_id": "spring", "metadata": {"user": 7}}
    arguments: RewriteArguments = {"engine": engine, "subaccount_id": 3, "on_link": a_hook}
    copies = rewrite_all(message, recipients, keys=keys, **arguments)
    rewriter = Rewriter(keys=keys, on_link=on_link, engine="reference")
    assert_type(rewriter.copies(message, recipients, **engagement), tuple[Copy, ...])
    assert_type(copies, tuple[Copy, ...])


def explained(copy: Copy) -> list[str]:
    readers: tuple[Reader, ...] = copy.readers
    resolved: Resolved | None = copy.resolved
    header: ApiHeader | None = copy.header
    lines = [f"{each.type}: {each.address}" for each in readers]
    if resolved is not None:
        scheme: Origin[Any] = resolved.open_tracking_scheme
        ignored: tuple[IgnoredVariable, ...] = resolved.ignored_variables
        lines += [f"{each.value} by {each.source}" for each in scheme.chain()]
        lines += [each.name for each in ignored]
    if header is not None:
        mailboxes: tuple[Mailbox, ...] = header.cc
        lines += [each.email for each in mailboxes]
    return lines


def planned(engine: Engine, message: bytes, keys: KeyRing, engagement: Engagement) -> bytes:
    fields: Sequence[HeaderField] = engine.header_fields(message, b"Subject")
    plan: Plan = engine.plan(message, Rules(), drop_headers=[b"Subject"] if fields else [])
    parts: Sequence[Part] = plan.parts
    left: Sequence[LeftAlone] = plan.left_alone
    assert len(parts) + len(left) > 0
    urls = TrackedUrls(
        domain="click.example.com", click_scheme="http", open_scheme="http", click_metadata=False
    )
    rendered: Rendered = plan.render(keys, engagement, urls)
    return rendered.message


def many_keys(source: KeySource) -> KeyRing:
    assert isinstance(source, Path | NamedSource)
    return KeyRing.load(source)


def an_event(url: str, keys: KeyRing) -> Event | None:
    claims = assert_type(open_link(url, keys), Claims)
    event = assert_type(Event.from_claims(claims, at=NOW), Event)
    position: LinkPosition | None = event.target_link_position
    return event if event.type is EventType.CLICK and position is not None else None


def who_made(event: Event) -> tuple[ReaderClass, tuple[Finding, ...]] | None:
    verdict: Verdict | None = event.verdict
    return None if verdict is None else (verdict.reader_class, verdict.findings)


def a_page(keys: KeyRing) -> HtmlRewriter:
    return open_page(recipient="jo@example.com", keys=keys, campaign_id="spring", charset="utf-8")


def what_is_not_a_message(text: bytes) -> str:
    try:
        return rewrite_in_one_call(text).decode()
    except MessageError as error:
        return str(error)


def a_tracker(keys: KeyRing) -> TrackerApp:
    async def on_event(event: Event) -> None:
        assert_type(event.fields(), dict[str, Any])

    return TrackerApp(keys, on_event)
