"""What messages with the same X-MSYS-API and the same scopes have in common, made once.

Most mail of a server has one of a few headers, so that reading it and weighing its options for
each message would cost more than to rewrite the message.
"""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Final

from msys_track.dispatch.inputs import make_recipe
from msys_track.keys.ring import KeyRing
from msys_track.options.resolve import Resolved, resolve
from msys_track.options.scopes import Scope
from msys_track.rewriting.engine import Engine
from msys_track.rewriting.recipe import Recipe
from msys_track.smtpapi import header
from msys_track.smtpapi.header import ApiHeader

_KEPT: Final = 1024
# A header of each reader's own data is seen once. So all that is kept is a few megabytes.
_MAX_KEPT_BYTES: Final = 2048


class Prepared:
    """A header with the options that it and the scopes give; nothing of a policy or a call.

    Attributes:
        header: What X-MSYS-API asks for; None where there is none.
        resolved: The options, each with its origin.
        notices: Codes of requests that can't be met.
    """

    def __init__(
        self, scopes: Sequence[Scope], values: Sequence[bytes], engine: Engine, keys: KeyRing
    ) -> None:
        self.header = header.parse_header(values)
        self.resolved = resolve(scopes, self.header)
        self.notices = list_notices(self.header, self.resolved)
        self._engine = engine
        self._keys = keys

    @cached_property
    def recipe(self) -> Recipe:
        """How the copies of a message that lacks Bcc fields are made."""
        dropped = [] if self.resolved.keep_x_msys_api.value else [header.NAME]
        return make_recipe(self._engine, self._keys, self.resolved, dropped)


class Preparer:
    """Prepares for one engine and one key ring. Threads may share it."""

    __slots__ = ("_keep", "engine", "keys")

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        self.engine = engine
        self.keys = keys
        self._keep = lru_cache(maxsize=_KEPT)(
            lambda scopes, values: Prepared(scopes, values, engine, keys)
        )

    def prepare(self, scopes: tuple[Scope, ...], values: tuple[bytes, ...]) -> Prepared:
        """Read the values of a message's X-MSYS-API fields, still folded, and weigh the options.

        Raises:
            HeaderRefusedError: they are malformed.
        """
        if values and sum(map(len, values)) > _MAX_KEPT_BYTES:
            return Prepared(scopes, values, self.engine, self.keys)
        return self._keep(scopes, values)


def list_notices(api_header: ApiHeader | None, resolved: Resolved) -> tuple[str, ...]:
    """List the requests that can't be met in any copy with these options."""
    found = {
        "ignored_key": api_header is not None and bool(api_header.ignored_keys),
        "dropped_tags": api_header is not None and bool(api_header.dropped_tags),
        "truncated_metadata": resolved.metadata_before_cut is not None,
        "ignored_variable": bool(resolved.ignored_variables),
    }
    return tuple(notice for notice, is_there in found.items() if is_there)
