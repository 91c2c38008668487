"""Comparisons as JSON in the format of pytest-benchmark, so that its tools read them.

`pytest-benchmark compare FILE` shows them. Beyond that format, `extra_info` has what was done to
the mail, and how the time stood to ours.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest_benchmark
from pytest_benchmark.plugin import pytest_benchmark_generate_machine_info

from msys_track.comparison.measure import Comparison, Measured

_COUNTS: Final = ("wrapped", "missed", "broken", "bytes_changed", "structures")
"""What of `Damage` stands in the JSON."""


def write_json(comparisons: Sequence[Comparison]) -> str:
    """Write everything that was measured, each round included."""
    figures = {
        "machine_info": pytest_benchmark_generate_machine_info(),
        "commit_info": {},
        "benchmarks": [
            described
            for comparison in comparisons
            for result in comparison.results
            if (described := _describe(comparison, result)) is not None
        ],
        "datetime": dt.datetime.now(dt.UTC).isoformat(),
        "version": pytest_benchmark.__version__,
    }
    return json.dumps(figures, indent=1) + "\n"


def _describe(comparison: Comparison, result: Measured) -> Mapping[str, Any] | None:
    """Return what was measured; None of who failed."""
    if result.times is None or result.slower is None or result.work is None:
        return None
    return {
        "group": comparison.mail.name,
        "name": result.title,
        "fullname": f"{comparison.mail.name}::{result.title}",
        "params": None,
        "param": None,
        "extra_info": {
            "times_ours": result.slower.median,
            "links": comparison.links,
            "seals": result.seals,
            "work": {name: getattr(result.work, name) for name in _COUNTS},
        },
        "options": {},
        "stats": {
            **result.times.as_dict(),
            "data": result.times.data,
            "iterations": 1,
        },
    }
