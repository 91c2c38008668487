"""A Lua policy's own files: found only below its folder, under names that errors can show."""

import re
from pathlib import Path
from typing import Final

from msys_track.errors import SettingsError
from msys_track.policy.lua.dialect import NotAllowed, translated

_MODULE: Final = re.compile(r"(?=.{1,200}\Z)[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)*")


class LuaFiles:
    """A policy's file and the modules beside it, each read once: all states run the same."""

    def __init__(self, main: Path, source: bytes, *, is_sandboxed: bool) -> None:
        self.main = main
        self.paths: dict[str, Path] = {}
        """Chunk name to file: Lua's errors name chunks, and only short ones in full."""
        self._is_sandboxed = is_sandboxed
        self._modules: dict[str, tuple[bytes, str]] = {}
        try:
            self.source = translated(source, is_sandboxed=is_sandboxed)
        except NotAllowed as error:
            raise SettingsError(f"{main}:{error.line}: {error}") from error
        self.chunk = self._named(main)

    def module(self, name: str) -> tuple[bytes | None, str]:
        """Give a module's text and chunk name, or None and why there is none.

        Raises:
            OSError: it can't be read.
            NotAllowed: it uses what a sandbox can't stop.
        """
        if name not in self._modules:
            if not _MODULE.fullmatch(name):
                return None, "a name is letters, digits, - and _, joined by dots"
            path = self._path(re.split(r"[./]", name))
            if not path.resolve().is_relative_to(self.main.parent.resolve()):
                return None, f"{path.name} leads out of the policy's folder"
            source = translated(path.read_bytes(), is_sandboxed=self._is_sandboxed)
            self._modules[name] = source, self._named(path)
        return self._modules[name]

    def place(self, chunk: str | None, line: int | None) -> str:
        """Say where that is, as `file:line`; without a chunk it is the main file."""
        return f"{self.paths.get(chunk or '', self.main)}:{line or 1}"

    def _path(self, parts: list[str]) -> Path:
        folder = self.main.parent
        path = folder.joinpath(*parts).with_suffix(".lua")
        if parts[0] == folder.name and len(parts) > 1 and not path.exists():
            # Momentum looks from the folder above: `myscripts.brands`, asked in `myscripts`.
            return folder.joinpath(*parts[1:]).with_suffix(".lua")
        return path

    def _named(self, path: Path) -> str:
        name = path.name[-50:].replace(":", "_")
        if name in self.paths:
            name = f"{name[-40:]}#{len(self.paths)}"
        self.paths[name] = path
        return name
