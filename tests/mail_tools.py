"""Programs of other projects: those that scripts/mail-tools unpacked, else those on PATH."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

_PROGRAM_FOLDERS = ("usr/sbin", "usr/bin", "bin", "sbin")
_INSTALL_HINT = "scripts/mail-tools unpacks it"


def tools_folder() -> Path:
    """Name the folder that scripts/mail-tools fills."""
    if named := os.environ.get("MAIL_TOOLS"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "msys-track" / "mail-tools"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program, and the environment in which it finds its libraries."""

    path: str
    environment: Mapping[str, str]
    root: Path | None = None
    """Where its package is unpacked; None where it is installed."""


def find_tool(name: str, package: str) -> Tool | None:
    """Find a program of a Debian package; None where it can't be had."""
    root = tools_folder() / package
    for folder in _PROGRAM_FOLDERS:
        program = root / folder / name
        if program.exists():
            libraries = sorted({str(each.parent) for each in root.glob("usr/lib/**/*.so*")})
            variables = {"LD_LIBRARY_PATH": os.pathsep.join(libraries)}
            return Tool(path=str(program), environment=os.environ | variables, root=root)
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    found = shutil.which(name, path=path)
    return Tool(path=found, environment=os.environ) if found else None


def need_tool(name: str, package: str) -> Tool:
    """Find a program, or skip the test that needs it."""
    found = find_tool(name, package)
    if found is None:
        pytest.skip(f"{name} was not found; {_INSTALL_HINT} ({package})")
    return found
