"""What a policy's Lua can ask of Python, so that nothing else of Python is within its reach.

No function here raises: an exception would be handed to the policy as an object to look around in.
"""

from collections.abc import Sequence
from contextlib import suppress
from email.utils import getaddresses
from time import thread_time
from typing import Final

from msys_track.logs import event_logger
from msys_track.policy.hooks import Transaction
from msys_track.policy.lua.dialect import NotAllowed
from msys_track.policy.lua.files import LuaFiles

log = event_logger(__name__)

_MAX_ANSWER: Final = 1 << 20
_MAX_PARSED: Final = 16_384


class Outside:
    """What a policy's Lua can ask of Python: its answers are strings, or why there is none."""

    QUESTIONS: Final = (
        "address_header",
        "addresses",
        "header",
        "log",
        "message_size",
        "recipients",
        "returned_nothing",
        "source",
        "thread_seconds",
    )

    transaction: Transaction | None = None
    """The one at hand; None between two calls."""

    def __init__(self, files: LuaFiles) -> None:
        self._files = files
        self._log = log.bind(policy=files.main.name)
        self._has_warned = False

    def log(self, level: str, text: str) -> None:
        """Write a line of the policy's."""
        write = {"debug": self._log.debug, "info": self._log.info, "warning": self._log.warning}
        with suppress(OSError, ValueError):  # a log that is closed is no fault of the policy's
            write.get(level, self._log.error)("policy.said", text=text)

    def header(self, name: str) -> tuple[str, ...]:
        """Return a field's values."""
        if self.transaction is None:
            return ()
        return _bounded(self.transaction.headers.get(name))

    def address_header(self, name: str, component: str) -> tuple[str, ...]:
        """Return a component of each address in a field."""
        if self.transaction is None:
            return ()
        return _components(self.transaction.headers.get(name), component)

    def addresses(self, text: str, component: str) -> tuple[str, ...]:
        """Return a component of each address in a text (RFC 5322)."""
        return _components([text], component)

    def recipients(self) -> tuple[str, ...]:
        """Return the recipients so far."""
        return () if self.transaction is None else _bounded(self.transaction.recipients)

    def message_size(self) -> int:
        """Return the message's bytes; 0 before there is one."""
        return 0 if self.transaction is None else len(self.transaction.message or b"")

    def returned_nothing(self, hook: str, chunk: str, line: int) -> None:
        """Warn once for the file, however much mail it is asked about."""
        if self._has_warned:
            return
        self._has_warned = True
        with suppress(OSError, ValueError):
            self._log.warning(
                "policy.returned_nothing",
                hook=hook,
                at=self._files.place(chunk, line),
                taken_as="msys.core.VALIDATE_CONT",
            )

    def thread_seconds(self) -> float:
        """Return the processor time of this thread, which no other work in the process adds to."""
        return thread_time()

    def source(self, module: str) -> tuple[bytes | None, str]:
        """Give a module below the policy's folder: its text and name, or None and why not."""
        try:
            return self._files.module(module)
        except NotAllowed as error:
            return None, f"line {error.line}: {error}"
        except OSError as error:
            return None, error.strerror or "can't be read"


def _components(texts: Sequence[str], component: str) -> tuple[str, ...]:
    try:
        pairs = getaddresses([text[:_MAX_PARSED] for text in texts[:100]])
    except (ValueError, IndexError, RecursionError):
        return ()
    return _bounded([_component(address, component) for _, address in pairs if address])


def _component(address: str, component: str) -> str:
    if component == "all":
        return address
    localpart, _, domain = address.rpartition("@")
    if component == "domain":
        return domain
    user, _, detail = localpart.partition("+")
    return {"localpart": localpart, "user": user}.get(component, detail)


def _bounded(values: Sequence[str]) -> tuple[str, ...]:
    held, room = [], _MAX_ANSWER
    for value in values:
        room -= len(value) + 64
        if room < 0:
            break
        held.append(value.encode(errors="replace").decode())
    return tuple(held)
