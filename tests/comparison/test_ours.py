"""The way back from our URLs."""

from msys_track.comparison.ours import BASE_URL, make_target_finder
from msys_track.keys.ring import KeyRing


def test_a_url_that_is_not_sealed_with_our_keys_leads_nowhere() -> None:
    find_target = make_target_finder(KeyRing.temporary())
    assert find_target("https://shop.example/") is None
    assert find_target(f"{BASE_URL}f/a/AAAA") is None
