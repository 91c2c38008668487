"""The account itself: it finds each kind of fault that the other tests here look for."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.faults.account import Account, Entry, Journal, Sent, Try, draw_account, read_journal
from tests.faults.mails import SENDER, Arrival, compose_mail, read_arrival, recipients_of
from tests.faults.stage import SPOOL, Stage

from msys_track import KeyRing, TrackingOptions, rewrite

KEYS = KeyRing.temporary()
OPTIONS = TrackingOptions(
    open_tracking=True, click_tracking=True, tracking_domain="click.client.example"
)
READERS = recipients_of("m1", 2)
Line: TypeAlias = dict[str, Any]


def answered(*answers: str, reached_the_dot: bool = True) -> Sent:
    tries = [
        Try(accepted=READERS, answer=answer, reached_the_dot=reached_the_dot) for answer in answers
    ]
    return Sent(recipients=READERS, tries=tries)


def tracked(reader: str, *, about: str = "m1") -> Arrival:
    copy = rewrite(compose_mail(about), recipient=reader, keys=KEYS, options=OPTIONS)
    return read_arrival(copy, (reader,))


def draw(  # noqa: PLR0913 - what an account is drawn from
    mail: Sent,
    arrivals: Sequence[Arrival],
    *,
    refused: Sequence[str] = (),
    has_spool: bool = True,
    answers: int = 99,
    kills: Sequence[float] = (),
) -> Account:
    """Draw the account of one mail; so many of its copies were answered, one each second."""
    entries = (
        Entry(arrival=arrival, answered_at=float(number) if number < answers else None)
        for number, arrival in enumerate(arrivals)
    )
    journal = Journal(entries=tuple(entries), refused=frozenset(refused))
    return draw_account({"m1": mail}, journal, KEYS, has_spool=has_spool, kills=kills)


def report(reader: str, *, action: str = "failed", about: str = "m1") -> Arrival:
    text = (
        "Subject: Your mail\n\n"
        f"Final-Recipient: rfc822;{reader}\nAction: {action}\nStatus: 5.1.1\n\n"
        f"Subject: {about}\n"
    )
    return read_arrival(text.replace("\n", "\r\n").encode(), (SENDER,))


def test_a_mail_that_arrived_once_for_each_reader_is_no_fault() -> None:
    account = draw(answered("250 Ok"), [tracked(reader) for reader in READERS])
    assert not account.faults
    assert (account.accepted, account.arrived, account.repeated) == (1, 2, 0)


def test_an_accepted_mail_that_a_reader_lacks_is_lost() -> None:
    account = draw(answered("250 Ok"), [tracked(READERS[0])])
    assert account.lost == (f"m1 to {READERS[1]}",)


def test_a_reader_whom_a_refusal_names_as_served_and_who_has_nothing_is_lost() -> None:
    answer = (
        "554-5.3.0 1 of 2 copies relayed; do not send it to all again\r\n"
        f"554-5.3.0 not sent to {READERS[1]}: 451 4.3.0 later\r\n"
        f"554 5.3.0 sent to {READERS[0]}"
    )
    assert draw(answered(answer), []).lost == (f"m1 to {READERS[0]}",)
    assert not draw(answered(answer), [tracked(READERS[0])]).faults


@pytest.mark.parametrize("answer", ["451 4.4.1 The upstream can't be used", "550 5.1.1 No"])
def test_a_refused_mail_is_not_lost(answer: str) -> None:
    assert not draw(answered(answer), []).faults


@pytest.mark.parametrize("answer", ["", "451 4.4.2 …; it may have been accepted"])
def test_a_second_copy_after_an_unknown_outcome_is_no_fault(answer: str) -> None:
    copies = [tracked(READERS[0]), *(tracked(reader) for reader in READERS)]
    account = draw(answered(answer, "250 Ok"), copies)
    assert not account.faults
    assert account.repeated == 1


@pytest.mark.parametrize(
    "mail",
    [
        answered("250 Ok"),
        answered("451 4.3.0 Try again", "250 Ok"),
        answered("451 4.4.2 1 of 2 copies relayed", "250 Ok"),
        answered("", reached_the_dot=False),
        Sent(
            recipients=READERS,
            tries=[
                Try(accepted=READERS[1:], answer="", reached_the_dot=True),
                Try(accepted=READERS, answer="250 Ok", reached_the_dot=True),
            ],
        ),
    ],
    ids=["accepted", "refused before", "told to repeat", "left before its dot", "not theirs"],
)
def test_a_second_copy_without_an_unknown_outcome_is_a_double(mail: Sent) -> None:
    copies = [tracked(READERS[0]), *(tracked(reader) for reader in READERS)]
    [doubled] = draw(mail, copies).doubled
    assert doubled.startswith(f"m1 to {READERS[0]}: 2 copies")


@pytest.mark.parametrize(
    "arrival",
    [
        tracked("stranger@reader.example"),
        read_arrival(compose_mail("m1"), (READERS[0],)),
        Arrival(
            mail_id="m1",
            recipients=(READERS[0],),
            paths=tracked(READERS[1]).paths,
            is_whole=True,
        ),
        Arrival(
            mail_id="m1",
            recipients=(READERS[0],),
            paths=tracked(READERS[0], about="m2").paths,
            is_whole=True,
        ),
        tracked(READERS[0], about="m2"),
    ],
    ids=["a stranger", "no links", "another's links", "another mail's links", "another mail"],
)
def test_a_copy_with_anything_of_another_is_crossed(arrival: Arrival) -> None:
    assert draw(answered("451 4.3.0 No"), [arrival]).crossed


def test_a_copy_that_ends_early_is_broken() -> None:
    whole = compose_mail("m1")
    account = draw(answered("451 4.3.0 No"), [read_arrival(whole[:-9], (READERS[0],))])
    assert account.broken


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"<p>m1 line 1</p>\r\n", b""),
        (b"<p>m1 line 1</p>", b"<p>m2 line 1</p>"),
        (b"<p>m1 line 1</p>", b"<p>m1 line 1</p>\r\n<p>m1 line 1</p>"),
        (b"</body>", b"<p>m2 line 0</p>\r\n</body>"),
        (b"end of m1", b"end of m2"),
    ],
    ids=["one lacks", "one of another", "one twice", "another's behind", "another's end"],
)
def test_a_copy_whose_lines_are_not_the_mail_s_is_broken(before: bytes, after: bytes) -> None:
    sent = compose_mail("m1", filling=3)
    copy = rewrite(sent, recipient=READERS[0], keys=KEYS, options=OPTIONS)
    assert before in copy
    assert not draw(answered("451 4.3.0 No"), [read_arrival(copy, (READERS[0],))]).faults
    arrival = read_arrival(copy.replace(before, after), (READERS[0],))
    assert draw(answered("451 4.3.0 No"), [arrival]).broken


def test_a_refusal_for_good_says_who_has_the_mail_all_the_same() -> None:
    copies = [tracked(READERS[0])]
    assert draw(answered("550 5.7.1 No"), copies).denied == ("m1: 550 5.7.1 No",)
    assert not draw(answered("554 5.3.0 1 of 2 copies relayed; not to …"), copies).faults


def test_a_second_copy_of_what_the_upstream_never_answered_is_no_fault_of_a_spool() -> None:
    copies = [*(tracked(reader) for reader in READERS), tracked(READERS[0])]
    account = draw(answered("250 Ok"), copies, answers=2)
    assert not account.faults
    assert account.repeated == 1
    assert draw(answered("250 Ok"), copies, answers=2, has_spool=False).doubled


KEPT = answered("250 2.0.0 Ok: 1 copy relayed, 1 kept: 4711, VGBWJPD2WM")
TWICE = [tracked(READERS[0]), tracked(READERS[1]), tracked(READERS[1])]


@pytest.mark.parametrize("kill", [0.9, 1.1], ids=["before the answer", "before the note"])
def test_a_second_copy_is_no_fault_of_a_spool_whose_worker_was_killed(kill: float) -> None:
    account = draw(KEPT, TWICE, kills=[kill])
    assert not account.faults
    assert (account.repeated, account.unnoted) == (1, 1)


@pytest.mark.parametrize(
    ("mail", "kills", "has_spool"),
    [
        (KEPT, [0.4], True),
        (KEPT, [3.0], True),
        (KEPT, [], True),
        (KEPT, [1.1], False),
        (answered("250 2.0.0 Ok: 2 copies relayed: 4711, 4712"), [1.1], True),
    ],
    ids=["killed before", "killed later", "not killed", "no spool", "nothing was kept"],
)
def test_a_kill_does_not_hide_another_double(
    mail: Sent, kills: list[float], *, has_spool: bool
) -> None:
    assert draw(mail, TWICE, kills=kills, has_spool=has_spool).doubled


def test_a_reader_who_was_refused_and_whom_a_report_names_is_not_lost() -> None:
    arrivals = [tracked(READERS[0]), report(READERS[1])]
    account = draw(answered("250 Ok"), arrivals, refused=[READERS[1]])
    assert not account.faults
    assert account.reported == 1


@pytest.mark.parametrize(
    ("arrival", "refused"),
    [
        (report(READERS[1]), []),
        (report(READERS[1]), [READERS[0]]),
        (report(READERS[0]), [READERS[0]]),
        (report(READERS[1], action="delayed"), [READERS[1]]),
    ],
    ids=["nobody was refused", "another was refused", "it names another", "it is not given up"],
)
def test_a_report_does_not_hide_a_lost_mail(arrival: Arrival, refused: list[str]) -> None:
    account = draw(answered("250 Ok"), [tracked(READERS[0]), arrival], refused=refused)
    assert account.lost == (f"m1 to {READERS[1]}",)


def test_a_report_about_a_reader_of_another_mail_is_crossed() -> None:
    [stranger] = recipients_of("m2", 1)
    arrivals = [*(tracked(reader) for reader in READERS), report(stranger)]
    assert draw(answered("250 Ok"), arrivals, refused=[stranger]).crossed


# Planted into the logs of a real run


def lose(lines: list[Line], place: int) -> list[Line]:
    return lines[:place] + lines[place + 1 :]


def deliver_twice(lines: list[Line], place: int) -> list[Line]:
    return [*lines, {**lines[place], "key": "again"}, {"answered": "again", "at": 0}]


def give_to_another(lines: list[Line], place: int) -> list[Line]:
    other = next(each for each in lines[place + 1 :] if "paths" in each)
    return [*lines[:place], {**lines[place], "paths": other["paths"]}, *lines[place + 1 :]]


def report_instead(lines: list[Line], place: int) -> list[Line]:
    told = {"recipients": [SENDER], "paths": [], "reported": lines[place]["recipients"]}
    return [*lines[:place], {**lines[place], **told}, *lines[place + 1 :]]


@pytest.mark.anyio
@pytest.mark.timeout(180)
async def test_one_fault_among_all_mails_of_a_run_is_found(tmp_path: Path) -> None:
    async with Stage(tmp_path, SPOOL) as stage:
        await stage.start()
        await stage.until_accepted(60)
        assert not (await stage.settle()).faults
    keys = KeyRing.load(str(tmp_path / "keys.toml"))
    lines = [json.loads(line) for line in stage.journal.read_text(encoding="utf-8").splitlines()]
    places = [place for place, line in enumerate(lines) if "paths" in line]
    plants: list[tuple[Callable[[list[Line], int], list[Line]], str]] = [
        (lose, "lost"),
        (deliver_twice, "doubled"),
        (give_to_another, "crossed"),
        (report_instead, "lost"),
    ]
    for plant, kind in plants:
        place = places[len(places) // 2]
        planted = tmp_path / plant.__name__
        planted.write_text(
            "".join(f"{json.dumps(line)}\n" for line in plant(lines, place)), encoding="utf-8"
        )
        journal = read_journal(planted)
        account = draw_account(stage.clients.sent, journal, keys, has_spool=True)
        assert list(account.faults) == [kind]
        for found in account.faults[kind]:
            assert found.startswith(f"{lines[place]['mail_id']} to ")
