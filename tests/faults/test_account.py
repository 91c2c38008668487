"""The account itself: it finds each kind of fault that the other tests here look for."""

from collections.abc import Sequence

import pytest
from tests.faults.account import Account, Entry, Sent, Try, draw_account
from tests.faults.mails import SENDER, Arrival, compose_mail, read_arrival, recipients_of

from msys_track import KeyRing, TrackingOptions, rewrite

KEYS = KeyRing.temporary()
OPTIONS = TrackingOptions(
    open_tracking=True, click_tracking=True, tracking_domain="click.client.example"
)
READERS = recipients_of("m1", 2)


def answered(*answers: str, reached_the_dot: bool = True) -> Sent:
    tries = [
        Try(accepted=READERS, answer=answer, reached_the_dot=reached_the_dot) for answer in answers
    ]
    return Sent(recipients=READERS, tries=tries)


def tracked(reader: str, *, about: str = "m1") -> Arrival:
    copy = rewrite(compose_mail(about), recipient=reader, keys=KEYS, options=OPTIONS)
    return read_arrival(copy, (reader,))


def draw(mail: Sent, arrivals: Sequence[Arrival]) -> Account:
    return draw_account({"m1": mail}, [Entry(arrival=each) for each in arrivals], KEYS)


def test_a_mail_that_arrived_once_for_each_reader_is_no_fault() -> None:
    account = draw(answered("250 Ok"), [tracked(reader) for reader in READERS])
    assert not account.faults
    assert (account.accepted, account.arrived, account.repeated) == (1, 2, 0)


def test_an_accepted_mail_that_a_reader_lacks_is_lost() -> None:
    account = draw(answered("250 Ok"), [tracked(READERS[0])])
    assert account.lost == (f"m1 to {READERS[1]}",)


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
    ],
    ids=["accepted", "refused before", "told to repeat", "left before its dot"],
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


def test_a_refusal_for_good_says_who_has_the_mail_all_the_same() -> None:
    copies = [tracked(READERS[0])]
    assert draw(answered("550 5.7.1 No"), copies).denied == ("m1: 550 5.7.1 No",)
    assert not draw(answered("554 5.3.0 1 of 2 copies relayed; not to …"), copies).faults


def test_a_second_copy_of_what_the_upstream_never_answered_is_no_fault() -> None:
    first = Entry(arrival=tracked(READERS[0]), is_answered=False)
    copies = [first, *(Entry(arrival=tracked(reader)) for reader in READERS)]
    account = draw_account({"m1": answered("250 Ok")}, copies, KEYS)
    assert not account.faults
    assert account.repeated == 1


def test_a_reader_whom_a_report_names_is_not_lost() -> None:
    report = read_arrival(
        b"Subject: Undelivered\r\n\r\nFinal-Recipient: rfc822; "
        + READERS[1].encode()
        + b"\r\n\r\nSubject: m1\r\n",
        (SENDER,),
    )
    account = draw(answered("250 Ok"), [tracked(READERS[0]), report])
    assert not account.faults
    assert account.reported == 1
