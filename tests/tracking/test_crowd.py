"""Who may come in and who has to go, without sockets."""

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from msys_track.metrics import Counters
from msys_track.tracking.crowd import Crowd


class Someone:
    def __init__(self, since: float, *, busy: bool = False) -> None:
        self.quiet_since = since
        self.busy = busy
        self.has_gone = False

    def may_give_way(self, now: float) -> bool:
        assert now >= 0
        return not self.busy

    def give_way(self) -> None:
        self.has_gone = True


def make(most: int = 3, per_address: int = 2, time: list[float] | None = None) -> Crowd:
    times = time or [100.0]
    exempt = (ip_network("10.0.0.0/8"),)
    return Crowd(most, per_address, exempt, Counters(), lambda: times[0])


def test_the_longest_quiet_goes_first_and_the_busy_stay() -> None:
    crowd = make(per_address=9)
    busy, later, earlier = Someone(1, busy=True), Someone(3), Someone(2)
    for each in (busy, later, earlier):
        assert crowd.admit(each, "192.0.2.1")
    assert crowd.admit(Someone(9), "192.0.2.2")
    assert (busy.has_gone, later.has_gone, earlier.has_gone) == (False, False, True)


def test_one_that_was_heard_again_is_not_the_quietest() -> None:
    crowd = make(most=20, per_address=20)
    members = [Someone(number) for number in range(20)]
    for each in members:
        crowd.admit(each, "192.0.2.1")
    crowd.admit(Someone(50), None)
    assert members[0].has_gone
    members[1].quiet_since = 60
    crowd.admit(Someone(61), None)
    assert [each.has_gone for each in members[:3]] == [True, False, True]


def test_nobody_comes_in_where_all_are_busy() -> None:
    time = [100.0]
    crowd = make(time=time)
    members = [Someone(number, busy=True) for number in range(3)]
    for each in members:
        crowd.admit(each, None)
    assert not crowd.admit(Someone(5), None)
    members[0].busy = False
    time[0] += 1  # it does not look again at once, for each of a flood
    assert crowd.admit(Someone(6), None)


def test_an_address_makes_room_among_its_own_connections() -> None:
    crowd = make(most=9)
    other, first, second = Someone(0), Someone(1), Someone(2)
    crowd.admit(other, "192.0.2.7")
    crowd.admit(first, "2001:db8::1")
    crowd.admit(second, "2001:db8::2")  # the same /64
    assert crowd.admit(Someone(3), "2001:db8::3")
    assert (other.has_gone, first.has_gone, second.has_gone) == (False, True, False)
    assert crowd.admit(Someone(4), "2001:db8:0:1::1")
    assert not second.has_gone


def test_an_address_whose_own_connections_are_all_busy_takes_no_place_of_others() -> None:
    crowd = make(per_address=1)
    other = Someone(1)
    assert crowd.admit(other, "192.0.2.2")
    assert crowd.admit(Someone(2, busy=True), "192.0.2.1")
    assert not crowd.admit(Someone(3), "192.0.2.1")
    assert (len(crowd), other.has_gone) == (2, False)


def test_fronts_and_clients_without_an_address_share_one_limit_only() -> None:
    crowd = make(most=9)
    for number in range(4):
        assert crowd.admit(Someone(number), "10.0.0.1")
        assert crowd.admit(Someone(number), None)
    assert len(crowd) == 8


def test_a_place_is_handed_over_as_long_as_it_is_there() -> None:
    crowd = make()
    arrival, connection = Someone(1), Someone(2)
    crowd.admit(arrival, "192.0.2.1")
    assert crowd.replace(arrival, connection)
    assert list(crowd) == [connection]
    assert not crowd.replace(arrival, Someone(3))


@given(
    st.lists(
        st.tuples(st.sampled_from(["192.0.2.1", "192.0.2.2", "10.0.0.1", None]), st.booleans()),
        max_size=60,
    )
)
def test_no_limit_is_ever_passed(arrivals: list[tuple[str | None, bool]]) -> None:
    crowd = make(most=7, per_address=3)
    inside: dict[Someone, str | None] = {}
    for number, (address, busy) in enumerate(arrivals):
        someone = Someone(number, busy=busy)
        if crowd.admit(someone, address):
            inside[someone] = address
        inside = {each: where for each, where in inside.items() if not each.has_gone}
        assert len(crowd) == len(inside) <= 7
        assert max(map(list(inside.values()).count, ("192.0.2.1", "192.0.2.2"))) <= 3
        assert not any(each.has_gone and each.busy for each in inside)
    for each in inside:
        crowd.remove(each)
    assert (len(crowd), list(crowd)) == (0, [])
