"""The promise of fidelity over a whole corpus, by each engine; `make corpus` prints a summary.

```sh
python -m tests.rewriting.corpus            # everything, some minutes
python -m tests.rewriting.corpus --every 20 # each twentieth item
```
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests import oracle, shared_corpus
from tests.rewriting import forms
from tests.rewriting.judge import Judge, Verdict
from tests.rewriting.plans import KEYS, URLS, engagement

from msys_track.comparison.fidelity.inputs import MOST_JUDGED_BYTES, READ_OTHERWISE
from msys_track.rewriting.engine import Engine, Plan, Rendered
from msys_track.rewriting.engines import ENGINES, find_engine
from msys_track.rewriting.rules import Rules

FORMS: Final = ("8bit", "quoted-printable", "base64")
"""The transfer encodings that each template is sent in."""
_JUDGE: Final = Judge(KEYS, r"https://click\.example\.com")
_MOST_COMPARED_BYTES: Final = 1_000_000
"""Of hostile input too. In pure Python 200,000 links need some gigabytes."""
_SHOWN_FAULTS: Final = 100


@dataclass(slots=True)
class Tally:
    """What came of all messages."""

    messages: Counter[str] = field(default_factory=Counter)
    """How many there were, by their source."""
    links: int = 0
    """Links to http and https that Lexbor finds in HTML."""
    wrapped: int = 0
    reopened: int = 0
    """Pages in which a browser opens a formatting element again, around the pixel."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why the other links were left alone."""
    all_reasons: Counter[str] = field(default_factory=Counter)
    """Everything that was left alone: links of any kind and place, parts, messages."""
    tracked_urls: Counter[str] = field(default_factory=Counter)
    """Tracked URLs that were opened, by the kind of their event."""
    unjudged: int = 0
    """Hostile messages that are not for the judge; their edits were checked."""
    compared: int = 0
    """Copies that a second engine made too."""
    faults: list[str] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        """Count what was found in one message."""
        self.links += verdict.links
        self.wrapped += verdict.wrapped
        self.reopened += verdict.reopened
        self.reasons += verdict.reasons
        self.tracked_urls += verdict.tracked_urls


def every_message(every: int = 1) -> Iterator[tuple[str, str, bytes]]:
    """Yield source, name and bytes of each message, or of each `every`th of a source."""
    for number, (name, message) in enumerate(shared_corpus.messages()):
        if number % every == 0:
            yield "messages", name, message
    for number, (name, html) in enumerate(shared_corpus.templates()):
        if number % every == 0:
            chance = Random(name)  # noqa: S311 - the same each time
            for form in FORMS:
                message = forms.message(html, encoder=form, container="alternative", chance=chance)
                yield f"templates, {form}", name, message
    for number, (name, data, kind) in enumerate(shared_corpus.hostile()):
        if number % every == 0:
            yield "hostile", name, data if kind == "message" else forms.message(data)


def run(engines: Sequence[str] = ENGINES, *, every: int = 1) -> Tally:
    """Judge the first engine's copies, and compare the other engines' copies with them."""
    tally = Tally()
    first, *others = map(find_engine, engines)
    for source, name, message in every_message(every):
        tally.messages[source] += 1
        try:
            is_judged = source != "hostile" or (
                name not in READ_OTHERWISE and len(message) <= MOST_JUDGED_BYTES
            )
            compared = others if len(message) <= _MOST_COMPARED_BYTES else []
            _check(tally, message, first, compared, is_judged=is_judged)
        except Exception as error:  # noqa: BLE001 - counted, so that one run finds all
            told = str(error).partition("\n")[0][:200]
            tally.faults.append(f"{source} {name[:16]}: {type(error).__name__}: {told}")
    return tally


def _check(
    tally: Tally, message: bytes, first: Engine, others: Sequence[Engine], *, is_judged: bool
) -> None:
    plan, copy = _rewrite(first, message)
    left_alone = [*plan.left_alone, *copy.left_alone]
    tally.all_reasons.update(each.reason for each in left_alone)
    assert oracle.replay_edits(message, copy.edits) == copy.message, "the edits don't make it"
    assert oracle.undone(message, copy.message, copy.edits) == message, "can't be undone"
    if is_judged:
        verdict = _JUDGE.judge(message, copy.message, left_alone)
        tally.add(verdict)
        seen = verdict.tracked_urls.total()
        assert seen == copy.wrapped_links + copy.pixels, "not all tracked URLs were seen"
    else:
        tally.unjudged += 1
    for other in others:
        tally.compared += 1
        again, other_copy = _rewrite(other, message)
        assert _describe(again, other_copy) == _describe(plan, copy), "the engines differ"


def _rewrite(engine: Engine, message: bytes) -> tuple[Plan, Rendered]:
    plan = engine.plan(message, Rules(), drop_headers=[b"X-MSYS-API"])
    asked = engagement(open_tracking=True, initial_pixel=True, amp_enabled=plan.has_amp)
    return plan, plan.render(KEYS, asked, URLS)


def _describe(plan: Plan, copy: Rendered) -> tuple[object, ...]:
    links = [(each.offset, each.length, each.target, each.where) for each in plan.links]
    left_alone = sorted(
        (each.offset, each.length, each.reason, each.target or "")
        for each in (*plan.left_alone, *copy.left_alone)
    )
    return copy.message, [tuple(each) for each in copy.edits], links, left_alone


def report(tally: Tally) -> Iterator[str]:
    """Yield the lines that say what came of it, as Markdown."""
    yield f"{tally.messages.total():,} messages"
    yield from (f"  {count:>7,}  {source}" for source, count in tally.messages.items())
    yield f"{tally.unjudged} hostile ones are not for the judge; their edits were checked"
    yield f"{tally.links:,} links to http and https in their HTML, as Lexbor finds them"
    left = tally.reasons.most_common()
    for what, count in (("wrapped", tally.wrapped), *left):
        yield f"  {count:>7,}  {count / max(tally.links, 1):8.4%}  {what}"
    yield f"{tally.reopened} pages in which a browser opens a <font> or the like again for a pixel"
    yield f"{tally.tracked_urls.total():,} tracked URLs opened"
    yield from (f"  {count:>7,}  {kind}" for kind, count in tally.tracked_urls.most_common())
    yield f"{tally.all_reasons.total():,} links, parts and messages left alone"
    yield from (f"  {count:>7,}  {reason}" for reason, count in tally.all_reasons.most_common())
    yield f"{tally.compared:,} copies made by another engine too"
    yield f"{len(tally.faults)} faults"
    yield from tally.faults[:_SHOWN_FAULTS]


def main() -> int:
    """Run it, print the tally; 1 if there was a fault, 2 if there is no corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take each nth item only")
    parser.add_argument("--engines", default=",".join(ENGINES), help="the first one is judged")
    asked = parser.parse_args()
    if not shared_corpus.FOLDER.is_dir():
        print(f"error: the mail corpus is not at {shared_corpus.FOLDER}", file=sys.stderr)  # noqa: T201
        return 2
    tally = run(asked.engines.split(","), every=asked.every)
    print("\n".join(report(tally)))  # noqa: T201
    return 1 if tally.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
