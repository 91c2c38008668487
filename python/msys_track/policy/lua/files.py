"""The files of a Lua policy. Modules are found only below the folder of the policy."""

import os
import re
from pathlib import Path
from typing import Final

from msys_track.errors import SettingsError
from msys_track.policy.lua.dialect import NOT_CODE, ForbiddenSourceError, translate_source

_CALL: Final = re.compile(
    NOT_CODE + rb"|(?<![\w.:])(?P<name>msys(?:\.\w+)+|(?:msg|vctx|accept):\w+)(?=\s*\()",
    re.DOTALL,
)
_MODULE: Final = re.compile(r"(?=.{1,200}\Z)[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)*")


class LuaFiles:
    """A policy's file and its modules. Each is read once, so that all states run the same code."""

    def __init__(self, main: Path, source: bytes) -> None:
        self.main = main
        self.paths: dict[str, Path] = {}
        """From chunk name to file. Lua's errors name chunks, and only short names in full."""
        self._modules: dict[str, tuple[bytes, str]] = {}
        try:
            self.source = translate_source(source)
        except ForbiddenSourceError as error:
            raise SettingsError(f"{main}:{error.line}: {error}") from error
        self.chunk = self._name_chunk(main)

    def read_module(self, name: str) -> tuple[bytes | None, str]:
        """Return a module's source and chunk name, or None and the reason.

        Raises:
            OSError: the file can't be read.
            ForbiddenSourceError: the module has what Lua 5.1 can't run as it is meant.
        """
        if name not in self._modules:
            if not _MODULE.fullmatch(name):
                return None, "a name is letters, digits, - and _, joined by dots"
            folder, parts = self.main.parent, re.split(r"[./]", name)
            path = folder.joinpath(*parts).with_suffix(".lua")
            if parts[0] == folder.name and len(parts) > 1 and not path.exists():
                # Momentum searches from the folder above: in `myscripts`, `myscripts.brands`.
                path = folder.joinpath(*parts[1:]).with_suffix(".lua")
            # Path.resolve() may raise RuntimeError, for a link to itself.
            real, home = os.path.realpath(path), os.path.realpath(folder)
            if not Path(real).is_relative_to(home):
                return None, f"{path.name} leads out of the policy's folder"
            source = translate_source(path.read_bytes())
            self._modules[name] = source, self._name_chunk(path)
        return self._modules[name]

    def find_calls(self) -> dict[str, str]:
        """Find the calls of Momentum's functions, as `msys.log` and `msg:header`.

        Returns:
            The place of the first call of each, by its name.
        """
        places: dict[str, str] = {}
        for source, chunk in ((self.source, self.chunk), *self._modules.values()):
            for found in _CALL.finditer(source):
                if name := found["name"]:
                    line = source.count(b"\n", 0, found.start()) + 1
                    places.setdefault(name.decode(), self.format_place(chunk, line))
        return places

    def format_place(self, chunk: str | None, line: int | None) -> str:
        """Return `file:line` for a place in a chunk; without a chunk, in the main file."""
        return f"{self.paths.get(chunk or '', self.main)}:{line or 1}"

    def _name_chunk(self, path: Path) -> str:
        name = path.name[-50:].replace(":", "_")
        if name in self.paths:
            name = f"{name[-40:]}#{len(self.paths)}"
        self.paths[name] = path
        return name
