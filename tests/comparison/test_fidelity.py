"""The fidelity report: what is counted, who is blamed, and what happens to those that fall."""

import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("selectolax", reason="Lexbor (selectolax) is not installed")

from msys_track.comparison.damage import Damage
from msys_track.comparison.fidelity import cases
from msys_track.comparison.fidelity.inputs import MOST_JUDGED_BYTES, list_bundled, list_corpus
from msys_track.comparison.fidelity.judge import KINDS, Judge
from msys_track.comparison.fidelity.page import UnmarkedPageError, write_tables
from msys_track.comparison.fidelity.parts import list_leaves
from msys_track.comparison.fidelity.programmer import rewriting_mail
from msys_track.comparison.fidelity.report import DAMAGE, NO_CORPUS, run_report
from msys_track.comparison.fidelity.tally import Tally
from msys_track.comparison.fidelity.watched import Input, Outcome, run_way
from msys_track.comparison.fidelity.ways import LINKS, JudgeCopy, Rewrite, Way, find_ways
from msys_track.comparison.peers import Links, find_peers
from msys_track.dispatch.message import OpenedMessage

REGEX = find_peers()[-1]
JUDGE = Judge(LINKS.is_tracked)
OURS = [way for way in find_ways() if way.is_ours]
HEAD = b"From: shop@shop.example\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\n"
HTML = b"Content-Type: text/html; charset=utf-8\r\n\r\n<p><a href='http://shop.example/'>x</a>\r\n"
SIGNED = (
    b"Content-Type: multipart/signed; boundary=S\r\n\r\n--S\r\n"
    + HTML
    + b"--S\r\nContent-Type: application/pgp-signature\r\n\r\nsig\r\n--S--\r\n"
)
MIXED = (
    HEAD
    + b"Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n"
    + HTML
    + b"--B\r\nContent-Type: image/png\r\nContent-ID: <a@b>\r\n\r\nimage\r\n--B\r\n"
    + SIGNED
    + b"--B--\r\n"
)


def track(message: bytes) -> bytes:
    return message.replace(b"http://shop.example/", LINKS.click_url, 1)


def test_a_mail_whose_links_are_tracked_is_whole() -> None:
    damage = JUDGE.judge_message(MIXED, track(MIXED))
    assert (damage.wrapped, damage.missed, damage.broken) == (1, 0, 0)
    assert (damage.structures, damage.bytes_changed) == (0, 0)
    assert damage.reasons == {"signed_part": 1}


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        (
            "MIME parts",
            b"--B\r\nContent-Type: image/png\r\nContent-ID: <a@b>\r\n\r\nimage\r\n",
            b"",
        ),
        ("MIME parts", b"image/png", b"image/gif"),
        ("other parts", b"\r\nimage\r\n", b"\r\ngone\r\n"),
        ("header fields", b"Content-ID: <a@b>\r\n", b""),
        ("header fields", b"Gr=C3=BC=C3=9Fe", b"Grusse"),
        (
            "signatures",
            b"--S\r\nContent-Type: text/html; charset=utf-8",
            b"--S\r\nContent-Type: text/html",
        ),
    ],
)
def test_each_kind_of_damage_to_a_mail_is_found(kind: str, old: bytes, new: bytes) -> None:
    assert old in MIXED
    damage = JUDGE.judge_message(MIXED, track(MIXED).replace(old, new))
    assert kind in KINDS
    assert damage.kinds[kind] == 1
    assert damage.bytes_changed > 0


def test_any_change_to_the_body_breaks_a_dkim_signature() -> None:
    signed = b"DKIM-Signature: v=1; b=AAAA\r\n" + HEAD + HTML
    assert JUDGE.judge_message(signed, track(signed)).kinds == {"signatures": 1}
    assert not JUDGE.judge_message(signed, signed).is_damaged


def test_letters_that_a_charset_lost_are_found() -> None:
    message = HEAD + HTML.replace(b">x<", ">Grüße<".encode())
    lost = message.replace("Grüße".encode(), b"Gr\xfc\xdfe")
    assert JUDGE.judge_message(message, lost.replace(b"utf-8", b"utf-8", 1)).kinds["charset"] == 2


def test_a_header_field_that_nobody_can_decode_is_compared_as_it_stands() -> None:
    message = b"Subject: =?utf-8?b?QUJDR?=\r\n" + HTML
    assert not JUDGE.judge_message(message, track(message)).is_damaged
    lost = track(message).replace(b"QUJDR", b"QUJDQ")
    assert JUDGE.judge_message(message, lost).kinds == {"header fields": 1}


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_tells_the_charset_whatever_the_part_says(codec: str) -> None:
    head = b"Content-Type: text/html; charset=iso-8859-1\r\n\r\n"
    [leaf] = list_leaves(head + "<p>Gr\u00fc\u00dfe".encode(codec))
    assert leaf.text.lstrip("\ufeff") == "<p>Gr\u00fc\u00dfe"


