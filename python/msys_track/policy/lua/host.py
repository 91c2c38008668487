"""Policies in Lua, run as Momentum runs them: all modules of a file in one state that is kept.

The state has strings and tables only. Of Python it can call the functions of `Outside`, which
never raise.
"""

import importlib
from itertools import chain
from pathlib import Path
from threading import Lock
from time import thread_time
from typing import Any, Final

from msys_track.errors import PolicyFailedError, SettingsError
from msys_track.extras import needed_extra
from msys_track.logs import event_logger
from msys_track.policy import callouts
from msys_track.policy.chain import CONTINUE, DONE, Verdict
from msys_track.policy.context import MAX_NAME, MAX_OCTETS, MAX_VALUE, MAX_VARIABLES
from msys_track.policy.hooks import Hook, Rejection, Transaction
from msys_track.policy.lua.files import LuaFiles
from msys_track.policy.lua.outside import NO_TRANSACTION, Outside

log = event_logger(__name__)

PHASES: Final = {"validate_data": Hook.DATA_SPOOL}
"""Momentum's callouts that are called at a hook of another name."""

_PIECES: Final = Path(__file__).parent
_LOAD_SECONDS: Final = 5.0
_HEADROOM: Final = 32 << 20
"""Bytes above the policy's own memory. Lua ends the process if it can't hold what Python passes,
so there must always be room for the contexts, an envelope and one answer."""
_MAX_ENVELOPE: Final = 65_536
_MESSAGE: Final = 1  # MESSAGE of contexts.lua


class LuaPolicy:
    """One file, with the modules that it requires from its folder."""

    __slots__ = (
        "_files",
        "_lock",
        "_outside",
        "_state",
        "hooks",
        "notices",
        "path",
        "settings",
    )

    def __init__(
        self,
        path: Path,
        source: bytes,
        *,
        is_sandboxed: bool = True,
        timeout_seconds: float = 2.0,
        max_memory_bytes: int = 32 << 20,
    ) -> None:
        """Run the file once.

        Raises:
            SettingsError: lupa is missing, or the file can't be compiled or run, or has no hook.
        """
        self.path = path
        self.settings = {
            "is_sandboxed": is_sandboxed,
            "timeout_seconds": timeout_seconds,
            "load_seconds": max(_LOAD_SECONDS, timeout_seconds),
            "max_kib": max_memory_bytes // 1024,
            "max_name": MAX_NAME,
            "max_value": MAX_VALUE,
            "max_variables": MAX_VARIABLES,
            "max_octets": MAX_OCTETS,
        }
        self._files = LuaFiles(path, source)
        self._lock = Lock()
        self._outside = Outside(self._files)
        self._state: _State | None = _State(self._files, self._outside, self.settings)
        places = self._state.places
        if faults := list(callouts.find_faults(places, also=(*PHASES, "init"))):
            raise SettingsError("\n".join(faults))
        notices = list(callouts.find_notices(places, also=(*PHASES, "init")))
        if self._state.is_module and not places:
            notices.append(
                (f"{path}:1", "a module: it has no hook, and what requires it calls it")
            )
        if not places and not notices and not self._outside.notices:
            raise SettingsError(
                f"{path}:1: no hook found; msys.registerModule is not called with a table that has"
                f" one of {', '.join(callouts.HOOKS)}"
            )
        hooks = {**{hook.value: hook for hook in Hook}, **PHASES}
        self.hooks = frozenset(hooks[name] for name in places if name in hooks)
        notices += self._state.find_missing()
        for place, why in notices:
            log.warning("policy.notice", policy=path.name, at=place, why=why)
        self.notices = (*(f"{place}: {why}" for place, why in notices), *self._outside.notices)

    def ask(self, hook: Hook, transaction: Transaction) -> Verdict:
        """Call the hook in the modules that have it.

        Raises:
            PolicyFailedError: an error, a limit reached, or a value that Momentum does not take.
        """
        with self._lock:
            state, self._state = self._state, None
            if state is None or state.is_full():
                try:
                    state = _State(self._files, self._outside, self.settings)
                except SettingsError as error:
                    raise PolicyFailedError(
                        f"{error}; at {hook.value}, in a new Lua state"
                    ) from error
            # The state is dropped if this raises: what a policy keeps in it may be half changed.
            verdict = state.run(hook, transaction)
            self._state = state
            return verdict


