"""The check of published files finds what does not belong there, and what is not there."""

import base64
import csv
import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.packaging.contents import (
    MAX_WHEEL_BYTES,
    PACKAGE,
    ROOT,
    find_sdist_faults,
    find_wheel_faults,
    list_package_files,
    main,
    read_version,
)

NAME = f"msys_track-{read_version()}"
INFO = f"{NAME}.dist-info/"
CORE = "msys_track/_core.abi3.so"
SBOM = f"{INFO}sboms/msys-track.cyclonedx.json"
METADATA = f"""\
Metadata-Version: 2.4
Name: msys-track
Version: {read_version()}
License-File: LICENSE
License-Expression: Apache-2.0
Requires-Python: >=3.11
Description-Content-Type: text/markdown; charset=UTF-8; variant=GFM
""".encode()


def make_wheel(folder: Path, changes: Mapping[str, bytes | None]) -> Path:
    """Pack the package as maturin does, with other members, or without some (None)."""
    members: dict[str, bytes | None] = {
        name: (PACKAGE.parent / name).read_bytes() for name in sorted(list_package_files())
    }
    members |= {CORE: b"\x7fELF /rustc/abc/library", f"{INFO}METADATA": METADATA}
    members |= {f"{INFO}{name}": b"" for name in ("WHEEL", "entry_points.txt", "licenses/LICENSE")}
    members |= changes
    kept = {name: content for name, content in members.items() if content is not None}
    record = "".join(
        f"{name},{digest(content)},{len(content)}\n" for name, content in kept.items()
    )
    kept[f"{INFO}RECORD"] = f"{record}{INFO}RECORD,,\n".encode()
    path = folder / f"{NAME}-cp311-abi3-manylinux_2_17_x86_64.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in kept.items():
            wheel.writestr(name, content)
    return path


def digest(content: bytes) -> str:
    plain = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return f"sha256={plain.decode()}"


def test_a_wheel_with_the_whole_package_has_no_faults(tmp_path: Path) -> None:
    assert find_wheel_faults(make_wheel(tmp_path, {})) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"msys_track/py.typed": None}, "msys_track/py.typed is missing"),
        ({f"{INFO}licenses/LICENSE": None}, f"{INFO}licenses/LICENSE is missing"),
        ({CORE: None}, "it has 0 compiled cores, and must have one"),
        ({"tests/conftest.py": b""}, "tests/conftest.py does not belong there"),
        ({"msys_track/left.py": b""}, "msys_track/left.py does not belong there"),
        ({CORE: b"\x7fELF /home/jo/msys-track/rust/lib.rs"},
         f"{CORE} names a folder of the machine that built it: /home/jo"),
        ({SBOM: b'"path+file:///Users/jo/msys-track#0.1.0"'},
         f"{SBOM} names a folder of the machine that built it: /Users/jo"),
        ({f"{INFO}METADATA": METADATA.replace(b">=3.11", b">=3.9")},
         "Requires-Python is >=3.9, and should be >=3.11"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_wheel_is_named(
    changes: Mapping[str, bytes | None], fault: str, tmp_path: Path
) -> None:
    assert find_wheel_faults(make_wheel(tmp_path, changes)) == [fault]


def test_a_wheel_that_is_too_large_is_named(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, {CORE: bytes(MAX_WHEEL_BYTES)})
    [fault] = find_wheel_faults(path)
    assert fault == f"it has {path.stat().st_size:,} bytes, and may have {MAX_WHEEL_BYTES:,}"


def make_sdist(folder: Path, *, without: Callable[[str], bool]) -> Path:
    path = folder / f"{NAME}.tar.gz"
    names = [f"python/{name}" for name in list_package_files()]
    names += ["Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "pyproject.toml", "rust/lib.rs"]
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            if not without(name):
                archive.add(ROOT / name, f"{NAME}/{name}")
        about = tarfile.TarInfo(f"{NAME}/PKG-INFO")
        about.size = len(METADATA)
        archive.addfile(about, io.BytesIO(METADATA))
    return path


def test_a_source_that_pip_can_build_has_no_faults(tmp_path: Path) -> None:
    assert find_sdist_faults(make_sdist(tmp_path, without=lambda _: False)) == []


def test_a_source_without_the_versions_of_its_crates_is_named(tmp_path: Path) -> None:
    path = make_sdist(tmp_path, without=lambda name: name == "Cargo.lock")
    assert find_sdist_faults(path) == ["Cargo.lock is missing"]


def test_the_command_fails_where_there_is_a_fault_or_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tmp_path) == 2
    assert "hint: make wheel" in capsys.readouterr().err
    path = make_wheel(tmp_path, {"tests/conftest.py": b""})
    assert main(tmp_path) == 1
    shown = capsys.readouterr().out
    assert shown.startswith(f"{path.name}: ")
    assert shown.endswith("1 faults\n  tests/conftest.py does not belong there\n")


def test_moving_a_wheel_takes_the_checkout_s_name_out_of_its_list_of_parts(tmp_path: Path) -> None:
    built, published = tmp_path / "built", tmp_path / "published"
    built.mkdir()
    published.mkdir()
    old = make_wheel(built, {SBOM: b'"path+file:///home/jo/msys-track#0.1.0"'})
    script = ROOT / "scripts" / "move-wheels"
    arguments = map(str, (script, built, published, "/home/jo/msys-track"))
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)  # noqa: S603
    assert not old.exists()
    [new] = published.iterdir()
    assert find_wheel_faults(new) == []
    with zipfile.ZipFile(new) as wheel:
        assert wheel.read(SBOM) == b'"path+file:///msys-track#0.1.0"'
        recorded = csv.reader(wheel.read(f"{INFO}RECORD").decode().splitlines())
        for name, kept, size in recorded:
            if name != f"{INFO}RECORD":
                content = wheel.read(name)
                assert (kept, int(size)) == (digest(content), len(content))