def test_how_a_part_is_written_is_free_as_long_as_it_reads_the_same() -> None:
    message = HEAD + HTML
    quoted = HEAD + HTML.replace(
        b"\r\n\r\n<p><a href=",
        b"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p><a href=3D",
    )
    assert not JUDGE.judge_message(message, quoted).is_damaged


def test_a_careful_programmer_leaves_signed_and_attached_parts_alone() -> None:
    rewritten = rewriting_mail(MIXED, REGEX.start, LINKS)()
    damage = JUDGE.judge_message(MIXED, rewritten)
    assert (damage.wrapped, damage.missed, damage.pixels) == (1, 0, 1)
    assert not damage.is_damaged


@pytest.mark.parametrize(
    "message",
    [
        HEAD + b"\r\nsee http://shop.example/\n",
        HEAD + HTML.replace(b">x<", b">\xff<"),
        HEAD + HTML.replace(b"utf-8", b"x-nope"),
        b"DKIM-Signature: v=1; b=AAAA\r\n" + HEAD + HTML,
    ],
    ids=["without HTML", "undecodable", "unknown charset", "signed"],
)
def test_a_careful_programmer_sends_what_should_not_change_as_it_came(message: bytes) -> None:
    assert rewriting_mail(message, REGEX.start, LINKS)() == message


def test_a_careful_programmer_sends_utf_8_where_the_charset_lacks_a_letter() -> None:
    def start(html: bytes, _: Links) -> Rewrite:
        return lambda: html.replace(b"&rarr;", "\u2192".encode())

    message = HEAD + HTML.replace(b"utf-8", b"iso-8859-1").replace(b">x<", b">&rarr;<")
    [leaf] = list_leaves(rewriting_mail(message, start, LINKS)())
    assert (leaf.charset, "\u2192" in leaf.text) == ("utf-8", True)


LEFT = b"<a href='http://two.example/' data-msys-clicktrack=0>2</a>"
MISSED = b"<a href='http://three.example/'>3</a>"


@pytest.mark.parametrize("way", OURS, ids=lambda way: way.name)
@pytest.mark.parametrize(
    ("html", "reasons", "missed"),
    [
        (LEFT, {"opted_out": 1}, 0),
        (LEFT.replace(b"two", b"one") + LEFT, {"opted_out": 2}, 0),
        (LEFT + MISSED, {"opted_out": 1}, 1),
    ],
)
def test_a_link_is_left_for_its_own_reason_or_missed(
    way: Way, html: bytes, reasons: dict[str, int], missed: int
) -> None:
    rewrite, judge = way.start(html, False)  # noqa: FBT003
    copy = rewrite()
    if missed:  # as if it had never been tracked
        at = copy.index(b"https://click.example.com/")
        copy = copy[:at] + b"http://three.example/" + copy[copy.index(b"'>3", at) :]
    found = judge(copy)
    assert (found.reasons, found.missed) == (reasons, missed)


@pytest.mark.parametrize("way", OURS, ids=lambda way: way.name)
def test_a_signed_part_excuses_its_own_links_alone(way: Way) -> None:
    message = MIXED.replace(b">x<", b">another<", 1)
    rewrite, judge = way.start(message, True)  # noqa: FBT003
    rewrite()
    found = judge(message)
    assert (found.reasons, found.missed) == ({"signed_part": 1}, 1)


def test_a_reason_that_is_not_of_links_excuses_none() -> None:
    text = b"--A\r\nContent-Type: text/plain\r\n\r\nhttp://shop.example/\r\n"
    message = (
        HEAD + b"Content-Type: multipart/alternative; boundary=A\r\n\r\n%b--A\r\n%b--A--\r\n"
    ) % (text, HTML)
    rewrite, judge = OURS[0].start(message, True)  # noqa: FBT003
    rewrite()
    found = judge(message)
    assert (found.reasons, found.missed) == ({}, 1)


def test_a_sender_who_wants_no_tracking_excuses_every_link() -> None:
    off = b'X-MSYS-API: {"options": {"open_tracking": false, "click_tracking": false}}\r\n'
    rewrite, judge = OURS[0].start(off + HEAD + HTML, True)  # noqa: FBT003
    found = judge(rewrite())
    assert (found.reasons, found.missed) == ({"tracking_off": 1}, 0)


