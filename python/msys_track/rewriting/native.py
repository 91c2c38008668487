"""The compiled engine: the only way from Python to the bytes of a message."""

from collections.abc import Sequence
from functools import lru_cache

import msys_track._core as _core  # noqa: PLR0402 - names the module that is missing
from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.rewriting.engine import Plan
from msys_track.rewriting.recipe import Recipe
from msys_track.rewriting.rules import Rules

__all__ = ["NativeEngine", "open_html_stream"]


@lru_cache(maxsize=1024)
def _make_core_rules(rules: Rules) -> _core.Rules:
    return _core.Rules(**rules._asdict())


class NativeEngine:
    """The compiled core; its functions are those of `msys_track.rewriting.engine.Engine`."""

    __slots__ = ()

    header_fields = staticmethod(_core.header_fields)

    @staticmethod
    def plan(message: bytes, rules: Rules, /, *, drop_headers: Sequence[bytes] = ()) -> Plan:
        """Scan a message once.

        Raises:
            ValueError: a pattern of `never_wrap` is empty, or a rule has no such value.
        """
        return _core.plan(message, _make_core_rules(rules), drop_headers=drop_headers)

    @staticmethod
    def make_recipe(  # noqa: PLR0913 - as `RecipeEngine` has it
        keys: KeyRing,
        engagement: Engagement,
        urls: TrackedUrls,
        rules: Rules,
        /,
        *,
        drop_headers: Sequence[bytes],
        tracks_amp: bool,
        max_growth_bytes: int,
    ) -> Recipe:
        """Make a recipe that does all of a copy in one call; see `RecipeEngine`.

        Raises:
            ValueError: a pattern of `never_wrap` is empty, or a rule has no such value.
        """
        return _core.Recipe(
            keys,
            engagement,
            urls,
            _make_core_rules(rules),
            drop_headers=drop_headers,
            tracks_amp=tracks_amp,
            max_growth_bytes=max_growth_bytes,
        )


def open_html_stream(
    keys: KeyRing, engagement: Engagement, urls: TrackedUrls, rules: Rules, charset: str | None
) -> _core.HtmlStream:
    """Begin an HTML document that goes by.

    Raises:
        ValueError: a pattern of `never_wrap` is empty, or a rule has no such value.
    """
    return _core.HtmlStream(keys, engagement, urls, _make_core_rules(rules), charset)
