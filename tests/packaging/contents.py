"""What must be in a published file, and what must not.

`python -m tests.packaging.contents dist` looks at what `make wheel` has built. It runs on any
Python without other packages, since machines that build for other systems have no more.
"""

import re
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from email.parser import BytesParser
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "python" / "msys_track"
MAX_WHEEL_BYTES: Final = 4_000_000

# Folders of whoever built it: a panic's file, a debugger's source.
_MACHINE: Final = re.compile(rb"(?:/(?:home|root|Users|work|tmp)/|[A-Z]:\\Users\\)[\w.@+-]+")
# Those are in the repository as they are, with folders as examples.
_OURS: Final = (".py", ".pyi", ".html", ".js", ".css", ".toml", ".eml", ".lua", "METADATA")
_CORE: Final = re.compile(r"msys_track/_core\.(?:abi3\.|cpython-\w+-|cp\w+-)?[\w.-]*(?:so|pyd)")
_VERSION: Final = re.compile(r'^version *= *"([^"]+)"', re.MULTILINE)
_NOT_PUBLISHED: Final = re.compile(r"__pycache__|\.py[co]$|/_core[^/]*\.(?:so|pyd)$")
# Without them pip can't build it, or builds something else.
_SOURCES: Final = (
    "Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "pyproject.toml", "rust/lib.rs",
    "python/msys_track/__init__.py", "python/msys_track/py.typed",
)  # fmt: skip


def read_version() -> str:
    """Read the version of this checkout, which is stated in `Cargo.toml` alone."""
    found = _VERSION.search((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


def list_package_files() -> frozenset[str]:
    """List what the package consists of besides its core, as a wheel names it."""
    parent = PACKAGE.parent
    names = {each.relative_to(parent).as_posix() for each in PACKAGE.rglob("*") if each.is_file()}
    return frozenset(name for name in names if not _NOT_PUBLISHED.search(name))


def find_wheel_faults(path: Path) -> list[str]:
    """List what is wrong with a wheel; none if it can be published."""
    faults = []
    if (size := path.stat().st_size) > MAX_WHEEL_BYTES:
        faults.append(f"it has {size:,} bytes, and may have {MAX_WHEEL_BYTES:,}")
    with zipfile.ZipFile(path) as wheel:
        members = {name: wheel.read(name) for name in wheel.namelist() if not name.endswith("/")}
    described = f"msys_track-{read_version()}.dist-info/"
    wanted = list_package_files() | {
        described + name
        for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }
    cores = {name for name in members if _CORE.fullmatch(name)}
    if len(cores) != 1:
        faults.append(f"it has {len(cores)} compiled cores, and must have one")
    faults += _compare(
        members, wanted, allowed=lambda name: name in cores or name.startswith(described)
    )
    faults += _find_machine_names(members)
    if (metadata := members.get(f"{described}METADATA")) is not None:
        faults += _find_metadata_faults(metadata)
    return faults


def find_sdist_faults(path: Path) -> list[str]:
    """List what is wrong with an archive of the source; none if it can be published."""
    top = f"msys_track-{read_version()}/"
    with tarfile.open(path) as archive:
        files = [each for each in archive.getmembers() if each.isfile()]
        outside = [each.name for each in files if not each.name.startswith(top)]
        members = {}
        for each in files:
            file = archive.extractfile(each)
            assert file is not None
            members[each.name.removeprefix(top)] = file.read()
    faults = [f"{name} is outside of {top}" for name in outside]
    wanted = {*_SOURCES, *(f"python/{name}" for name in list_package_files()), "PKG-INFO"}
    faults += [f"{name} is missing" for name in sorted(wanted - set(members))]
    faults += [
        f"{name} does not belong there"
        for name in sorted(members)
        if _NOT_PUBLISHED.search(name) or name.startswith((".git/", "target/", ".venv/", "dist/"))
    ]
    faults += _find_metadata_faults(members.get("PKG-INFO", b""))
    return faults


def _compare(
    members: Iterable[str], wanted: frozenset[str], *, allowed: Callable[[str], bool]
) -> list[str]:
    found = set(members)
    return [
        *(f"{name} is missing" for name in sorted(wanted - found)),
        *(f"{name} does not belong there" for name in sorted(found - wanted) if not allowed(name)),
    ]


def _find_machine_names(members: Mapping[str, bytes]) -> list[str]:
    return [
        f"{name} names a folder of the machine that built it: {found[0].decode()}"
        for name, content in sorted(members.items())
        if not name.endswith(_OURS) and (found := _MACHINE.search(content))
    ]


def _find_metadata_faults(text: bytes) -> list[str]:
    metadata = BytesParser().parsebytes(text)
    wanted = {
        "Name": "msys-track",
        "Version": read_version(),
        "Requires-Python": ">=3.11",
        "License-Expression": "Apache-2.0",
        "License-File": "LICENSE",
        "Description-Content-Type": "text/markdown; charset=UTF-8; variant=GFM",
    }
    return [
        f"{name} is {metadata[name]}, and should be {value}"
        for name, value in wanted.items()
        if metadata[name] != value
    ]


def main(folder: Path) -> int:
    """Print what is wrong with the files in a folder; return an exit code."""
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if not wheels and not sdists:
        sys.stderr.write(f"error: {folder} holds neither a wheel nor a source; hint: make wheel\n")
        return 2
    found = {each: find_wheel_faults(each) for each in wheels}
    found |= {each: find_sdist_faults(each) for each in sdists}
    for path, faults in found.items():
        sys.stdout.write(f"{path.name}: {path.stat().st_size:,} bytes, {len(faults)} faults\n")
        sys.stdout.writelines(f"  {fault}\n" for fault in faults)
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
