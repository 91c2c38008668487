"""The gate of `make bench-check`: ratios against those of the last release."""

import json
from pathlib import Path

import pytest
from benches import ratios
from tests.comparison.results import comparison, measured

from msys_track.comparison.figures import write_json

PEERS = ("lxml", "regex", "soup")


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    file = tmp_path / "baseline.json"
    assert (
        ratios.main([str(figures(tmp_path, (10, 2, 100))), "--write", f"--baseline={file}"]) == 0
    )
    return file


def figures(folder: Path, times: tuple[float, ...], version: str = "1.0") -> Path:
    """Write figures of a run in which each peer took so many times as long as we did."""
    ours = measured("msys-track", 1, times=(1, 1, 1))
    peers = [measured(name, 1, times=(took,) * 3) for name, took in zip(PEERS, times, strict=True)]
    text = write_json([comparison(ours, *peers)]).replace(" 1.0", f" {version}")
    file = folder / "figures.json"
    file.write_text(text, encoding="utf-8")
    return file


def check(folder: Path, baseline: Path, *times: float, version: str = "1.0") -> int:
    return ratios.main([str(figures(folder, times, version)), f"--baseline={baseline}"])


def test_a_baseline_has_ratios_and_no_times(baseline: Path) -> None:
    kept = json.loads(baseline.read_text())
    assert kept["ratios"] == {
        "letter": {"msys-track": {"lxml 1.0": 10, "regex 1.0": 2, "soup 1.0": 100}}
    }


@pytest.mark.parametrize("times", [(10, 2, 100), (9.2, 1.84, 92), (20, 4, 200)])
def test_as_fast_as_before_or_a_little_slower_or_faster_passes(
    times: tuple[float, ...], tmp_path: Path, baseline: Path
) -> None:
    assert check(tmp_path, baseline, *times) == 0


def test_slower_than_is_tolerated_fails_and_says_what(
    tmp_path: Path, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, baseline, 8, 1.6, 80) == 1
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: letter: msys-track is 25 % slower than in 0.")
    assert error.endswith("by 3 peers: 1.6 times as fast as regex 1.0, was 2")
    assert hint.startswith("  hint: 15% are tolerated")


def test_one_peer_that_became_quicker_by_itself_is_no_fault_of_ours(
    tmp_path: Path, baseline: Path
) -> None:
    assert check(tmp_path, baseline, 10, 2, 10) == 0


def test_peers_of_other_versions_are_not_compared(
    tmp_path: Path, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, baseline, 1, 1, 1, version="2.0") == 1
    assert "no peer is of a version that baseline.json has" in capsys.readouterr().err


def test_the_committed_baseline_is_of_the_mails_and_peers_that_are_compared() -> None:
    kept = json.loads(ratios.BASELINE.read_text())["ratios"]
    assert list(kept) == ["newsletter-80", "newsletter-80-qp", "newsletter-10", "order"]
    assert all(len(peers) == 6 for ours in kept.values() for peers in ours.values())
