"""Loads policy files. Everything wrong with a file is reported when it loads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

from msys_track.errors import SettingsError, describe_os_error
from msys_track.policy.chain import Chain, PolicyFile
from msys_track.policy.guard import OnFailure
from msys_track.policy.lua.host import LuaPolicy
from msys_track.policy.python import PythonPolicy
from msys_track.settings.key import Key, check_settings
from msys_track.settings.kinds import FILE_NAME, SWITCH, array, choice, seconds, whole_number


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """The policy files, and their limits.

    Raises:
        SettingsError: a limit that no policy could keep.
    """

    files: Annotated[
        tuple[Path, ...],
        Key(
            array(FILE_NAME, 'names of files as in ["policy.lua"]'),
            "policies in Python (`.py`) or Lua (`.lua`), called in this order",
        ),
    ] = ()
    on_failure: Annotated[
        OnFailure,
        Key(
            choice(*get_args(OnFailure)),
            "mail whose policy fails goes on without it, or is answered 451",
        ),
    ] = "continue"
    lua_sandbox: Annotated[bool, Key(SWITCH, "keep files and processes from Lua")] = True
    # It ends endless loops. Honest work takes less than a millisecond, or 0.1 s to search an
    # enormous header.
    timeout_seconds: Annotated[
        float, Key(seconds(highest=60), "processor time of one hook of one Lua file")
    ] = 2.0
    max_memory_bytes: Annotated[
        int,
        Key(
            whole_number(lowest=1 << 20, highest=2**62, unit="bytes, "),
            "memory of one Lua file",
        ),
    ] = 32 << 20

    def __post_init__(self) -> None:
        check_settings(self, "policy: ")


def load_policy(settings: PolicySettings) -> Chain | None:
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
            raise SettingsError(f"{path}: can't be read: {describe_os_error(error)}") from error
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
