import re
from pathlib import Path

import pytest

from msys_track import _core
from msys_track.reasons import Reason

PAGE = (Path(__file__).parents[1] / "docs" / "reasons.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| [^|]+ \| ([^|]*?) \|", re.MULTILINE)


def test_a_member_has_the_name_of_its_code_and_no_other_name_is_one() -> None:
    assert {reason.name.lower() for reason in Reason} == set(_core.REASONS)
    assert Reason.NOT_HTTP is Reason("not_http")
    with pytest.raises(AttributeError):
        _ = Reason.NOT_HTTPS


def test_the_meaning_is_the_core_s_as_plain_text() -> None:
    assert Reason.NO_INITIAL_PIXEL_PLACE.meaning.startswith("the HTML has no <body> tag, so that")
    assert not any("`" in reason.meaning for reason in Reason)


def test_the_page_has_every_reason_and_its_meaning_in_the_same_words() -> None:
    rows = {code: f"| `{code}` | … | {meaning} | … |" for code, meaning in _core.REASONS.items()}
    assert {code: f"| `{code}` | … | {text} | … |" for code, text in ROW.findall(PAGE)} == rows
