"""Classification: each rule fits what it is for, and what people do fits none."""

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from tests.recording.hits import AGENT, make_hit

from msys_track.errors import SettingsError
from msys_track.events import Finding, ReaderClass, Verdict
from msys_track.tracking.classify.classifier import Classifier
from msys_track.tracking.classify.networks import Networks
from msys_track.tracking.classify.rules import EFFECTS, Rule
from msys_track.tracking.classify.settings import ClassificationSettings
from msys_track.tracking.classify.windows import Windows, read_link

AT = 1_764_000_000_000
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/{}.0.0.0 Safari/537.36"
)
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)


def judge(**members: Any) -> Verdict:
    """Judge a click a minute after the injection."""
    return Classifier().classify(make_hit(**{"at": AT, **members}))


def rules_of(verdict: Verdict) -> list[str]:
    return [each.rule for each in verdict.findings]


@pytest.mark.parametrize(
    "agent",
    [
        *(AGENT, IPHONE, CHROME.format(142), CHROME.format(135)),
        # An old telephone may have to stay as it is.
        CHROME.format(78).replace("Windows NT 10.0; Win64; x64", "Linux; Android 7.0; CUBOT_X18"),
        # So must Firefox on an old Windows.
        "Mozilla/5.0 (Windows NT 6.1; Win64; x64; rv:115.0) Gecko/20100101 Firefox/115.0",
        # The version that is supported the longest says so of newer ones too.
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:115.0) Gecko/20100101 Firefox/115.0",
        "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17126; Pro)",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.5.0",
    ],
)
@pytest.mark.parametrize("kind", ["click", "open", "link_unsubscribe"])
def test_what_people_use_is_human(agent: str, kind: str) -> None:
    assert judge(agent=agent, kind=kind) == Verdict(ReaderClass.HUMAN)


