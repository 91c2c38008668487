"""Runs every way over every input and writes the tables of `docs/fidelity.md`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msys_track.comparison.fidelity.inputs import BUNDLED, CORPUS, list_bundled, list_corpus
from msys_track.comparison.fidelity.page import write_tables
from msys_track.comparison.fidelity.tally import Tally
from msys_track.comparison.fidelity.watched import Input, run_way
from msys_track.comparison.fidelity.ways import find_ways
from msys_track.comparison.peers import list_missing

DAMAGE: Final = 1
NO_CORPUS: Final = 2


def run_report(arguments: Sequence[str] | None = None) -> int:
    """Run every way and write the tables.

    Returns:
        The exit code: 0, `DAMAGE` if a way of ours did any, `NO_CORPUS` if there is no corpus:
        then the inputs that come with the package were judged.

    Raises:
        UnmarkedPageError: the page has no markers for the tables.
        OSError: the page can't be read or written.
    """
    parser = argparse.ArgumentParser(prog="python -m msys_track.comparison.fidelity")
    parser.add_argument(
        "--corpus", type=Path, default=Path("../shared/corpus"), help="its folder (%(default)s)"
    )
    parser.add_argument("--every", type=int, default=1, help="each nth item of the corpus only")
    parser.add_argument("--page", type=Path, help="write the tables into this page")
    asked = parser.parse_args(arguments)
    has_corpus = (asked.corpus / "corpus.py").is_file()
    inputs = list(list_bundled())
    if has_corpus:
        inputs += list_corpus(asked.corpus, asked.every)
    tally, ours = _judge(inputs)
    tables = {"bundled": "\n".join(tally.write(BUNDLED))}
    if has_corpus:
        tables["corpus"] = "\n".join(tally.write(CORPUS))
    if asked.page is None:
        _say("\n\n".join(tables.values()))
    else:
        page = asked.page.read_text(encoding="utf-8")
        asked.page.write_text(write_tables(page, tables), encoding="utf-8")
    if missing := list_missing():
        _tell(f"not compared, as they are not installed: pip install {' '.join(missing)}")
    faults = list(tally.list_faults(ours))
    for fault in faults:
        _tell(f"error: {fault}")
    if not has_corpus:
        _tell(
            f"error: the mail corpus is not at {asked.corpus}, so that only the inputs of the "
            "package were judged; --corpus names its folder"
        )
    return DAMAGE if faults else 0 if has_corpus else NO_CORPUS


def _judge(inputs: Sequence[Input]) -> tuple[Tally, list[str]]:
    tally, ours = Tally(), []
    for way in find_ways():
        _tell(f"{way.name}: {len(inputs):,} inputs")
        if way.is_ours:
            ours.append(way.name)
        for each, outcome in run_way(way, inputs):
            tally.add(way.name, each, outcome)
    return tally, ours


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
