"""The stub of the compiled core is written by hand; here it is held against the core itself."""

import subprocess
import sys

import pytest


@pytest.mark.timeout(300)  # mypy reads the typeshed; without its cache that takes a while
def test_the_stub_tells_what_the_core_has() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "msys_track._core", "--concise"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stdout + checked.stderr
