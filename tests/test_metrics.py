import ast
import re
from pathlib import Path

import pytest

from msys_track.metrics import (
    BOUNDS,
    COUNTERS,
    GAUGES,
    Counters,
    Figures,
    find_quantile,
    write_exposition,
)

PACKAGE = Path(__file__).resolve().parents[1] / "python" / "msys_track"
SAMPLE = re.compile(
    r'(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)(?P<labels>\{[a-z]+="(?:[^"\\\n]|\\.)*"(?:,[a-z]+="[^"]*")?\})?'
    r" (?P<value>-?[0-9.e+-]+)"
)


def test_a_snapshot_does_not_move() -> None:
    counters = Counters()
    counters.add("messages.accepted")
    before = counters.snapshot()
    counters.add("messages.accepted")
    counters.add("copies.links", 7)
    assert dict(before) == {"messages.accepted": 1}
    assert dict(counters.snapshot()) == {"messages.accepted": 2, "copies.links": 7}


def test_many_different_groups_are_added_up() -> None:
    counters = Counters()
    for number in range(300):
        counters.add_each(((f"one.{number}", 1), ("all", 2)))
    assert counters["all"] == 600
    assert counters["one.299"] == 1
    assert len(counters.snapshot()) == 301


def test_named_counters_are_there_from_the_start() -> None:
    counters = Counters(("clicks", "opens"))
    counters.add("opens")
    assert dict(counters.snapshot()) == {"clicks": 0, "opens": 1}
    assert counters["never counted"] == 0
    assert "never counted" not in counters.snapshot()


def test_a_time_is_in_the_bucket_of_its_bound_and_in_the_sum() -> None:
    counters = Counters()
    for seconds in (0.0, 0.001, 0.0011, 1000.0):
        counters.observe({"relay": seconds})
    row = counters.times()["relay"]
    counters.observe({"relay": 1.0})
    assert len(row) == len(BOUNDS) + 2
    assert row[:3] == [1, 1, 1]
    assert row[-2] == 1
    assert row[-1] == pytest.approx(1000.0021)
    assert sum(row[:-1]) == 4


def test_figures_of_several_workers_are_added_and_those_of_the_past_have_no_gauges() -> None:
    one, two = Counters(), Counters()
    for each in (one, two):
        each.add("messages.accepted", 2)
        each.observe({"total": 0.2})
    total = Figures()
    gauges = {"sessions": 3.0, "spool.copies": 5.0, "spool.oldest_seconds": 70.0}
    total.add(Figures(dict(one.snapshot()), gauges, dict(one.times())))
    total.add(Figures(dict(two.snapshot()), gauges, dict(two.times())))
    total.add(Figures({"messages.accepted": 1}, {"sessions": 9.0}), is_over=True)
    assert total.counters == {"messages.accepted": 5}
    # Workers have clients of their own, and one spool together.
    assert total.gauges == {**gauges, "sessions": 6.0}
    assert (sum(total.times["total"][:-1]), total.times["total"][-1]) == (2, 0.4)
    assert Figures.of_json(total.as_json()) == total


def exposed(figures: Figures) -> dict[str, float]:
    """Read an exposition strictly: each sample under the HELP and TYPE of its metric."""
    samples: dict[str, float] = {}
    name = kind = ""
    described: set[str] = set()
    text = write_exposition(figures)
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, _, about = line.removeprefix("# HELP ").partition(" ")
            assert about
            assert name not in described
            described.add(name)
        elif line.startswith("# TYPE "):
            assert line.split()[2] == name
            kind = line.split()[3]
        else:
            found = SAMPLE.fullmatch(line)
            assert found is not None, line
            suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            assert found["name"] in {name + each for each in suffixes}
            assert line.rpartition(" ")[0] not in samples
            samples[line.rpartition(" ")[0]] = float(found["value"])
    return samples


def test_an_exposition_has_reasons_as_labels() -> None:
    samples = exposed(
        Figures({"messages.refused.header": 2, "left_alone.not_http": 1, 'left_alone.a"b\\': 3})
    )
    assert samples['msys_track_messages_refused_total{why="header"}'] == 2
    assert samples['msys_track_left_alone_total{reason="not_http"}'] == 1
    assert samples[r'msys_track_left_alone_total{reason="a\"b\\"}'] == 3
    # What has no reasons is there before it is counted: a rate needs a zero to begin with.
    assert samples["msys_track_messages_accepted_total"] == 0


def test_an_exposition_has_gauges_and_cumulative_buckets() -> None:
    counters = Counters()
    for seconds in (0.0001, 0.002, 99.0):
        counters.observe({"rewrite": seconds})
    samples = exposed(Figures(gauges={"sessions": 4.0}, times=dict(counters.times())))
    assert samples["msys_track_sessions"] == 4
    name = "msys_track_stage_seconds"
    buckets = [samples[f'{name}_bucket{{stage="rewrite",le="{le}"}}'] for le in BOUNDS]
    assert buckets[:3] == [1, 1, 2]
    assert buckets[-1] == 2
    assert samples[f'{name}_bucket{{stage="rewrite",le="+Inf"}}'] == 3
    assert samples[f'{name}_count{{stage="rewrite"}}'] == 3
    assert samples[f'{name}_sum{{stage="rewrite"}}'] == pytest.approx(99.0021)
    assert samples[f'{name}_count{{stage="total"}}'] == 0


def test_a_counter_that_nobody_described_is_shown_too() -> None:
    assert exposed(Figures({"new.thing": 1}))["msys_track_new_thing_total"] == 1


def test_quantiles_lie_within_their_bucket() -> None:
    counters = Counters()
    assert find_quantile([0.0] * (len(BOUNDS) + 2), 0.5) is None
    for _ in range(100):
        counters.observe({"total": 0.04})
    row = counters.times()["total"]
    assert find_quantile(row, 0.5) == pytest.approx(0.0375)
    assert find_quantile(row, 1.0) == 0.05
    counters.observe({"total": 1e6})
    assert find_quantile(counters.times()["total"], 1.0) == BOUNDS[-1]


def find_counted(room: Path) -> set[str]:
    """Find the names that code counts, with `*` for what is only known later."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(room.read_text(encoding="utf-8"))):
        if (
            not isinstance(node, ast.Call)
            or not isinstance(node.func, ast.Attribute | ast.Name)
            or (getattr(node.func, "attr", None) or getattr(node.func, "id", None)) != "add"
            or not node.args
        ):
            continue
        branches = [node.args[0]]
        if isinstance(node.args[0], ast.IfExp):
            branches = [node.args[0].body, node.args[0].orelse]
        for each in branches:
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                names.add(each.value)
            elif isinstance(each, ast.JoinedStr):
                names.add(
                    "".join(
                        str(p.value) if isinstance(p, ast.Constant) else "*" for p in each.values
                    )
                )
    return names


def test_every_counter_of_the_proxy_is_described() -> None:
    counted: set[str] = set()
    for room in ("injection", "relay", "spool", "policy", "signing"):
        for source in (PACKAGE / room).rglob("*.py"):
            counted |= {name for name in find_counted(source) if "." in name}
    assert "messages.accepted" in counted
    for name in counted:
        family = name.removesuffix(".*") if name.endswith(".*") else name
        has_label = family != name
        family = family if family in COUNTERS else family.rpartition(".")[0]
        assert family in COUNTERS, name
        assert not has_label or COUNTERS[family].label, name
    assert not COUNTERS.keys() & GAUGES.keys()
