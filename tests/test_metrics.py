from msys_track.metrics import Counters


def test_a_snapshot_does_not_move() -> None:
    counters = Counters()
    counters.add("messages.accepted")
    before = counters.snapshot()
    counters.add("messages.accepted")
    counters.add("copies.links", 7)
    assert dict(before) == {"messages.accepted": 1}
    assert dict(counters.snapshot()) == {"messages.accepted": 2, "copies.links": 7}


def test_named_counters_are_there_from_the_start() -> None:
    counters = Counters(("clicks", "opens"))
    counters.add("opens")
    assert dict(counters.snapshot()) == {"clicks": 0, "opens": 1}
    assert counters["never counted"] == 0
    assert "never counted" not in counters.snapshot()
