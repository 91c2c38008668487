"""The fidelity report: what is counted, who is blamed, and what happens to those that fall."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("selectolax", reason="Lexbor (selectolax) is not installed")

from msys_track.comparison.fidelity import cases
from msys_track.comparison.fidelity.inputs import list_bundled
from msys_track.comparison.fidelity.judge import KINDS, Judge
from msys_track.comparison.fidelity.page import UnmarkedPageError, write_tables
from msys_track.comparison.fidelity.programmer import rewriting_mail
from msys_track.comparison.fidelity.report import NO_CORPUS, run_report
from msys_track.comparison.fidelity.tally import Tally
from msys_track.comparison.fidelity.watched import Input, Outcome, run_way
from msys_track.comparison.fidelity.ways import LINKS, JudgeCopy, Rewrite, Way, find_ways
from msys_track.comparison.peers import find_peers

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


def test_a_careful_programmer_sends_a_mail_without_html_as_it_came() -> None:
    message = HEAD + b"\r\nsee http://shop.example/\n"
    assert rewriting_mail(message, REGEX.start, LINKS)() == message


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


def test_without_the_corpus_the_bundled_inputs_are_judged_and_the_command_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "fidelity.md"
    marked = "<!-- tables: {0} -->\nold {0}\n<!-- end of tables: {0} -->\n"
    page.write_text(marked.format("bundled") + marked.format("corpus"))
    few = [
        Input("cases, HTML", "link", b"<p><a href='http://shop.example/'>x</a>"),
        Input("cases, mails", "mixed", MIXED, is_message=True),
    ]
    monkeypatch.setattr("msys_track.comparison.fidelity.report.list_bundled", lambda: few)
    code = run_report(["--corpus", str(tmp_path), "--page", str(page)])
    assert code == NO_CORPUS
    assert f"the mail corpus is not at {tmp_path}" in capsys.readouterr().err
    written = page.read_text()
    assert "| msys-track | 1 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |" in written
    assert "old bundled" not in written
    assert "old corpus" in written
