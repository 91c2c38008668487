"""Every public name as a program uses it. Nothing runs this: mypy reads it."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import assert_type

from msys_track import (
    Claims,
    Copy,
    Engagement,
    HeaderRefusedError,
    HtmlRewriter,
    InvalidTokenError,
    KeyRing,
    KeyRingError,
    Message,
    Reason,
    RecipientError,
    RewriteError,
    Rewriter,
    Rules,
    SettingsError,
    SinkError,
    TrackedUrls,
    TrackingError,
    TrackingOptions,
    UpstreamError,
    __version__,
    rewrite,
)

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
    rewriter = Rewriter(keys=keys, options=TrackingOptions(open_tracking=True), source="here")
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
