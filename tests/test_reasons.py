import re
from pathlib import Path

from msys_track import _core
from msys_track.reasons import Reason

PAGE = (Path(__file__).parents[1] / "docs" / "reasons.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| [^|]+ \| ([^|]*?) \|", re.MULTILINE)


def test_members_and_meanings_are_those_of_the_core() -> None:
    plain = {code: meaning.replace("`", "") for code, meaning in _core.REASONS.items()}
    assert {reason.value: reason.meaning for reason in Reason} == plain
    assert [reason.name.lower() for reason in Reason] == list(_core.REASONS)


def test_the_page_has_every_reason_and_its_meaning_in_the_same_words() -> None:
    rows = {code: f"| `{code}` | … | {meaning} | … |" for code, meaning in _core.REASONS.items()}
    assert {code: f"| `{code}` | … | {text} | … |" for code, text in ROW.findall(PAGE)} == rows
