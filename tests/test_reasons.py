import re
from pathlib import Path

from msys_track import _core
from msys_track.reasons import Reason

PAGE = (Path(__file__).parents[1] / "docs" / "reasons.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| [^|]+ \| ([^|]*?) \|", re.MULTILINE)


def test_the_core_has_the_same_reasons() -> None:
    assert {reason.value for reason in Reason} == set(_core.REASONS)


def test_the_page_has_every_reason_and_its_meaning_in_the_same_words() -> None:
    documented = {code: meaning.replace("`", "") for code, meaning in ROW.findall(PAGE)}
    assert documented == {reason.value: reason.meaning for reason in Reason}
