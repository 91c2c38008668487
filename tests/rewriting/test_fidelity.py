"""A sample of the corpus before a judge that is no code of ours; `make corpus` takes all of it."""

import pytest
from tests import shared_corpus
from tests.thoroughness import IS_THOROUGH

corpus = pytest.importorskip(
    "tests.rewriting.corpus", reason="Lexbor (selectolax) is not installed"
)


@shared_corpus.needs_corpus
def test_a_browser_finds_each_link_wrapped_or_left_alone_for_a_reason() -> None:
    tally = corpus.run(every=25 if IS_THOROUGH else 75)
    assert tally.faults == []
    assert tally.wrapped > 100
    assert tally.links == tally.wrapped + tally.reasons.total()
    assert tally.compared == tally.messages.total()
