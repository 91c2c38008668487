"""What policy changes in a mail, through real SMTP: header, envelope, or that nobody gets it."""

from collections.abc import Sequence
from typing import Any

import pytest
from tests import oracle
from tests.captured_logs import capture_logs
from tests.injection.conftest import Run
from tests.proxied import find_tracked_urls
from tests.upstreams import ScriptedUpstream, Taken
from tests.waiting import until

from msys_track.keys.ring import KeyRing
from msys_track.metrics import Counters
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Upstream
from msys_track.spool.settings import SpoolSettings
from msys_track.spool.spool import Spool

pytestmark = pytest.mark.anyio

HTML = b"Subject: x\r\nContent-Type: text/html\r\n\r\n<a href='http://e.example/'>x</a>\r\n"
SIGNED = b"DKIM-Signature: v=1; h=From:Subject; b=x\r\n" + HTML
PLAIN = b"Subject: x\r\n\r\nbody\r\n"
TWO = ("b@example.com", "c@example.com")
EACH_SUBJECT = 'transaction.headers.set("Subject", transaction.recipient)'
MODES = pytest.mark.parametrize("recipients", ["as_they_come", "at_the_end"])


def at_spool(body: str) -> str:
    return f"def validate_data_spool(transaction):\n    {body}\n"


def at_each(body: str) -> str:
    return f"def validate_data_spool_each_rcpt(transaction):\n    {body}\n"


def for_c(body: str) -> str:
    """Do something for the recipient c only."""
    return at_each(f'if transaction.recipient.startswith("c@"):\n        {body}')


def by_reader(taken: Sequence[Taken]) -> dict[str, Taken]:
    """Give what each reader got; nobody may get two copies."""
    readers = [to for each in taken for to in each.recipients]
    assert len(set(readers)) == len(readers)
    return {to: each for each in taken for to in each.recipients}


# Header


async def test_a_field_that_policy_sets_is_in_every_copy_and_links_are_tracked(run: Run) -> None:
    harness, client = await run(at_spool('transaction.headers.set("X-Pool", "Köln 1")'))
    assert (await client.deliver(HTML, *TWO)).startswith("250 ")
    changed = HTML.replace(b"\r\n\r\n", b"\r\nX-Pool: =?utf-8?q?K=C3=B6ln?= 1\r\n\r\n")
    for taken in by_reader(harness.upstream.taken).values():
        found = oracle.difference(changed, taken.message)
        assert (len(found.links), len(found.pixels)) == (1, 1)


async def test_each_recipient_can_have_a_header_of_their_own(run: Run, keys: KeyRing) -> None:
    harness, client = await run(at_each(EACH_SUBJECT))
    assert (await client.deliver(HTML, *TWO)).startswith("250 ")
    ids = set()
    for to, taken in by_reader(harness.upstream.taken).items():
        changed = HTML.replace(b"Subject: x", b"Subject: %b" % to.encode())
        assert len(oracle.difference(changed, taken.message).links) == 1
        claims = [each.claims for each in find_tracked_urls(taken.message, keys)]
        assert {each.engagement.recipient for each in claims} == {to}
        ids |= {each.engagement.transmission_id for each in claims}
    assert len(ids) == 1


async def test_who_has_the_same_header_shares_an_untracked_copy(run: Run) -> None:
    body = 'transaction.headers.set("X-C", "1")'
    harness, client = await run(for_c(body), open_tracking=False, click_tracking=False)
    await client.deliver(PLAIN, "a@example.com", "b@example.com", "c@example.com")
    taken = {each.recipients: each.message for each in harness.upstream.taken}
    assert taken == {
        ("a@example.com", "b@example.com"): PLAIN,
        ("c@example.com",): b"Subject: x\r\nX-C: 1\r\n\r\nbody\r\n",
    }


async def test_a_line_break_from_outside_makes_no_field(run: Run) -> None:
    text = 'transaction.headers.set("X-A", "a\\r\\nBcc: evil@example.com\\r\\n\\r\\nbody")'
    harness, client = await run(at_spool(text))
    await client.deliver(PLAIN)
    header, _, body = harness.upstream.taken[0].message.partition(b"\r\n\r\n")
    assert body == b"body\r\n"
    assert [each.partition(b":")[0] for each in header.split(b"\r\n")] == [b"Subject", b"X-A"]


