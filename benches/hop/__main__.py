"""The proxy beside a bare TCP hop: `make bench-smtp`. Prints tables and which bars are missed.

All hops run at one time in front of one sink and take turns in interleaved rounds (`race.py`);
what counts are ratios to haproxy, which only copies bytes. Ends with 1 where a bar is missed.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benches.conftest import Report
from benches.hop import anatomy, instructions, mails, measures
from benches.hop.bars import Results, say
from benches.hop.hops import DIRECT, PASSING, TRACKING, Bench, Hop, find_programs
from benches.hop.load import write_mail
from benches.hop.measures import Side

MEASURES: Mapping[str, Callable[[Side], None]] = {
    "speed": measures.measure_speed,
    "connections": measures.measure_new_connections,
    "latency": measures.measure_latency,
    "recipients": measures.measure_recipients,
    "big": measures.measure_big_mails,
    "memory": measures.measure_memory,
    "growth": measures.measure_growth,
    "workers": measures.measure_workers,
    "anatomy": anatomy.measure_anatomy,
    "instructions": instructions.measure_instructions,
}
_WITHOUT_BARS = ("growth", "workers", "anatomy", "instructions")


def main() -> int:
    arguments = _read_arguments()
    programs = find_programs()
    if programs is None:
        say("skipped: smtp-source, smtp-sink and haproxy are needed; scripts/mail-tools gets them")
        return 0
    report, results = Report(), Results()
    with tempfile.TemporaryDirectory() as folder, Bench(Path(folder), programs) as bench:
        sink = bench.start_sink()
        upstream = sink.port
        hops = (
            Hop(name=DIRECT, port=upstream),
            bench.start_haproxy(upstream),
            bench.start_proxy(TRACKING, upstream, tracking=True),
            bench.start_proxy(PASSING, upstream, tracking=False),
            bench.start_stock(upstream),
        )
        side = Side(
            bench=bench,
            sink=sink,
            hops={each.name: each for each in hops},
            files={
                "3.8 KB": write_mail(Path(folder) / "small.eml", mails.small()),
                "40 KB": write_mail(Path(folder) / "large.eml", mails.large()),
            },
            rounds=arguments.rounds,
            slice_seconds=arguments.slice,
            memory_mails=arguments.mails,
            results=results,
            report=report,
        )
        measures.check_mails(side)
        for name in arguments.only or (each for each in MEASURES if each not in _WITHOUT_BARS):
            MEASURES[name](side)
    head = ["", "bar", "measured", "middle half of the rounds", ""]
    if results.rows:
        report.table("Bars", head, results.table())
    print(report.text())  # noqa: T201 - what it is for
    for missed in results.missed:
        say(f"missed: {missed.what}: {missed.measured:.2f}, {missed.way} {missed.bar:g}")
    return 1 if results.missed else 0


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches.hop", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds of each table")
    parser.add_argument(
        "--slice", type=float, default=0.5, help="seconds that a hop gets of a round"
    )
    parser.add_argument(
        "--mails", type=int, default=20_000, help="for memory; 100000 is the figure that counts"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=MEASURES,
        help="measure this only; may be given several times. growth, workers, anatomy and "
        "instructions have no bar and are measured only when they are named",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
