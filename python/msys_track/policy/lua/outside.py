"""The Python functions that a policy's Lua can call. Nothing else of Python is within its reach.

No function here raises, because the policy would get the exception as an object to explore.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from email.utils import getaddresses
from time import thread_time
from typing import Final

from msys_track.errors import describe_os_error
from msys_track.logs import event_logger
from msys_track.policy import pcre
from msys_track.policy.changes import HeaderChange, How
from msys_track.policy.context import Context, Contexts
from msys_track.policy.hooks import Transaction
from msys_track.policy.lua.dialect import ForbiddenSourceError, translate_source
from msys_track.policy.lua.files import LuaFiles

log = event_logger(__name__)

_MAX_ANSWER: Final = 1 << 20
_MAX_VALUES: Final = 7000
"""Of one answer. Lua 5.1 takes 8,000 values at once."""
_MAX_PARSED: Final = 16_384
_MAX_RAW: Final = 4 << 20
_BAD_PATTERN: Final = 1


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
        self.notices: list[str] = []
        """What the policy called so far that has no effect here, each as `file:line: what`."""
        self._noticed: set[str] = set()

    def log(self, level: str, text: str) -> None:
        """Log a line of the policy's."""
        write = {"debug": self._log.debug, "info": self._log.info, "warning": self._log.warning}
        with suppress(OSError, ValueError):  # a closed log is not the policy's fault
            write.get(level, self._log.error)("policy.said", text=text)

    def notice(self, function: str, chunk: str | None, line: int | None) -> None:
        """Say that a function has no effect here; once for each, not for each mail."""
        if function in self._noticed:
            return
        self._noticed.add(function)
        place = self._files.format_place(chunk, line)
        why = f"{function} has no effect here: it is the upstream's affair"
        self.notices.append(f"{place}: {why}")
        with suppress(OSError, ValueError):
            self._log.warning("policy.notice", at=place, why=why)

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
        """Return the recipients so far, and those that policy adds."""
        given = self.transaction
        return _limit_size((*given.recipients, *given.changes.added_recipients))

    def change_header(self, name: str, value: str, how: How) -> str | None:
        """Change a field; return what is wrong with that, or None."""
        return _try_change(lambda: self.transaction.headers.change(HeaderChange(name, value, how)))

    def remove_header(self, name: str) -> str | None:
        """Remove all fields of a name; return what is wrong with that, or None."""
        return _try_change(lambda: self.transaction.headers.change(HeaderChange(name, None)))

    def set_recipient(self, address: str) -> str | None:
        """Change the recipient at hand; return what is wrong with that, or None."""
        return _try_change(lambda: self.transaction.set_recipient(address))

    def set_sender(self, address: str) -> str | None:
        """Change the sender; return what is wrong with that, or None."""
        return _try_change(lambda: self.transaction.set_sender(address))

    def add_recipient(self, address: str) -> str | None:
        """Add a recipient; return what is wrong with that, or None."""
        return _try_change(lambda: self.transaction.add_recipient(address))

    def discard(self, reason: str) -> str | None:
        """Discard the mail; return what is wrong with that, or None."""
        return _try_change(lambda: self.transaction.discard(reason))

    def fact(self, name: str) -> str | None:
        """Return what the server knows of the mail or its connection; None if that is nothing."""
        given = self.transaction
        facts = {
            "id": given.id,
            "connection_id": given.connection_id,
            "can_relay": "true" if given.can_relay else None,
            "tls": "true" if given.is_encrypted else None,
            "connection_message_count": str(given.connection_messages),
            "connection_rcpt_count": str(given.connection_recipients),
        }
        return facts.get(name)

    def raw(self) -> tuple[bytes, str | None]:
        """Return the message as it was received, and what is wrong with that, or None."""
        message = self.transaction.message or b""
        if len(message) > _MAX_RAW:
            return b"", f"the message has {len(message)} bytes, at most {_MAX_RAW}"
        return message, None

    def pcre_match(self, subject: str, pattern: str, start: int) -> tuple[object, ...]:
        """Match once from a byte on.

        Returns:
            `found`, the first byte and the end, how many groups, their texts, and name and text of
            each that has a name; or `none`; or `bad`, a text and a number for what is no pattern;
            or `error` and a text.
        """
        return _try_pattern(lambda: pcre.match(subject, pattern, int(start)))

    def pcre_split(self, subject: str, pattern: str) -> tuple[object, ...]:
        """Return `pieces` and the pieces; or `bad` or `error` as `pcre_match` does."""
        return _try_pattern(
            lambda: ("pieces", *pcre.split(subject, pattern, max_pieces=_MAX_VALUES - 1))
        )

    def pcre_replace(
        self, subject: str, pattern: str, replacement: str, limit: float
    ) -> tuple[object, ...]:
        """Return `text` and the text; or `bad` or `error` as `pcre_match` does."""
        return _try_pattern(
            lambda: ("text", pcre.replace(subject, pattern, replacement, int(limit)))
        )

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


def _try_change(change: Callable[[], None]) -> str | None:
    try:
        change()
    except (TypeError, ValueError) as error:
        return str(error)
    return None


def _try_pattern(match: Callable[[], tuple[object, ...]]) -> tuple[object, ...]:
    try:
        return match()
    except pcre.BadPatternError as error:
        return "bad", str(error), _BAD_PATTERN
    except (pcre.PatternLimitError, ValueError, OverflowError) as error:
        return "error", str(error)


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