async def test_x_msys_api_that_policy_sets_is_obeyed_and_goes(run: Run, keys: KeyRing) -> None:
    api = '{\\"campaign_id\\": \\"of policy\\"}'
    harness, client = await run(at_spool(f'transaction.headers.set("X-MSYS-API", "{api}")'))
    await client.deliver(b'X-MSYS-API: {"campaign_id": "of mail"}\r\n' + HTML)
    (taken,) = harness.upstream.taken
    assert b"X-MSYS-API" not in taken.message
    claims = [each.claims for each in find_tracked_urls(taken.message, keys)]
    assert {each.engagement.campaign_id for each in claims} == {"of policy"}


async def test_further_readers_get_one_copy_though_there_are_editions(run: Run) -> None:
    header = (
        b'X-MSYS-API: {"cc": ["c@example.com", "d@example.com"], "bcc": ["e@example.com"],'
        b' "archive": ["f@example.com"]}\r\n'
    )
    harness, client = await run(at_each(EACH_SUBJECT))
    assert (await client.deliver(header + HTML, *TWO)).startswith("250 ")
    taken = by_reader(harness.upstream.taken)
    assert sorted(taken) == [f"{name}@example.com" for name in "bcdef"]
    for name in "def":  # they get the first recipient's mail
        assert b"Subject: b@example.com\r\n" in taken[f"{name}@example.com"].message
    assert b"Subject: c@example.com\r\n" in taken["c@example.com"].message


async def test_mail_that_is_not_tracked_at_all_is_changed_too(run: Run) -> None:
    harness, client = await run(
        at_spool(
            'transaction.contexts.message.set("__bypass_smtpapi", "1")\n'
            '    transaction.headers.remove("Subject")'
        )
    )
    await client.deliver(b"X-MSYS-API: {broken\r\n" + HTML)
    (taken,) = harness.upstream.taken
    assert taken.message == b"X-MSYS-API: {broken\r\n" + HTML.removeprefix(b"Subject: x\r\n")


@pytest.mark.parametrize(
    ("signed_mail", "expected"),
    [
        ("skip", SIGNED.replace(b"\r\n\r\n", b"\r\nX-A: 1\r\n\r\n")),
        ("strip", HTML.replace(b": x", b": y").replace(b"\r\n\r\n", b"\r\nX-A: 1\r\n\r\n")),
        ("track", SIGNED.replace(b": x", b": y").replace(b"\r\n\r\n", b"\r\nX-A: 1\r\n\r\n")),
    ],
)
@pytest.mark.parametrize("is_tracked", [True, False])
async def test_what_a_signature_covers_follows_signed_mail(
    run: Run, keys: KeyRing, *, signed_mail: Any, expected: bytes, is_tracked: bool
) -> None:
    body = 'transaction.headers.set("Subject", "y"); transaction.headers.set("X-A", "1")'
    harness, client = await run(
        at_spool(body),
        signed_mail=signed_mail,
        open_tracking=is_tracked,
        click_tracking=is_tracked,
    )
    assert (await client.deliver(SIGNED)).startswith("250 ")
    (taken,) = harness.upstream.taken
    if is_tracked and signed_mail != "skip":
        assert taken.message.startswith(expected.partition(b"<a")[0])
        assert len(find_tracked_urls(taken.message, keys)) == 2
    else:
        assert taken.message == expected
    skipped = harness.counts.get("notices.skipped_header_change", 0)
    assert skipped == (signed_mail == "skip")


# Recipients


@MODES
async def test_an_added_recipient_gets_a_copy_as_if_the_client_had_named_it(
    run: Run, keys: KeyRing, recipients: str
) -> None:
    add = 'transaction.add_recipient("added@example.com")'
    policy = f"def validate_rcptto(transaction):\n    {add}\n"
    harness, client = await run(policy, settings={"recipients": recipients})
    assert (await client.deliver(HTML, "b@example.com")).startswith("250 ")
    taken = by_reader(harness.upstream.taken)
    assert sorted(taken) == ["added@example.com", "b@example.com"]
    for to, each in taken.items():
        claims = [found.claims for found in find_tracked_urls(each.message, keys)]
        assert {found.engagement.recipient for found in claims} == {to}