class _State:
    """A Lua state in which one policy file has been run.

    Attributes:
        places: the place of each function that a module registered, by name.
        is_module: whether the file calls `module`, so that others require it.
    """

    def __init__(self, files: LuaFiles, outside: Outside, settings: dict[str, Any]) -> None:
        with needed_extra("lua", "a policy in Lua"):
            lua: Any = importlib.import_module("lupa.lua51")
        self._files = files
        self._path = files.main
        self._max_bytes = settings["max_kib"] * 1024
        self._outside = outside
        self._errors = (lua.LuaError, MemoryError)
        self._runtime = runtime = lua.LuaRuntime(
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_refuse_attribute,
            max_memory=self._max_bytes + _HEADROOM,
        )
        load = runtime.eval("loadstring")

        def load_piece(name: str) -> Any:
            source = (_PIECES / f"{name}.lua").read_bytes()
            return load(source, f"=msys-track/{name}.lua")

        names = [name for name in vars(Outside) if name[0] != "_" and name != "transaction"]
        functions = {name: getattr(outside, name) for name in names}
        self._policy = load_piece("state")(
            load_piece, runtime.table_from(functions), runtime.table_from(settings)
        )
        self._run = self._policy.run
        try:
            answer = self._policy.load_file(files.source, files.chunk)
        except self._errors as error:
            raise SettingsError(f"{self._path}:1: {_summarize_error(error)}") from error
        if answer is not True:
            _, chunk, line, text = answer
            raise SettingsError(f"{files.format_place(chunk, line)}: {text}")
        self.is_module = bool(self._policy.is_module())
        flat = self._policy.functions() or ()
        self.places = {
            name: files.format_place(chunk, line)
            for name, chunk, line in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
            if line > 0
        }

    def find_missing(self) -> list[tuple[str, str]]:
        """Find the calls of functions of Momentum's that are not here: place, and what that means.

        Only the calls that are plain to see are found, as `msys.db.query(…)`.
        """
        return [
            (place, f"{name} is not available here: a call of it fails")
            for name, place in self._files.find_calls().items()
            if not self._policy.has(name)
        ]

    def is_full(self) -> bool:
        """Return whether the policy keeps more memory than it may, garbage not counted."""
        if self._runtime.get_memory_used() <= self._max_bytes:
            return False
        self._runtime.gccollect()
        return bool(self._runtime.get_memory_used() > self._max_bytes)

    def run(self, hook: Hook, transaction: Transaction) -> Verdict:
        """Call one hook and set the context variables that it set.

        Raises:
            PolicyFailedError: the hook failed. The state must not be used again.
        """
        is_answered, *answer = self._call_lua(hook, transaction)
        if not is_answered:
            chunk, line, text = answer
            raise PolicyFailedError(
                f"{self._files.format_place(chunk, line)}: {hook.value}: {text}"
            )
        code, reply, is_done, *changes = answer
        if len(changes) == 1:  # a table of all of them, as they are too many for one answer
            listed = changes[0]
            changes = [listed[number] for number in range(1, len(listed) + 1)]
        if changes:
            contexts = transaction.contexts
            kinds, names, values = changes[::3], changes[1::3], changes[2::3]
            changed = [contexts.message if it == _MESSAGE else contexts.connection for it in kinds]
            # Deleting first makes room: the changes fit together, but perhaps not in each order.
            for context, name in zip(changed, names, strict=True):
                context.delete(name)
            for context, name, value in zip(changed, names, values, strict=True):
                if value is not False:
                    context.set(name, value)
        if code is not None and code >= 400:  # noqa: PLR2004 - RFC 5321 section 4.2.1
            return Verdict(rejection=Rejection(code=code, text=reply), is_done=True)
        return DONE if is_done else CONTINUE

    def _call_lua(self, hook: Hook, transaction: Transaction) -> tuple[Any, ...]:
        connection = transaction.contexts.connection.items()
        helo, sender, recipient = transaction.helo, transaction.sender, transaction.recipient
        if recipient is None and transaction.recipients:
            recipient = transaction.recipients[0]
        if transaction.changes:
            changes = transaction.changes
            sender = sender if changes.sender is None else changes.sender
            recipient = recipient if changes.recipient is None else changes.recipient
        envelope = len(helo) + len(sender or "") + len(recipient or "")
        if envelope > _MAX_ENVELOPE:
            raise PolicyFailedError(
                f"{self._path}:1: {hook.value}: an envelope of {envelope} bytes"
            )
        variables = (*connection.items(), *transaction.contexts.message.items().items())
        self._outside.transaction = transaction
        try:
            answer: tuple[Any, ...] = self._run(
                hook.value,
                thread_time(),
                transaction.connection_id,
                len(connection),
                transaction.peer,
                transaction.listen,
                helo,
                transaction.user,
                sender,
                recipient,
                *chain.from_iterable(variables),
            )
        except (*self._errors, UnicodeError) as error:
            where = f"{self._path}:1: {hook.value}"
            raise PolicyFailedError(f"{where}: {_summarize_error(error)}") from error
        finally:
            self._outside.transaction = NO_TRANSACTION
        return answer


def _refuse_attribute(_thing: object, _name: object, _is_setting: object) -> str:
    raise AttributeError("Python's objects are closed to policies")


def _summarize_error(error: BaseException) -> str:
    return " ".join(str(error).split("\n")[0].split())[:300]