@pytest.mark.parametrize(
    ("members", "reader_class", "rule"),
    [
        ({"request": {"purpose": "prefetch"}}, "prefetch", "prefetch_header"),
        ({"agent": "Mozilla/5.0", "kind": "open"}, "prefetch", "apple_proxy"),
        ({"agent": GMAIL, "kind": "open"}, "proxy", "gmail_proxy"),
        ({"agent": YAHOO, "kind": "open"}, "proxy", "yahoo_proxy"),
        ({"agent": "BarracudaSentinel"}, "scanner", "scanner_name"),
        ({"agent": "Microsoft Office Existence Discovery"}, "scanner", "scanner_name"),
        ({"agent": "python-requests/2.32.3"}, "bot", "library_name"),
        ({"agent": "Go-http-client/2.0"}, "bot", "library_name"),
        ({"agent": "curl/8.14.1"}, "bot", "library_name"),
        ({"agent": "Java/17.0.2"}, "bot", "library_name"),
        ({"agent": CHROME.format(120).replace("Chrome", "HeadlessChrome")}, "bot", "library_name"),
        ({"agent": None}, "bot", "no_user_agent"),
        ({"agent": " "}, "bot", "no_user_agent"),
        ({"agent": GOOGLEBOT}, "bot", "crawler_name"),
        ({"agent": "Some linkpreview 1.0"}, "bot", "crawler_hint"),
        ({"agent": CHROME.format(57)}, "scanner", "old_browser"),
        ({"agent": CHROME.format(96)}, "scanner", "old_browser"),
        ({"agent": CHROME.format(70) + " Edge/17.17134"}, "scanner", "old_browser"),
        ({"request": {"suffix": "'\"><"}}, "scanner", "hostile_suffix"),
        ({"injected_at": AT // 1000 - 1}, "scanner", "soon"),
        ({"injected_at": AT // 1000 + 5}, "scanner", "soon"),
    ],
)
def test_a_machine_is_told_by_its_rule(
    members: dict[str, Any], reader_class: str, rule: str
) -> None:
    given = {name: value for name, value in members.items() if value is not None}
    hit = make_hit(**{"at": AT, **given})
    if members.get("agent", "") is None:
        del hit["agent"]
    verdict = Classifier().classify(hit)
    assert (verdict.reader_class, rules_of(verdict)[0]) == (reader_class, rule)


@pytest.mark.parametrize("agent", [GMAIL, YAHOO])
@pytest.mark.parametrize("kind", ["open", "initial_open", "click"])
@pytest.mark.parametrize("seconds", [0, 5, 60, 10**6])
def test_a_mail_proxy_is_never_called_a_bot_or_a_scanner(
    agent: str, kind: str, seconds: int
) -> None:
    verdict = judge(agent=agent, kind=kind, injected_at=AT // 1000 - seconds)
    soon = seconds < 10
    assert verdict.reader_class is (ReaderClass.PREFETCH if soon else ReaderClass.PROXY)
    assert verdict.findings[0].rule in (Rule.GMAIL_PROXY, Rule.YAHOO_PROXY)


def test_a_weak_rule_does_not_decide_an_open_alone() -> None:
    old = judge(agent=CHROME.format(57), kind="open")
    assert (old.reader_class, rules_of(old)) == (ReaderClass.HUMAN, ["old_browser"])
    soon = judge(kind="open", injected_at=AT // 1000)
    assert (soon.reader_class, rules_of(soon)) == (ReaderClass.HUMAN, ["soon"])
    both = judge(agent=CHROME.format(57), kind="open", injected_at=AT // 1000)
    assert (both.reader_class, rules_of(both)) == (ReaderClass.SCANNER, ["old_browser", "soon"])


def test_a_browsers_age_is_that_at_the_injection() -> None:
    assert judge(agent=CHROME.format(120), at=1_710_000_000_000).reader_class == "human"
    assert judge(agent=CHROME.format(120), at=1_764_000_000_000).reader_class == "scanner"


def test_without_agent_and_address_nobody_knows() -> None:
    hit = make_hit(privacy="aggregate")
    del hit["agent"], hit["address"]
    assert Classifier().classify(hit) == Verdict(ReaderClass.UNKNOWN)
    hit["request"] = {"purpose": "prefetch"}
    assert Classifier().classify(hit).reader_class is ReaderClass.PREFETCH


@pytest.mark.parametrize(
    "members",
    [
        {"kind": "list_unsubscribe", "agent": "Go-http-client/2.0"},
        {"kind": "link_unsubscribe", "agent": "curl/8", "request": {"confirmed": True}},
    ],
)
def test_a_button_that_was_pressed_is_a_persons_wish(members: dict[str, Any]) -> None:
    assert judge(**members) == Verdict(ReaderClass.HUMAN)


def test_a_rule_that_is_off_is_not_used() -> None:
    classifier = Classifier(ClassificationSettings(off=(Rule.OLD_BROWSER,)))
    assert classifier.classify(make_hit(agent=CHROME.format(57))) == Verdict(ReaderClass.HUMAN)


def test_every_rule_that_fits_is_told_and_the_one_that_decides_comes_first() -> None:
    verdict = judge(agent="curl/8", request={"suffix": "'"}, injected_at=AT // 1000)
    assert rules_of(verdict) == ["library_name", "hostile_suffix", "soon"]
    assert verdict.findings[0] == Finding("library_name", "curl/")
    assert verdict.findings[1].evidence == "'"


def test_every_rule_has_an_effect_and_the_order_is_the_enums() -> None:
    assert list(EFFECTS) == list(Rule)


# Networks


def networks(tmp_path: Path, text: str) -> Networks:
    path = tmp_path / "networks.txt"
    path.write_text(text, encoding="utf-8")
    return Networks((path,))


def test_a_network_counts_in_its_scope(tmp_path: Path) -> None:
    known = networks(
        tmp_path,
        "# scanners\n192.0.2.0/24 clicks scanner Example Gateway\n"
        "198.51.100.0/24 opens prefetch\n2001:db8::/32 both bot Six\n",
    )
    classifier = Classifier(networks=known)

    def classify(address: str, kind: str) -> Verdict:
        return classifier.classify(make_hit(at=AT, address=address, kind=kind))

    assert classify("192.0.2.7", "click") == Verdict(
        ReaderClass.SCANNER, (Finding("network", "Example Gateway"),)
    )
    assert classify("192.0.2.7", "open").reader_class == "human"
    assert classify("198.51.100.7", "click").reader_class == "human"
    assert classify("198.51.100.7", "open").reader_class == "prefetch"
    for kind in ("click", "open"):
        assert classify("2001:db8::7", kind).reader_class == "bot"
        assert classify("203.0.113.7", kind).reader_class == "human"
        assert classify("nonsense", kind).reader_class == "human"


def test_the_smallest_network_counts(tmp_path: Path) -> None:
    known = networks(
        tmp_path, "10.0.0.0/8 both bot\n10.1.0.0/16 both human Our office\n10.1.2.3 both scanner\n"
    )
    classes = [known.look_up(address).network for address in ("10.9.9.9", "10.1.9.9", "10.1.2.3")]
    assert [each and each.reader_class for each in classes] == ["bot", "human", "scanner"]


def test_an_ipv4_address_in_ipv6_is_the_ipv4_address(tmp_path: Path) -> None:
    known = networks(tmp_path, "192.0.2.0/24 both bot\n")
    assert known.look_up("::ffff:192.0.2.9").network is not None


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("192.0.2.0/24 clicks", "found '192.0.2.0/24 clicks', allowed: a network, its scope"),
        ("192.0.2.0/24 mails bot", "found 'mails', allowed: clicks, opens, both"),
        ("192.0.2.0/24 both alien", "found 'alien', allowed: human, prefetch"),
        ("shop.test both bot", "found 'shop.test', allowed: a network as in"),
    ],
)
def test_a_wrong_line_of_networks_is_named(tmp_path: Path, line: str, text: str) -> None:
    with pytest.raises(SettingsError, match=r"networks\.txt:2: ") as caught:
        networks(tmp_path, f"\n{line}\n")
    assert text in str(caught.value)


def test_apples_relays_prefetch_pixels_and_serve_people_who_click(tmp_path: Path) -> None:
    path = tmp_path / "egress.csv"
    path.write_text("172.224.226.0/31,GB,GB-EN,London,\n2a02:26f7::/64,US,US-CA,SF,\n")
    classifier = Classifier(networks=Networks(apple_egress=path))
    for address in ("172.224.226.1", "2a02:26f7::5"):
        hit = make_hit(at=AT, address=address, kind="open", agent="Mozilla/5.0 Mail")
        assert classifier.classify(hit).reader_class is ReaderClass.PREFETCH
        for kind in ("open", "click"):
            hit = make_hit(at=AT, address=address, kind=kind, agent=IPHONE)
            assert classifier.classify(hit).reader_class is ReaderClass.HUMAN


# What several requests show


def remembering(**settings: Any) -> tuple[Classifier, Windows]:
    known = ClassificationSettings(**settings)
    windows = Windows(known)
    return Classifier(known, windows=windows), windows


def follow(judges: tuple[Classifier, Windows], **members: Any) -> ReaderClass:
    """Judge a hit, and remember it, as the recorder does."""
    classifier, windows = judges
    hit = make_hit(**{"at": AT, **members})
    verdict = classifier.classify(hit)
    windows.remember(
        hit["message_id"],
        hit["at"],
        read_link(hit),
        hit["id"].encode(),
        is_machine=verdict.reader_class is not ReaderClass.HUMAN,
    )
    return verdict.reader_class


def test_three_links_in_two_seconds_are_a_burst_and_two_are_a_person() -> None:
    judges = remembering()
    classes = [follow(judges, at=AT + 500 * each, link_number=each) for each in range(1, 4)]
    assert classes == ["human", "human", "scanner"]
    assert [len(late.entry.lines) for late in judges[1].take_late()] == [1, 1]
    assert judges[1].take_late() == []


def test_slow_clicks_and_clicks_of_other_messages_are_no_burst() -> None:
    judges = remembering()
    for each in range(1, 9):
        assert follow(judges, at=AT + 30_000 * each, link_number=each) == "human"
    for each in range(1, 9):
        assert follow(judges, message_id=str(each), link_number=each) == "human"


def test_five_clicks_of_one_link_in_two_seconds_are_a_burst() -> None:
    judges = remembering()
    classes = [follow(judges, at=AT + 300 * each) for each in range(5)]
    assert classes == ["human"] * 4 + ["scanner"]


def test_all_links_within_a_minute_are_a_machines() -> None:
    judges = remembering()
    follow(judges, message_id="other", link_number=4)
    classes = [follow(judges, at=AT + 12_000 * each, link_number=each) for each in range(1, 5)]
    assert classes == ["human"] * 3 + ["scanner"]


def test_some_links_clicked_again_are_not_all_links() -> None:
    judges = remembering(burst_seconds=1)
    follow(judges, message_id="other", link_number=4)
    classes = [
        follow(judges, at=AT + 5_000 * each, link_number=number)
        for each, number in enumerate([1, 2, 1, 2, 3, 1])
    ]
    assert classes == ["human"] * 6


def test_links_of_old_tokens_are_told_apart_by_their_targets() -> None:
    judges = remembering()
    classes = []
    for each in range(3):
        members = {"link_number": 0, "target": f"https://shop.test/{each}"}
        classes.append(follow(judges, at=AT + each, **members))
    assert classes == ["human", "human", "scanner"]


def test_windows_are_settings() -> None:
    judges = remembering(burst_links=2, burst_seconds=10)
    classes = [follow(judges, at=AT + 5_000 * each, link_number=each + 1) for each in range(2)]
    assert classes == ["human", "scanner"]


def test_a_get_after_a_head_from_the_same_network_is_a_scanners() -> None:
    classifier, windows = remembering()
    windows.note_head(make_hit(at=AT, address="192.0.2.9", request={"method": "HEAD"}))

    def classify(address: str, seconds: int, message: str = "000443ee14578172be22") -> str:
        hit = make_hit(at=AT + seconds * 1000, address=address, message_id=message)
        return classifier.classify(hit).reader_class

    assert classify("192.0.2.200", 30) == "scanner"
    assert classify("192.0.2.200", 90) == "human"
    assert classify("198.51.100.1", 30) == "human"
    assert classify("192.0.2.9", 30, message="another") == "human"


def test_a_head_counts_in_its_network_of_ipv6_and_without_an_address_nowhere() -> None:
    classifier, windows = remembering()
    windows.note_head(make_hit(at=AT, address="2001:db8:1::9", request={"method": "HEAD"}))
    hidden = make_hit(at=AT, request={"method": "HEAD"})
    del hidden["address"]
    windows.note_head(hidden)
    for address, expected in (("2001:db8:1:2::1", "scanner"), ("2001:db8:2::9", "human")):
        hit = make_hit(at=AT + 30_000, address=address)
        assert classifier.classify(hit).reader_class == expected


def test_of_heads_the_last_ten_thousand_are_remembered() -> None:
    classifier, windows = remembering()
    for number in range(10_001):
        windows.note_head({"at": AT, "address": "192.0.2.9", "message_id": str(number)})
    classes = [
        classifier.classify(make_hit(at=AT, message_id=str(number))).reader_class
        for number in (0, 1)
    ]
    assert classes == ["human", "scanner"]


@pytest.mark.parametrize(("off", "late"), [((), 1), ((Rule.BEFORE_DELIVERY,), 0)])
def test_what_came_before_the_delivery_is_late_and_what_came_after_it_is_not(
    off: tuple[Rule, ...], late: int
) -> None:
    judges = remembering(off=off)
    for seconds in (0, 60):
        follow(judges, at=AT + seconds * 1_000, message_id="a")
    judges[1].note_accepted("a", AT + 30_000)
    assert [each.entry.at for each in judges[1].take_late()] == [AT] * late


def test_a_clock_that_was_set_back_does_no_harm() -> None:
    judges = remembering()
    follow(judges, at=AT + 3_600_000)
    classes = [follow(judges, at=AT + each, link_number=each) for each in range(1, 4)]
    assert classes == ["human", "human", "scanner"]


def test_memory_is_bounded() -> None:
    judges = remembering(max_remembered=100)

    def follow_many(count: int) -> None:
        for each in range(count):
            follow(judges, at=AT + each, message_id=str(each))
        for each in range(count):
            follow(judges, at=AT + each, message_id="one")

    follow_many(500)
    tracemalloc.start()
    try:
        follow_many(1_000)
        grown = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    # 400 that are remembered take half of it, all 2,000 would take twice as much.
    assert grown < 300_000
