"""The line that says where something was measured."""

import os
import platform
from pathlib import Path

import pytest

from msys_track.comparison.machine import describe_machine, name_cpu


@pytest.mark.parametrize(
    ("cpuinfo", "named"),
    [
        (
            "processor\t: 0\nmodel name\t: Intel(R) Xeon(R)\ncpu family\t: 6\nmodel\t\t: 207\n",
            "Intel(R) Xeon(R) (family 6, model 207)",
        ),
        ("processor\t: 0\nmodel name\t: ARMv7 Processor\n", "ARMv7 Processor"),
        ("processor\t: 0\nCPU part\t: 0xd0c\n", "unknown"),
    ],
    ids=["x86", "ARM, 32 bits", "ARM, 64 bits"],
)
def test_a_cpu_is_named_as_linux_names_it(cpuinfo: str, named: str, tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo)
    assert name_cpu(file) == named


def test_a_cpu_is_named_as_python_names_it_where_the_system_has_no_file(tmp_path: Path) -> None:
    assert name_cpu(tmp_path / "none") == (platform.processor() or "unknown")


def test_a_system_that_does_not_tell_its_load_is_described_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "getloadavg", raising=False)  # Windows has none
    described = describe_machine()
    assert f"{platform.system()} {platform.machine()}" in described
    assert "load" not in described
