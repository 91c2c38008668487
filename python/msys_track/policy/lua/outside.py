"""The Python functions that a policy's Lua can call. Nothing else of Python is within its reach.

No function here raises, because the policy would get the exception as an object to explore.
"""

from collections.abc import Sequence
from contextlib import suppress
from email.utils import getaddresses
from time import thread_time
from typing import Final

from msys_track.errors import describe_os_error
from msys_track.logs import event_logger
from msys_track.policy.context import Context, Contexts
from msys_track.policy.hooks import Transaction
from msys_track.policy.lua.dialect import ForbiddenSourceError, translate_source
from msys_track.policy.lua.files import LuaFiles

log = event_logger(__name__)

_MAX_ANSWER: Final = 1 << 20
_MAX_VALUES: Final = 7000
"""Of one answer. Lua 5.1 takes 8,000 values at once."""
_MAX_PARSED: Final = 16_384


NO_TRANSACTION: Final = Transaction(
    contexts=Contexts(connection=Context(), message=Context()), peer="", listen=""
)


class Outside:
    """The functions that a policy's Lua can call, all with texts and numbers alone."""

    transaction = NO_TRANSACTION
    """The current one, an empty one between two calls."""

    def __init__(self, files: LuaFiles) -> None:
        self._files = files
        self._log = log.bind(policy=files.main.name)
        self._has_warned = False

    def log(self, level: str, text: str) -> None:
        """Log a line of the policy's."""
        write = {"debug": self._log.debug, "info": self._log.info, "warning": self._log.warning}
        with suppress(OSError, ValueError):  # a closed log is not the policy's fault
            write.get(level, self._log.error)("policy.said", text=text)

    def header(self, name: str) -> tuple[str, ...]:
        """Return the values of a field."""
        return _limit_size(self.transaction.headers.get(name))

    def address_header(self, name: str, component: str) -> tuple[str, ...]:
        """Return one component of each address in a field."""
        return _extract_components(self.transaction.headers.get(name), component)

    def addresses(self, text: str, component: str) -> tuple[str, ...]:
        """Return one component of each address in a text (RFC 5322)."""
        return _extract_components([text], component)

    def recipients(self) -> tuple[str, ...]:
        """Return the recipients so far."""
        return _limit_size(self.transaction.recipients)

    def message_size(self) -> int:
        """Return the size of the message in bytes; 0 before there is one."""
        return len(self.transaction.message or b"")

    def warn_returned_nothing(self, hook: str, chunk: str, line: int) -> None:
        """Warn that a hook returned nothing; once for each file, not for each mail."""
        if self._has_warned:
            return
        self._has_warned = True
        with suppress(OSError, ValueError):
            self._log.warning(
                "policy.returned_nothing",
                hook=hook,
                at=self._files.format_place(chunk, line),
                taken_as="msys.core.VALIDATE_CONT",
            )

    def thread_seconds(self) -> float:
        """Return the processor time of this thread alone, in seconds."""
        return thread_time()

    def translate(self, source: str) -> tuple[bytes | None, str]:
        """Return a text of Momentum's Lua as Lua 5.1, or None and the reason."""
        try:
            return translate_source(source.encode()), ""
        except ForbiddenSourceError as error:
            return None, f"line {error.line}: {error}"

    def source(self, module: str) -> tuple[bytes | None, str]:
        """Return a module's source and chunk name, or None and the reason."""
        try:
            return self._files.read_module(module)
        except ForbiddenSourceError as error:
            return None, f"line {error.line}: {error}"
        except OSError as error:
            return None, describe_os_error(error)


def _extract_components(texts: Sequence[str], component: str) -> tuple[str, ...]:
    try:
        pairs = getaddresses([text[:_MAX_PARSED] for text in texts[:100]])
    except (ValueError, IndexError, RecursionError):
        return ()
    found = []
    for _, address in pairs:
        localpart, _, domain = address.rpartition("@")
        user, _, detail = localpart.partition("+")
        parts = {"all": address, "domain": domain, "localpart": localpart, "user": user}
        if address:
            found.append(parts.get(component, detail))
    return _limit_size(found)


def _limit_size(values: Sequence[str]) -> tuple[str, ...]:
    kept, room = [], _MAX_ANSWER
    for value in values[:_MAX_VALUES]:
        room -= len(value) + 64
        if room < 0:
            break
        kept.append(value.encode(errors="replace").decode())
    return tuple(kept)
