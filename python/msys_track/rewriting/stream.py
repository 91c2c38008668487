"""Tracks an HTML document of any length while it goes by: in chunks, with little memory."""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import NoReturn

from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.rewriting.engine import LeftAlone
from msys_track.rewriting.engines import import_native
from msys_track.rewriting.rules import Rules

__all__ = ["HtmlRewriter"]

_DEFAULT_RULES = Rules()


class HtmlRewriter:
    """Wraps the links of one HTML document and adds the pixel, chunk by chunk.

    The bytes are those that the rewriting of the whole document gives, however it is cut; what is
    held back between two chunks is never more than 272 KiB. The compiled core does the work.

    Nothing is lost: what can't be tracked goes through as it is, with its reason in `left_alone`
    and `reasons`. One thread at a time may use it; another is refused with a `RuntimeError`.

    Args:
        keys: seals the links; the tracker needs the same ring.
        engagement: what all links say, and what is tracked: `open_tracking`, `click_tracking`,
            `initial_pixel`.
        urls: where the links lead.
        rules: what may be touched. `signed_mail`, `text_links`, `fold_long_lines` and
            `strip_text_options` have no effect: they are about mail.
        charset: the document's encoding, as the Encoding Standard or IANA names it; None if
            nothing says it. Then bytes above 127 are read as UTF-8 where they are UTF-8, else as
            windows-1252. A charset that can't be tracked is a reason, not an error.

    Example:
        ```python
        rewriter = HtmlRewriter(keys=keys, engagement=engagement, urls=urls)
        with open("page.html", "rb") as page, open("tracked.html", "wb") as tracked:
            while chunk := page.read(65_536):
                tracked.write(rewriter.write(chunk))
            tracked.write(rewriter.end())
        ```
    """

    __slots__ = ("_stream",)

    def __init__(
        self,
        *,
        keys: KeyRing,
        engagement: Engagement,
        urls: TrackedUrls,
        rules: Rules = _DEFAULT_RULES,
        charset: str | None = None,
    ) -> None:
        import_native()  # says what to do where it is missing
        from msys_track.rewriting.native import open_html_stream  # noqa: PLC0415

        self._stream = open_html_stream(keys, engagement, urls, rules, charset)

    def write(self, chunk: bytes | bytearray | memoryview) -> bytes:
        """Take the next bytes of the document, and return those that can't change any more.

        Raises:
            TypeError: `chunk` is not bytes.
            ValueError: `end()` was called.
            RuntimeError: another thread is in `write()` or `end()`.
        """
        if isinstance(chunk, str):
            raise TypeError("write() takes bytes, not str: encode it, and name the charset")
        return self._stream.write(chunk if isinstance(chunk, bytes) else bytes(memoryview(chunk)))

    def end(self) -> bytes:
        """Return what was held back; the document is complete.

        Raises:
            ValueError: `end()` was called before.
            RuntimeError: another thread is in `write()` or `end()`.
        """
        return self._stream.end()

    async def rewrite(
        self, chunks: AsyncIterable[bytes | bytearray | memoryview]
    ) -> AsyncIterator[bytes]:
        """Rewrite the document that `chunks` yields; no chunk that comes out is empty.

        Example:
            ```python
            async for piece in rewriter.rewrite(response.content):
                writer.write(piece)
            ```

        Raises:
            TypeError: a chunk is not bytes.
            ValueError: `end()` was called.
        """
        async for chunk in chunks:
            if piece := self.write(chunk):
                yield piece
        if piece := self.end():
            yield piece

    @property
    def wrapped_links(self) -> int:
        """How many links were wrapped so far."""
        return self._stream.wrapped_links

    @property
    def pixels(self) -> int:
        """How many pixels were added so far."""
        return self._stream.pixels

    @property
    def without_metadata(self) -> int:
        """How many links and pixels had no room for the metadata."""
        return self._stream.without_metadata

    @property
    def left_alone(self) -> Sequence[LeftAlone]:
        """The first links and places that stayed as they were; offsets are the document's.

        At most 1,000, and of targets at most 128 KiB, so that memory has a bound; `reasons` counts
        all of them.
        """
        return self._stream.left_alone

    @property
    def reasons(self) -> dict[str, int]:
        """How often something was left alone so far, by the code of its `Reason`."""
        return dict(self._stream.reasons)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an HtmlRewriter can't be pickled or copied: it is in the middle of a document; "
            "make another one from the same keys, engagement, urls and rules"
        )
