"""The stub of the compiled core is written by hand; here it is held against the core itself."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(300)  # mypy reads the typeshed; without its cache that takes a while
def test_the_stub_tells_what_the_core_has(tmp_path: Path) -> None:
    settings = tmp_path / "mypy.ini"
    # What types our own Python has is for mypy itself.
    settings.write_text("[mypy]\nfollow_imports = skip\n", encoding="utf-8")
    checked = subprocess.run(  # noqa: S603 - our own
        [
            sys.executable,
            "-m",
            "mypy.stubtest",
            "msys_track._core",
            "--concise",
            "--mypy-config-file",
            str(settings),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stdout + checked.stderr