@MODES
async def test_an_added_recipient_shares_an_untracked_copy(run: Run, recipients: str) -> None:
    policy = at_spool('transaction.add_recipient("added@example.com")')
    harness, client = await run(
        policy, settings={"recipients": recipients}, open_tracking=False, click_tracking=False
    )
    assert (await client.deliver(PLAIN, "b@example.com")).startswith("250 ")
    (taken,) = harness.upstream.taken
    assert taken.recipients == ("b@example.com", "added@example.com")


async def test_an_added_recipient_is_asked_about_and_is_none_twice(run: Run) -> None:
    policy = at_spool('transaction.add_recipient("b@EXAMPLE.com")') + at_each(EACH_SUBJECT)
    harness, client = await run(policy)
    await client.deliver(HTML, "b@example.com")
    (taken,) = harness.upstream.taken
    assert taken.recipients == ("b@example.com",)


async def test_what_a_refused_recipient_should_have_added_is_gone(run: Run) -> None:
    policy = """
from msys_track.policy.hooks import Rejection

def validate_rcptto(transaction):
    transaction.add_recipient("added-for-" + transaction.recipient)
    if transaction.recipient.startswith("c@"):
        return Rejection(code=550, text="5.1.1 no")
"""
    harness, client = await run(policy, open_tracking=False, click_tracking=False)
    await client.say("EHLO client.test")
    await client.say("MAIL FROM:<from@example.com>")
    for name in ("c", "b", "c"):
        await client.say(f"RCPT TO:<{name}@example.com>")
    await client.say("DATA")
    assert (await client.data(PLAIN)).startswith("250 ")
    assert harness.upstream.taken[0].recipients == ("b@example.com", "added-for-b@example.com")


@MODES
async def test_an_added_recipient_whom_the_upstream_refuses_is_a_refusal(
    run: Run, recipients: str
) -> None:
    harness, client = await run(
        at_spool('transaction.add_recipient("added@example.com")'),
        upstream={"RCPT TO:<added@example.com>": "550 5.1.1 No such user"},
        settings={"recipients": recipients},
    )
    answer = await client.deliver(HTML, "b@example.com")
    assert answer == "550 5.1.1 <added@example.com>: No such user"
    assert harness.upstream.taken == []


@MODES
async def test_a_changed_recipient_is_the_one_that_gets_the_copy(
    run: Run, keys: KeyRing, recipients: str
) -> None:
    policy = for_c('transaction.set_recipient("new@example.com")')
    harness, client = await run(policy, settings={"recipients": recipients})
    assert (await client.deliver(HTML, *TWO)).startswith("250 ")
    taken = by_reader(harness.upstream.taken)
    assert sorted(taken) == ["b@example.com", "new@example.com"]
    claims = [each.claims for each in find_tracked_urls(taken["new@example.com"].message, keys)]
    assert {each.engagement.recipient for each in claims} == {"new@example.com"}


async def test_two_recipients_that_policy_leads_to_one_mailbox_are_one_reader(run: Run) -> None:
    harness, client = await run(at_each('transaction.set_recipient("all@example.com")'))
    assert (await client.deliver(HTML, *TWO)).startswith("250 ")
    assert [each.recipients for each in harness.upstream.taken] == [("all@example.com",)]


async def test_a_changed_recipient_keeps_the_parameters_of_its_rcpt(run: Run) -> None:
    upstream = ScriptedUpstream(extensions=("PIPELINING", "DSN"))
    harness, client = await run(
        at_each('transaction.set_recipient("new@example.com")'), upstream=upstream
    )
    await client.say("EHLO client.test")
    await client.say("MAIL FROM:<from@example.com>")
    await client.say("RCPT TO:<b@example.com> NOTIFY=NEVER")
    await client.say("DATA")
    assert (await client.data(HTML)).startswith("250 ")
    assert "RCPT TO:<new@example.com> NOTIFY=NEVER" in harness.upstream.commands


