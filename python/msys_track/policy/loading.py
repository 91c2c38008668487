"""Loads policy files. Everything wrong with a file is reported when it loads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from msys_track.errors import SettingsError
from msys_track.policy.chain import Chain, PolicyFile
from msys_track.policy.hooks import Policy
from msys_track.policy.lua.host import LuaPolicy
from msys_track.policy.python import PythonPolicy

_LEAST_MEMORY: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """Which policies there are, and what they may.

    Raises:
        SettingsError: a limit that no policy could keep.
    """

    files: tuple[Path, ...] = ()
    """`.py` or `.lua`, asked in this order."""
    on_failure: Literal["continue", "refuse"] = "continue"
    """Whether mail goes on without a policy that fails, or is answered 451."""
    lua_sandbox: bool = True
    timeout_seconds: float = 2.0
    """Processor time of one hook of one Lua file. It ends loops, and is no measure of honest work:
    that takes below a millisecond, and 0.1 s where it searches an enormous header."""
    max_memory_bytes: int = 32 << 20
    """What one Lua file may hold."""

    def __post_init__(self) -> None:
        if not 0 < self.timeout_seconds <= 60:  # noqa: PLR2004 - more than a client waits
            raise SettingsError(
                f"timeout_seconds: found {self.timeout_seconds!r}, allowed: above 0, at most 60"
            )
        if self.max_memory_bytes < _LEAST_MEMORY:
            raise SettingsError(
                f"max_memory_bytes: found {self.max_memory_bytes!r},"
                f" allowed: {_LEAST_MEMORY} or more"
            )


def load_policy(settings: PolicySettings) -> Policy | None:
    """Read every file and run it once; None if there is no file.

    Raises:
        SettingsError: the faults of the first bad file, each as a line `file:line: what`.
    """
    files: list[PolicyFile] = []
    for path in settings.files:
        if path.suffix not in (".py", ".lua"):
            raise SettingsError(f"{path}: a policy's file ends in .py or .lua")
        try:
            source = path.read_bytes()
        except OSError as error:
            raise SettingsError(f"{path}: can't be read: {error.strerror}") from error
        if path.suffix == ".py":
            files.append(PythonPolicy(path, source))
            continue
        lua = LuaPolicy(
            path,
            source,
            is_sandboxed=settings.lua_sandbox,
            timeout_seconds=settings.timeout_seconds,
            max_memory_bytes=settings.max_memory_bytes,
        )
        files.append(lua)
    return Chain(files) if files else None
