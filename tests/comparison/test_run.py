"""A whole bench, on a file."""

import sys
from pathlib import Path

import pytest

from msys_track.comparison.run import compare_all


def test_without_its_package_our_python_engine_is_left_out_and_the_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(b"<p><a href='http://shop.example/'>x</a>")
    monkeypatch.setitem(sys.modules, "cryptography", None)
    found = compare_all([page], [], seconds=0.001)
    assert found.missing[0] == "cryptography"
    [comparison] = found.comparisons
    assert "msys-track, pure Python" not in [each.name for each in comparison.results]