def test_that_our_core_has_failed_excuses_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite, judge = OURS[0].start(HEAD + HTML, True)  # noqa: FBT003
    monkeypatch.setattr(OpenedMessage, "find_plan", lambda *_: None)  # no input makes it fail
    assert judge(rewrite()).missed == 1


@pytest.mark.parametrize("way", OURS, ids=lambda way: way.name)
def test_ours_do_no_damage_and_miss_no_link_without_a_reason(way: Way) -> None:
    tally = Tally()
    for each, outcome in run_way(way, list_bundled()):
        tally.add(way.name, each, outcome)
    assert list(tally.list_faults([way.name])) == []
    assert sum(row.counts["judged"] for row in tally.rows.values()) >= len(cases.DOCUMENTS)
    assert sum(row.counts["wrapped"] for row in tally.rows.values()) > 90


def _ending(end: Callable[[], object]) -> Way:
    def start(source: bytes, _: bool) -> tuple[Rewrite, JudgeCopy]:  # noqa: FBT001
        def rewrite() -> bytes:
            if source == b"fall":
                end()
            return source

        return rewrite, lambda after: JUDGE.judge_document(source, after)

    return Way("falls", start)


def _spin() -> None:
    signal.setitimer(signal.ITIMER_PROF, 0.05)  # as if the time that it has were nearly over
    while True:
        pass


def _raise() -> None:
    raise ValueError("no")


@pytest.mark.parametrize(
    ("end", "fate"),
    [(_raise, "error"), (_spin, "timeout"), (lambda: os._exit(3), "crash")],
)
def test_a_way_that_falls_over_one_input_is_asked_for_the_next(
    end: Callable[[], object], fate: str
) -> None:
    inputs = [Input("x", str(n), content) for n, content in enumerate([b"a", b"fall", b"b"])]
    fates = [outcome.fate for _, outcome in run_way(_ending(end), inputs)]
    assert fates == ["judged", fate, "judged"]


def _judging(judge: JudgeCopy) -> Way:
    return Way("falls", lambda source, _: (lambda: source, judge))


def _fail(after: bytes) -> Damage:
    raise RecursionError(after)


def _give_up(_: bytes) -> Damage:
    os._exit(3)


@pytest.mark.parametrize("judge", [_fail, _give_up])
def test_what_the_judge_cannot_read_is_not_judged_and_nobody_s_fault(judge: JudgeCopy) -> None:
    inputs = [Input("x", "one", b"a", is_judged=False), Input("x", "two", b"b")]
    outcomes = [outcome for _, outcome in run_way(_judging(judge), inputs)]
    assert [outcome.fate for outcome in outcomes] == ["not judged"] * 2
    assert [bool(outcome.error) for outcome in outcomes] == [False, True]


def test_damage_is_counted_by_its_kind_with_three_examples() -> None:
    tally = Tally()
    broken = Damage(broken=1, structures=2, kinds={"text": 2})
    for number in range(4):
        tally.add("others", Input("mails", f"m{number}", b""), Outcome("judged", broken))
    tally.add("others", Input("mails", "m5", b""), Outcome("not judged"))
    tally.add("ours", Input("mails", "m0", b""), Outcome("judged", Damage(wrapped=1)))
    written = list(tally.write({"mails": "mails of all kinds"}))
    assert "Rewritten and not judged: 1, which the judge can't read or not in time." in written
    kinds = written[written.index("#### Inputs damaged, by kind") :]
    assert kinds[2:6] == [
        "| way | links | text |",
        "| --- | ---: | ---: |",
        "| others | 4 | 4 |",
        "| ours | 0 | 0 |",
    ]
    assert "| others | text | `m0`, `m1`, `m2` |" in written


def test_a_fault_of_ours_is_told() -> None:
    tally = Tally()
    message = Input("mails", "one", HEAD + HTML, is_message=True)
    tally.add("ours", message, Outcome("judged", JUDGE.judge_message(HEAD + HTML, HEAD + HTML)))
    tally.add("ours", message, Outcome("crash"))
    assert [fault.partition(":")[0] for fault in tally.list_faults(["ours"])] == [
        "ours, mails"
    ] * 2
    assert list(tally.list_faults(["others"])) == []


def test_tables_stand_between_their_markers_and_prose_stays() -> None:
    page = "a\n<!-- tables: x -->\nold\n<!-- end of tables: x -->\nb\n"
    assert write_tables(page, {"x": "new"}) == page.replace("old", "\nnew")
    with pytest.raises(UnmarkedPageError, match="tables: y"):
        write_tables(page, {"y": "new"})


