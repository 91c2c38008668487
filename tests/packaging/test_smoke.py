"""An interpreter is tried with the wheel that pip would choose for it, on this system."""

import platform
import sys
from pathlib import Path

import pytest
from tests.packaging.smoke import Interpreter, choose_wheel, find_interpreters

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the names are those of Linux")

HERE = platform.machine()
LIBC, OTHER = "manylinux_2_17", "musllinux_1_2"
if platform.libc_ver()[0] != "glibc":
    LIBC, OTHER = OTHER, LIBC


def wheel(tags: str) -> Path:
    return Path(f"msys_track-1.0-{tags}.whl")


STABLE = wheel(f"cp311-abi3-{LIBC}_{HERE}")
WITHOUT_GIL = wheel(f"cp314-cp314t-{LIBC}_{HERE}")
ELSEWHERE = [
    wheel(f"cp311-abi3-{each}") for each in (f"{OTHER}_{HERE}", f"{LIBC}_vax", "win_amd64")
]


@pytest.mark.parametrize(
    ("tag", "chosen"),
    [("cp311", STABLE), ("cp315", STABLE), ("cp314t", WITHOUT_GIL), ("cp315t", None)],
)
def test_a_wheel_is_chosen_by_its_tags(tag: str, chosen: Path | None) -> None:
    wheels = [*ELSEWHERE, WITHOUT_GIL, STABLE]
    assert choose_wheel(wheels, Interpreter("python", "3", tag)) == chosen


def test_an_interpreter_that_was_named_is_asked_what_it_is() -> None:
    [found] = find_interpreters([getattr(sys, "_base_executable", sys.executable)])
    assert found.version == platform.python_version()
    assert found.tag.startswith(f"cp{sys.version_info.major}{sys.version_info.minor}")