async def test_an_address_beyond_ascii_that_policy_names_needs_smtputf8(run: Run) -> None:
    harness, client = await run(at_each('transaction.set_recipient("jö@example.com")'))
    assert (await client.deliver(HTML, "b@example.com")).startswith("250 ")
    (taken,) = harness.upstream.taken
    assert taken.recipients == ("jö@example.com",)
    assert "SMTPUTF8" in taken.parameters


# Sender


@MODES
@pytest.mark.parametrize("sender", ["bounces@example.com", ""])
async def test_a_changed_sender_is_the_reverse_path(
    run: Run, recipients: str, sender: str
) -> None:
    harness, client = await run(
        at_spool(f'transaction.set_sender("{sender}")'), settings={"recipients": recipients}
    )
    assert (await client.deliver(HTML, *TWO)).startswith("250 ")
    assert [each.sender for each in harness.upstream.taken] == [sender, sender]


@MODES
@pytest.mark.parametrize("is_tracked", [True, False])
async def test_each_recipient_can_have_a_reverse_path(
    run: Run, *, recipients: str, is_tracked: bool
) -> None:
    body = 'transaction.set_sender(transaction.recipient.replace("@", "=") + "@bounces.test")'
    harness, client = await run(
        at_each(body),
        settings={"recipients": recipients},
        open_tracking=is_tracked,
        click_tracking=is_tracked,
    )
    assert (await client.deliver(HTML, *TWO)).startswith("250 ")
    senders = {to: each.sender for to, each in by_reader(harness.upstream.taken).items()}
    assert senders == {to: to.replace("@", "=") + "@bounces.test" for to in TWO}


async def test_the_spool_sends_a_copy_with_its_own_reverse_path(run: Run, tmp_path: Any) -> None:
    body = 'transaction.set_sender(transaction.recipient.replace("@", "=") + "@bounces.test")'
    async with ScriptedUpstream() as elsewhere:
        hop = Upstream(UpstreamSettings(port=elsewhere.port))
        settings = SpoolSettings(path=tmp_path / "spool", first_retry_seconds=1)
        spool = Spool(settings, hop, Counters(), hostname="mx.test", poll_seconds=0.05)
        await spool.start()
        _, client = await run(
            at_each(body),
            upstream={"DOT TO:<c@example.com>": "450 4.2.0 later"},
            serve_with={"spool": spool},
        )
        assert "1 kept" in await client.deliver(HTML, *TWO)
        await until(lambda: bool(elsewhere.taken))
        await spool.close()
        await hop.close()
        assert elsewhere.taken[0].sender == "c=example.com@bounces.test"


# Nobody gets it


@MODES
async def test_a_discarded_mail_is_accepted_and_sent_to_nobody(run: Run, recipients: str) -> None:
    policy = at_spool('transaction.discard("550 5.7.1 spam")')
    harness, client = await run(policy, settings={"recipients": recipients})
    with capture_logs() as entries:
        assert await client.deliver(HTML, *TWO) == "250 2.0.0 Ok: discarded"
    assert harness.upstream.taken == []
    assert "DATA" not in harness.upstream.commands
    assert harness.counts["messages.accepted"] == harness.counts["messages.discarded"] == 1
    assert harness.counts["recipients.discarded"] == 2
    (entry,) = [each for each in entries if each["event"] == "message.discarded"]
    assert entry["why"] == ["550 5.7.1 spam"]
    assert (entry["recipients"], entry["discarded"]) == (2, 2)
    assert entry["to"] == ["b…@example.com", "c…@example.com"]
    assert (await client.deliver(HTML, "d@example.com")).startswith("250 ")


async def test_a_copy_that_is_discarded_is_not_sent_and_the_others_are(run: Run) -> None:
    harness, client = await run(for_c("transaction.discard()"))
    header = b'X-MSYS-API: {"cc": ["c@example.com"]}\r\n'
    assert (await client.deliver(header + HTML, *TWO)).startswith("250 ")
    assert [each.recipients for each in harness.upstream.taken] == [("b@example.com",)]
    assert harness.counts["recipients.discarded"] == 1
    assert "messages.discarded" not in harness.counts