FEW = [
    Input("cases, HTML", "link", b"<p><a href='http://shop.example/'>x</a>"),
    Input("cases, mails", "mixed", MIXED, is_message=True),
]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge few inputs of the package, as all of them take their time."""
    monkeypatch.setattr("msys_track.comparison.fidelity.report.list_bundled", lambda: FEW)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Write a corpus of the same form as the one beside a checkout."""
    (tmp_path / "corpus.py").write_text(
        "ITEMS = {'messages': [('m1', b'A: b\\n\\nx'), ('m2', b'A: b\\r\\n\\r\\ny')],\n"
        "         'templates': [('t1', '<p>\u00fc'.encode()), ('t2', b'<p>\\xfc\\x80')]}\n"
        "items = ITEMS.get\n",
        encoding="utf-8",
    )
    (tmp_path / "hostile.py").write_text(
        "def cases():\n"
        "    yield 'qp-cr', b'', 'message'\n"
        "    yield 'deep', b'<p>' * 100_000, 'html'\n"
        "    yield 'short', b'<p>', 'html'\n"
    )
    return tmp_path


def test_the_corpus_is_read_as_smtp_and_peers_need_it(corpus: Path) -> None:
    m1, m2, t1, t2, cr, deep, short = list_corpus(corpus)
    assert [m1.content, m2.content] == [b"A: b\r\n\r\nx", b"A: b\r\n\r\ny"]
    assert [t1.content.decode(), t2.content.decode()] == ["<p>\u00fc", "<p>\u00fc\u20ac"]
    assert [each.is_judged for each in (cr, deep, short)] == [False, False, True]
    assert len(deep.content) > MOST_JUDGED_BYTES
    assert [each.source for each in (m1, t1, cr, deep)] == [
        "real mails",
        "templates",
        "hostile mails",
        "hostile HTML",
    ]
    assert [each.is_message for each in (m1, t1, cr, deep)] == [True, False, True, False]


def test_of_a_large_corpus_each_nth_item_may_do(corpus: Path) -> None:
    assert [each.name for each in list_corpus(corpus, 2)] == ["m1", "t1", "qp-cr", "short"]


@pytest.mark.usefixtures("few")
def test_the_tables_are_printed_where_there_is_no_page_and_who_is_missing_is_told(
    corpus: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "msys_track.comparison.peers.beautiful_soup", None)
    assert run_report(["--corpus", str(corpus), "--every", "2"]) == 0
    printed = capsys.readouterr()
    for title in ("Cases, HTML: 1 inputs", "Real mails: 1 inputs", "Templates: 1 inputs"):
        assert f"#### {title}\n" in printed.out
    assert "not installed: pip install beautifulsoup4\n" in printed.err


@pytest.mark.usefixtures("few")
def test_damage_of_ours_is_told_and_the_command_ends_with_1(
    corpus: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Way("ours", lambda source, _: (lambda: source, lambda _: Damage(broken=1)), is_ours=True)
    monkeypatch.setattr("msys_track.comparison.fidelity.report.find_ways", lambda: [way])
    assert run_report(["--corpus", str(corpus), "--every", "9"]) == DAMAGE
    assert "\nerror: ours, cases, mails: broken 1: " in capsys.readouterr().err


@pytest.mark.usefixtures("few")
def test_a_page_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "none.md"
    monkeypatch.setattr("msys_track.comparison.fidelity.report.find_ways", list)
    # Another test may have imported it, where it ran as a script.
    monkeypatch.delitem(sys.modules, "msys_track.comparison.fidelity.__main__", raising=False)
    monkeypatch.setattr(sys, "argv", ["", "--corpus", str(tmp_path), "--page", str(page)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("msys_track.comparison.fidelity", run_name="__main__")
    assert ended.value.code == 2
    assert str(page) in capsys.readouterr().err


@pytest.mark.usefixtures("few")
def test_without_the_corpus_the_bundled_inputs_are_judged_and_the_command_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "fidelity.md"
    marked = "<!-- tables: {0} -->\nold {0}\n<!-- end of tables: {0} -->\n"
    page.write_text(marked.format("bundled") + marked.format("corpus"))
    code = run_report(["--corpus", str(tmp_path), "--page", str(page)])
    assert code == NO_CORPUS
    assert f"the mail corpus is not at {tmp_path}" in capsys.readouterr().err
    written = page.read_text()
    assert "| msys-track | 1 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |" in written
    assert "old bundled" not in written
    assert "old corpus" in written
