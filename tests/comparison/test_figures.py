"""Comparisons as JSON: tools of pytest-benchmark read it."""

import json
import re
import sys
from pathlib import Path

from tests.comparison.results import OURS, comparison, failed, measured
from tests.processes import run

from msys_track.comparison.figures import write_json

FOUND = comparison(OURS, measured("peer", 12.5, structures=3), failed("broken"))


def test_pytest_benchmark_compares_what_was_written(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    file.write_text(write_json([FOUND]), encoding="utf-8")
    command = (sys.executable, "-m", "pytest_benchmark")
    shown = run(tmp_path, "compare", str(file), "--columns=median,rounds", command=command)
    assert shown.code == 0, shown.errors
    rows = shown.output.decode().splitlines()
    named = [row.split()[0] for row in rows if re.match(r"(msys-track|peer) ", row)]
    assert named == ["msys-track", "peer"]


def test_each_has_its_rounds_and_what_it_did_to_the_mail() -> None:
    ours, peer = json.loads(write_json([FOUND]))["benchmarks"]
    assert (ours["group"], ours["name"]) == ("letter", "msys-track")
    assert (peer["name"], peer["stats"]["data"]) == ("peer 1.0", [0.0125] * 3)
    assert peer["extra_info"]["times_ours"] == 3
    assert peer["extra_info"]["work"]["structures"] == 3
