"""Policies in Python: the operator's own code, run in this process and trusted like it.

It has no sandbox and no time limit. Policies in Lua have both.
"""

import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TypeAlias, cast
from zlib import crc32

from msys_track.errors import PolicyFailedError, SettingsError
from msys_track.logs import event_logger
from msys_track.policy import callouts
from msys_track.policy.chain import CONTINUE, Verdict
from msys_track.policy.hooks import Hook, Rejection, Transaction

log = event_logger(__name__)

_Function: TypeAlias = Callable[[Transaction], object]


class PythonPolicy:
    """One file with functions named after hooks. Each takes a `Transaction`."""

    __slots__ = ("_functions", "notices", "path")

    def __init__(self, path: Path, source: bytes) -> None:
        """Run the file once.

        Raises:
            SettingsError: the file can't be compiled or run, or has no hook.
        """
        self.path = path
        # Dataclasses and pickle look up a module by its name, so this is the same each time.
        module = ModuleType(f"msys_track_policy_{path.stem}_{crc32(bytes(path)):08x}")
        module.__file__ = str(path)
        with _replacing_module(module):
            _run_file(module, path, source)
            places = _find_functions(module, path)
            self._functions = {
                hook: _find_hook(module, hook, places) for hook in Hook if hook.value in places
            }
        own = {name: at for name, at in places.items() if callouts.is_momentums_own(name)}
        notices = tuple(callouts.find_notices(own))
        for place, why in notices:
            log.warning("policy.notice", policy=path.name, at=place, why=why)
        self.notices = tuple(f"{place}: {why}" for place, why in notices)

    @property
    def hooks(self) -> frozenset[Hook]:
        """The hooks it has a function for."""
        return frozenset(self._functions)

    def ask(self, hook: Hook, transaction: Transaction) -> Verdict:
        """Call the hook's function.

        Raises:
            PolicyFailedError: it raised, or returned something other than a Rejection or None.
        """
        function = self._functions[hook]
        try:
            answer = function(transaction)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # sys.exit() in a policy must not end the proxy, nor a cancellation its session.
            where = f"{self.path}:{_find_line(error.__traceback__, self.path)}"
            raise PolicyFailedError(f"{where}: {hook.value}: {_describe_error(error)}") from error
        if answer is None:
            return CONTINUE
        if isinstance(answer, Rejection):
            return Verdict(rejection=answer, is_done=True)
        raise PolicyFailedError(
            f"{self.path}:{_find_first_line(function)}: {hook.value}: returned"
            f" {type(answer).__name__}, allowed: a Rejection, or None to go on"
        )


@contextmanager
def _replacing_module(module: ModuleType) -> Iterator[None]:
    """Let a module be found by its name; if it is refused, the one before it goes on."""
    earlier = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    try:
        yield
    except BaseException:
        sys.modules.pop(module.__name__, None)
        if earlier is not None:
            sys.modules[module.__name__] = earlier
        raise


def _run_file(module: ModuleType, path: Path, source: bytes) -> None:
    try:
        code = compile(source, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise SettingsError(f"{path}:{error.lineno or 1}: {error.msg}") from error
    except ValueError as error:
        raise SettingsError(f"{path}:1: {error}") from error
    except (MemoryError, RecursionError) as error:
        raise SettingsError(f"{path}:1: nests too deeply") from error
    try:
        exec(code, module.__dict__)  # noqa: S102 - the operator's own file
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        line = _find_line(error.__traceback__, path)
        raise SettingsError(f"{path}:{line}: {_describe_error(error)}") from error


def _find_functions(module: ModuleType, path: Path) -> dict[str, str]:
    """Find the functions of a file, and what is named as a hook: from name to `file:line`."""
    places = {
        name: f"{path}:{_find_first_line(value)}"
        for name, value in vars(module).items()
        if name in callouts.HOOKS
        or (inspect.isfunction(value) and value.__module__ == module.__name__)
    }
    if faults := list(callouts.find_faults(places)):
        raise SettingsError("\n".join(faults))
    if not places.keys() & callouts.HOOKS and not any(map(callouts.is_momentums_own, places)):
        hooks = ", ".join(callouts.HOOKS)
        raise SettingsError(f"{path}:1: no hook found; the hooks are {hooks}")
    return places


def _find_hook(module: ModuleType, hook: Hook, places: Mapping[str, str]) -> _Function:
    function = getattr(module, hook.value)
    if inspect.iscoroutinefunction(function) or not callable(function):
        found = "async" if callable(function) else type(function).__name__
        where = f"{places[hook.value]}: {hook.value}"
        raise SettingsError(f"{where} is {found}; a hook is a plain function")
    return cast("_Function", function)


def _find_first_line(function: object) -> int:
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    return getattr(code, "co_firstlineno", 1)


def _find_line(tb: TracebackType | None, path: Path) -> int:
    """Find the innermost line of the policy's own, even if code that it called has failed."""
    lines = [
        line for frame, line in traceback.walk_tb(tb) if frame.f_code.co_filename == str(path)
    ]
    return lines[-1] if lines else 1


def _describe_error(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
