"""Policies in the shapes of published ones, and the mail that comes out of a real session."""

import pytest
from tests.injection.conftest import Harness, Run
from tests.policy.policies import SAMPLES
from tests.smtp_client import Client

pytestmark = pytest.mark.anyio


def sample(*names: str) -> dict[str, str]:
    return {f"{name}.lua": (SAMPLES / "momentum" / f"{name}.lua").read_text() for name in names}


def header(harness: Harness, at: int = 0) -> bytes:
    return harness.upstream.taken[at].message.partition(b"\r\n\r\n")[0]


async def deliver(client: Client, fields: bytes, *recipients: str) -> str:
    return await client.deliver(fields + b"\r\n\r\nBody\r\n", *recipients)


async def test_a_field_is_gone_and_all_else_stays(run: Run) -> None:
    it, client = await run(sample("field_deleted"))
    await deliver(client, b"Subject: x\r\nX-Pool: fast\r\nX-Other: 1", "jo@r.example")
    assert header(it) == b"Subject: x\r\nX-Other: 1"


async def test_a_field_stands_at_the_top(run: Run) -> None:
    it, client = await run(sample("field_prepended"))
    await deliver(client, b"Subject: x", "jo@r.example")
    first, second = header(it).split(b"\r\n")
    assert first.startswith(b"X-Came: from 127.0.0.1 to ")
    assert second == b"Subject: x"


async def test_each_recipient_has_a_sender_and_a_field_of_its_own(run: Run) -> None:
    it, client = await run(sample("unsubscribe"))
    await deliver(client, b"Subject: x", "jo@r.example", "kim@r.example")
    found = {taken.recipients: taken.sender for taken in it.upstream.taken}
    assert found == {
        ("jo@r.example",): "from-jo=r.example@example.com",
        ("kim@r.example",): "from-kim=r.example@example.com",
    }
    for at, taken in enumerate(it.upstream.taken):
        name = taken.recipients[0].partition("@")[0].encode()
        assert b"<mailto:leave-" + name + b"=r.example@leave.shop.example" in header(it, at)


async def test_an_archive_gets_a_copy_too(run: Run) -> None:
    it, client = await run(sample("copies"))
    await deliver(client, b"Subject: x", "desk@r.example")
    recipients = sorted(each for taken in it.upstream.taken for each in taken.recipients)
    assert recipients == ["archive@r.example", "desk@r.example"]


async def test_who_has_moved_gets_the_mail_at_the_new_address(run: Run) -> None:
    it, client = await run(sample("moved"))
    await deliver(client, b"Subject: x", "jo@example.org", "lee@example.org")
    recipients = sorted(each for taken in it.upstream.taken for each in taken.recipients)
    assert recipients == ["jo@new.example", "lee@example.org"]


async def test_a_split_message_id_discards_the_mail(run: Run) -> None:
    it, client = await run(sample("pcre_split"))
    answer = await deliver(client, b"Message-ID: <1@left.example>", "jo@r.example")
    assert answer.startswith("250")
    assert it.upstream.taken == []


async def test_one_recipient_is_dropped_at_rcpt_and_the_others_get_the_mail(run: Run) -> None:
    it, client = await run(sample("dropped_recipient"))
    answer = await deliver(client, b"Subject: x", "a@dropped.example", "jo@r.example")
    assert answer.startswith("250")
    assert [taken.recipients for taken in it.upstream.taken] == [("jo@r.example",)]
    assert it.counts["recipients.discarded"] == 1


async def test_a_mail_whose_recipients_are_all_dropped_is_taken_and_goes_nowhere(run: Run) -> None:
    it, client = await run(sample("dropped_recipient", "field_deleted"))
    assert (await deliver(client, b"Subject: x", "a@dropped.example")).startswith("250")
    assert it.upstream.taken == []
    assert it.counts["messages.discarded"] == 1


async def test_a_sink_answers_as_it_is_told(run: Run) -> None:
    it, client = await run(sample("sinkhole"))
    assert await deliver(client, b"X-Answer: 451 later", "jo@r.example") == "451 later"
    assert (await deliver(client, b"Subject: x", "jo@r.example")).startswith("250")
    assert len(it.upstream.taken) == 1


async def test_a_session_that_clears_itself_harms_no_other(run: Run) -> None:
    it, first = await run(sample("wipes", "field_deleted"))
    await deliver(first, b"X-Pool: fast", "jo@r.example")
    second = await it.client()
    await deliver(second, b"X-Pool: fast", "jo@r.example", "kim@r.example")
    await deliver(first, b"X-Pool: fast", "jo@r.example")
    assert "policy.continued" not in it.counts
    assert all(b"X-Pool" not in header(it, at) for at in range(len(it.upstream.taken)))


async def test_a_defect_in_one_script_costs_the_others_nothing(run: Run) -> None:
    it, client = await run(sample("defect", "suppression", "field_deleted"))
    assert (await deliver(client, b"Subject: x\r\nX-Pool: fast", "jo@r.example"))[:3] == "250"
    assert header(it) == b"Subject: x"
    assert it.counts["policy.continued"] == 2
