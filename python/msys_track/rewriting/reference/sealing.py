"""Sealing: the URLs that fill the places of a plan for one recipient."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from msys_track.keys.plain.encoding import (
    ClaimsError,
    Position,
    add_extensions,
    encode_engagement,
    encode_link,
)
from msys_track.keys.plain.ring import KeyRing, measure_path
from msys_track.keys.ring import Engagement, TrackedUrls
from msys_track.reasons import Reason
from msys_track.rewriting.reference import links
from msys_track.rewriting.reference.left_alone import LeftAloneError
from msys_track.rewriting.reference.plan import Href, LinkKind, Pixel, PlannedMessage

if TYPE_CHECKING:
    from msys_track.keys.plain.values import Engagement as PlainEngagement
    from msys_track.keys.plain.values import LinkPart

MAX_URL: Final = 4096
"""Trackers refuse a longer target, and some clients cut a longer URL."""


class Sealer:
    """Makes tracked URLs for one recipient."""

    def __init__(
        self, planned: PlannedMessage, keys: KeyRing, engagement: Engagement, urls: TrackedUrls
    ) -> None:
        self._planned = planned
        self._keys = keys
        self._urls = urls
        self._has_metadata = engagement.metadata is not None
        said = cast("PlainEngagement", engagement)  # the core's has the same attributes
        self._whole = encode_engagement(said)
        self._bare = encode_engagement(said, with_metadata=False)
        self._positions = _number_links(planned)
        self.links_without_metadata: list[int] = []
        self.pixels_without_metadata: list[str] = []

    @property
    def wraps_amp(self) -> bool:
        """Whether links of AMP are wrapped: those of http would make it invalid."""
        return self._urls.click_scheme.lower() != "http"

    def make_link(self, href: Href, room: int) -> bytes:
        """Return the URL of a wrapped link.

        Raises:
            LeftAloneError: why there is none.
        """
        link = self._planned.links[href.number]
        scheme = self._choose_scheme(link.target)
        if link.where == "amp" and scheme != "https":
            raise LeftAloneError(Reason.AMP_NEEDS_HTTPS)
        prefix = "f/a" if link.sublink is None else f"f/{link.sublink}"
        claims = _encode_link(link.kind, link.target, link.name)
        sealed = self._seal(
            f"{scheme}://{self._urls.domain}/",
            prefix,
            claims,
            room,
            wants_metadata=self._urls.click_metadata,
            position=self._positions[href.number],
            is_in_comment=href.is_in_comment,
        )
        if sealed.lacks_metadata:
            self.links_without_metadata.append(href.number)
        return sealed.url

    def make_pixel(self, pixel: Pixel, room: int) -> bytes:
        """Return the URL of a pixel.

        Raises:
            LeftAloneError: why there is none.
        """
        scheme = self._urls.open_scheme.lower()
        if pixel.kind.startswith("amp") and scheme != "https":
            raise LeftAloneError(Reason.AMP_NEEDS_HTTPS)
        base = f"{scheme}://{self._urls.domain}/"
        claims = encode_link(pixel.kind, None, None)
        sealed = self._seal(base, "q", claims, room, wants_metadata=True)
        if sealed.lacks_metadata:
            self.pixels_without_metadata.append(pixel.kind)
        return sealed.url

    def _choose_scheme(self, target: str) -> str:
        urls = self._urls
        if links.leads_to_tracker(target, urls.domain):
            raise LeftAloneError(Reason.ALREADY_TRACKED)
        scheme = urls.click_scheme.lower()
        if scheme == "same":
            return "https" if links.is_secure(target) else "http"
        if scheme == "http" and links.is_secure(target) and not urls.allow_downgrade:
            raise LeftAloneError(Reason.SCHEME_DOWNGRADE)
        return scheme

    def _seal(  # noqa: PLR0913 - all that a URL depends on
        self,
        base: str,
        prefix: str,
        claims: bytes | None,
        room: int,
        *,
        wants_metadata: bool,
        position: Position | None = None,
        is_in_comment: bool = False,
    ) -> "_Sealed":
        limit = max(min(room, MAX_URL) - len(base), 0)
        blocks = []
        if wants_metadata or not self._has_metadata:
            blocks.append(self._whole)
        if self._has_metadata:
            # A URL that is too long with metadata may fit without: the click is worth more.
            blocks.append(self._bare)
        for block in blocks:
            if claims is None:  # more than any URL holds
                break
            path = self._seal_path(
                prefix,
                block,
                claims,
                limit=limit,
                position=position,
                is_in_comment=is_in_comment,
            )
            if path is not None:
                lacks = wants_metadata and self._has_metadata and block is self._bare
                return _Sealed((base + path).encode("ascii"), lacks)
        raise LeftAloneError(Reason.LINE_TOO_LONG if room < MAX_URL else Reason.URL_TOO_LONG)

    def _seal_path(  # noqa: PLR0913 - see above
        self,
        prefix: str,
        block: bytes,
        claims: bytes,
        *,
        limit: int,
        position: Position | None,
        is_in_comment: bool,
    ) -> str | None:
        for salt in (None, *range(256)):
            plaintext = add_extensions(block, salt=salt, position=position) + claims
            if measure_path(prefix, len(plaintext)) > limit:
                return None
            path = self._keys.seal_bytes(prefix, plaintext)
            token = path.rpartition("/")[2]
            # Two dashes end a comment in XML, and so may one if another follows.
            if not is_in_comment or not ("--" in token or token.endswith("-")):
                return path
        raise LeftAloneError(Reason.CORE_FAILURE)


@dataclass(frozen=True, slots=True)
class _Sealed:
    url: bytes
    lacks_metadata: bool


def _encode_link(kind: LinkKind, target: str, name: str | None) -> bytes | None:
    try:
        return encode_link(kind, target, name)
    except ClaimsError:
        return None


def _number_links(planned: PlannedMessage) -> list[Position]:
    counts: dict[LinkPart, int] = {}
    positions = []
    for link in planned.links:
        part: LinkPart = "html" if link.where == "outlook" else link.where
        counts[part] = counts.get(part, 0) + 1
        positions.append((counts[part], part))
    return positions
