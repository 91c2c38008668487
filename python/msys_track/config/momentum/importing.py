"""Momentum's `ecelerity.conf` written again as TOML, each value with where it came from."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msys_track.config.document import Document
from msys_track.config.momentum.document import origins
from msys_track.config.toml.writing import toml_text
from msys_track.keys.file import key_source


def imported(document: Document, folder: Path) -> str:
    """Write a document as TOML that means the same in a folder; it has no problems.

    Names of files are relative to the file that they stand in: where the TOML goes elsewhere,
    they become absolute.
    """
    home = document.path.parent.resolve()
    members: Mapping[str, object] = document.members
    if folder.resolve() != home:
        members = _with_files(members, lambda name: str(home / name))
    head = f"# Made from {document.path.resolve()} by msys-track config import.\n"
    return f"{head}\n{toml_text(members, origins(document))}"


def _with_files(
    members: Mapping[str, object], absolute: Callable[[str], str]
) -> Mapping[str, object]:
    changed: dict[str, Any] = dict(members)
    if "keys" in changed and isinstance(key_source(changed["keys"]), Path):
        changed["keys"] = absolute(changed["keys"])
    if "files" in changed.get("policy", {}):
        files = [absolute(name) for name in changed["policy"]["files"]]
        changed["policy"] = {**changed["policy"], "files": files}
    if "store" in changed.get("tracker", {}):
        store = absolute(changed["tracker"]["store"])
        changed["tracker"] = {**changed["tracker"], "store": store}
    return changed
