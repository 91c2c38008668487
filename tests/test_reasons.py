"""Python's reasons and the core's are one list; it stands twice, so it is compared."""

from msys_track import _core
from msys_track.reasons import Reason


def test_every_reason_of_the_core_has_a_name_in_python() -> None:
    assert set(_core.REASONS) - set(Reason) == set()


def test_every_reason_in_python_is_one_of_the_core() -> None:
    assert set(Reason) - set(_core.REASONS) == set()


def test_the_core_lists_no_reason_twice() -> None:
    assert len(_core.REASONS) == len(set(_core.REASONS))
