"""Each peer does its work on a document that has nothing special in it."""

import sys

import pytest

pytest.importorskip("selectolax", reason="Lexbor (selectolax) is not installed")

from msys_track.comparison.damage import judge_html
from msys_track.comparison.peers import Links, find_peers, list_missing

LINKS = Links(
    click_url=b"https://click.example.com/f/a/AAAA",
    pixel=b'<img src="https://click.example.com/q/BBBB" alt="" width="1" height="1">',
    metadata={"campaign": "spring"},
    base_url="https://click.example.com/",
)
PAGE = (
    b'<!DOCTYPE html>\n<html lang="en"><head><title>Gr\xc3\xbc\xc3\x9fe</title></head>\n'
    b'<body><p>Gr\xc3\xbc\xc3\x9fe <a href="http://one.example/?a=1&amp;b=2">one</a> '
    b'<a href="mailto:jo@reader.example">mail</a> <a href="https://two.example/">two</a></p>\n'
    b"</body></html>"
)
ORDER = ["pytracking", "python-lolhtml", "lxml", "selectolax", "BeautifulSoup", "careful regex"]
PEERS = {peer.name: peer for peer in find_peers()}


def test_peers_come_in_a_fixed_order_and_the_others_are_named() -> None:
    assert list(PEERS) == [name for name in ORDER if name in PEERS]
    assert len(PEERS) + len(list_missing()) == len(ORDER)


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_wraps_each_link_of_a_plain_document_and_adds_a_pixel(name: str) -> None:
    peer = PEERS[name]
    rewrite = peer.start(PAGE, LINKS)
    damage = judge_html(PAGE, rewrite(), LINKS.is_tracked, find_target=peer.find_target)
    assert (damage.wrapped, damage.missed, damage.broken, damage.pixels) == (2, 0, 0, 1)
    # pytracking gives a document without its doctype, whatever it was given.
    assert damage.kinds == ({"doctype": 1} if name == "pytracking" else {})


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_starts_again_with_each_call(name: str) -> None:
    rewrite = PEERS[name].start(PAGE, LINKS)
    first = judge_html(PAGE, rewrite(), LINKS.is_tracked)
    assert judge_html(PAGE, rewrite(), LINKS.is_tracked) == first


@pytest.mark.parametrize("name", PEERS)
def test_only_a_peer_that_seals_says_so(name: str) -> None:
    peer = PEERS[name]
    writes_constant = LINKS.click_url in peer.start(PAGE, LINKS)()
    assert peer.seals is not writes_constant
    assert (peer.find_target is not None) is peer.seals


def test_a_peer_that_is_not_installed_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bs4", None)
    monkeypatch.delitem(sys.modules, "msys_track.comparison.peers.beautiful_soup", raising=False)
    assert "beautifulsoup4" in list_missing()
    assert "BeautifulSoup" not in [peer.name for peer in find_peers()]