async def test_a_mail_whose_every_copy_is_discarded_is_discarded(run: Run) -> None:
    harness, client = await run(at_each("transaction.discard()"))
    assert await client.deliver(HTML, *TWO) == "250 2.0.0 Ok: discarded"
    assert harness.upstream.taken == []
    assert harness.counts["messages.discarded"] == 1


@MODES
@pytest.mark.parametrize("name", ["policy.py", "policy.lua"])
async def test_a_recipient_that_is_discarded_at_rcpt_is_accepted_and_not_even_asked_about(
    run: Run, recipients: str, name: str
) -> None:
    texts = {
        "policy.py": "def validate_rcptto(transaction):\n"
        '    if transaction.recipient.startswith("c@"):\n'
        '        transaction.discard("550 5.1.1 gone")\n' + at_each(EACH_SUBJECT),
        "policy.lua": "local mod = {}\n"
        "function mod:validate_rcptto(msg, str, accept, vctx)\n"
        '  if msg:rcptto():match("^c@") then msg:discard("550 5.1.1 gone") end\n'
        "  return msys.core.VALIDATE_CONT\n"
        "end\n"
        'msys.registerModule("gone", mod)\n',
    }
    harness, client = await run({name: texts[name]}, settings={"recipients": recipients})
    assert (await client.deliver(HTML, "b@example.com", "c@example.com", "d@example.com"))[
        :1
    ] == "2"
    assert sorted(by_reader(harness.upstream.taken)) == ["b@example.com", "d@example.com"]
    assert not any("<c@" in each for each in harness.upstream.commands)
    assert harness.counts["recipients.discarded"] == 1
    assert await client.deliver(HTML, "c@example.com") == "250 2.0.0 Ok: discarded"
    assert harness.counts["messages.discarded"] == 1


async def test_the_next_mail_of_the_connection_is_as_it_comes(run: Run) -> None:
    body = 'if "x" in transaction.headers.get("Subject"):\n        transaction.discard()'
    harness, client = await run(at_spool(body), open_tracking=False, click_tracking=False)
    assert await client.deliver(PLAIN) == "250 2.0.0 Ok: discarded"
    other = PLAIN.replace(b"Subject: x", b"Subject: y")
    await client.deliver(other)
    assert [each.message for each in harness.upstream.taken] == [other]


# What a policy reads


async def test_policy_reads_who_the_connection_is(run: Run) -> None:
    names = (
        '(transaction.id == "") is (transaction.sender is None), len(transaction.connection_id),'
        " transaction.is_encrypted, transaction.can_relay, transaction.connection_messages,"
        " transaction.connection_recipients"
    )
    harness, client = await run(
        at_spool(f'transaction.headers.set("X-Seen", str(({names})))')
        + at_each('transaction.headers.set("X-Id", transaction.id)'),
        open_tracking=False,
        click_tracking=False,
    )
    await client.deliver(PLAIN, *TWO)
    await client.deliver(PLAIN, "d@example.com")
    first, second = harness.upstream.taken
    assert b"X-Seen: (True, 20, False, True, 0, 2)\r\n" in first.message
    assert b"X-Seen: (True, 20, False, True, 1, 3)\r\n" in second.message
    for taken in (first, second):
        own_id = taken.message.partition(b"X-Id: ")[2].split()[0]
        assert b" id %b" % own_id in taken.received


async def test_an_added_recipient_whom_policy_leads_elsewhere_has_no_rcpt(run: Run) -> None:
    harness, client = await run(
        "def validate_data_spool(transaction):\n"
        "    transaction.add_recipient('added@r.example')\n"
        "def validate_data_spool_each_rcpt(transaction):\n"
        "    if transaction.recipient == 'added@r.example':\n"
        "        transaction.set_recipient('other@r.example')\n"
    )
    assert (await client.deliver(HTML, "a@r.example")).startswith("250 ")
    served = sorted(to for each in harness.upstream.taken for to in each.recipients)
    assert served == ["a@r.example", "other@r.example"]
