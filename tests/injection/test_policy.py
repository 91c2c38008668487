"""Policy through real SMTP: called at each command, answered to the client, undone if it fails."""

import asyncio
import re

import pytest
from tests.injection.conftest import Harness, Run

from msys_track.keys.ring import KeyRing
from msys_track.policy.hooks import Hook

pytestmark = pytest.mark.anyio

HTML = (
    b"Subject: x\r\nContent-Type: text/html\r\n\r\n<body><a href='http://e.com/'>x</a></body>\r\n"
)
REJECTS = """
from msys_track.policy.hooks import Rejection

def validate_connect(transaction):
    if transaction.listen.endswith(":0") and transaction.peer.startswith("127.0.0.1:"):
        transaction.contexts.connection.set("seen", "connect")

def validate_ehlo(transaction):
    if transaction.helo == "spam":
        return Rejection(code=550, text="5.7.1 no spam")

def validate_mailfrom(transaction):
    if transaction.sender == "bad@s.example":
        return Rejection(code=553, text="5.1.8 not you")

def validate_rcptto(transaction):
    if transaction.recipient == "no@r.example":
        count = str(len(transaction.recipients))
        return Rejection(code=550, text="5.1.1 not there, after " + count)

def validate_data_spool(transaction):
    if "stop" in transaction.headers.get("Subject"):
        return Rejection(code=554, text="5.6.0 stopped")

def validate_data_spool_each_rcpt(transaction):
    if transaction.contexts.lookup("seen") == "connect":
        transaction.contexts.message.set("smtpapi_campaign_id", transaction.recipient)
"""


def campaigns(harness: Harness, keys: KeyRing) -> list[set[str | None]]:
    found = []
    for taken in harness.upstream.taken:
        paths = re.findall(rb"http://localhost:8080(/[^\"' ]+)", taken.message)
        engagements = [keys.open(path.decode()).engagement for path in paths]
        found.append({each.campaign_id for each in engagements})
    return found


@pytest.mark.parametrize("front", ["machine", "aiosmtpd"])
async def test_each_command_is_answered_as_policy_says(run: Run, front: str) -> None:
    it, client = await run(REJECTS, settings={"front": front})
    assert await client.say("EHLO spam") == "550 5.7.1 no spam"
    assert (await client.say("MAIL FROM:<s@s.example>")).startswith("503")
    assert await client.say("HELO spam") == "550 5.7.1 no spam"
    assert (await client.say("EHLO client")).startswith("250-")
    assert await client.say("MAIL FROM:<bad@s.example>") == "553 5.1.8 not you"
    assert (await client.say("MAIL FROM:<s@s.example>")).startswith("250")
    assert (await client.say("RCPT TO:<yes@r.example>")).startswith("250")
    assert await client.say("RCPT TO:<no@r.example>") == "550 5.1.1 not there, after 1"
    assert (await client.say("DATA")).startswith("354")
    assert (await client.say(HTML + b".")).startswith("250")
    assert [taken.recipients for taken in it.upstream.taken] == [("yes@r.example",)]
    assert it.counts["policy.rejected"] == 4


async def test_a_message_refused_by_policy_goes_to_nobody(run: Run) -> None:
    it, client = await run(REJECTS)
    stop = HTML.replace(b"Subject: x", b"Subject: stop")
    assert await client.deliver(stop, "a@r.example", "b@r.example") == "554 5.6.0 stopped"
    assert it.upstream.taken == []
    assert it.counts["messages.refused.policy"] == 1
    assert (await client.deliver(HTML, "a@r.example")).startswith("250")


async def test_variables_decide_for_each_recipient(run: Run, keys: KeyRing) -> None:
    it, client = await run(REJECTS, context={"seen": "connect"})
    await client.deliver(HTML, "a@r.example", "b@r.example")
    assert campaigns(it, keys) == [{"a@r.example"}, {"b@r.example"}]


async def test_a_connection_s_variables_last_and_a_message_s_end_with_it(
    run: Run, keys: KeyRing
) -> None:
    counting = """
def validate_mailfrom(transaction):
    connection, message = transaction.contexts.connection, transaction.contexts.message
    connection.set("mails", str(int(connection.get("mails") or "0") + 1))
    seen = message.get("once") or "new"
    message.set("once", "old")
    message.set("smtpapi_campaign_id", connection.get("mails") + " " + seen)
"""
    it, first = await run(counting)
    for client in (first, await it.client()):
        await client.deliver(HTML, "a@r.example")
        mail = b"MAIL FROM:<s@s.example>"
        for command in (mail, b"RSET", mail, b"RCPT TO:<a@r.example>", b"DATA", HTML + b"."):
            assert (await client.say(command))[:3] in {"250", "354"}
    assert campaigns(it, keys) == [{"1 new"}, {"3 new"}, {"1 new"}, {"3 new"}]


FAILS = """
def validate_connect(transaction):
    transaction.contexts.connection.set("smtpapi_campaign_id", "from connect")

def validate_rcptto(transaction):
    transaction.contexts.message.set("smtpapi_campaign_id", "half done")
    transaction.contexts.connection.delete("smtpapi_campaign_id")
    raise ValueError("a defect of the policy")
"""


async def test_what_policy_set_for_a_mail_that_it_refuses_at_mail_ends_with_it(
    run: Run, keys: KeyRing
) -> None:
    refusing = """
from msys_track.policy.hooks import Rejection

def validate_mailfrom(transaction):
    if transaction.sender == "bad@s.example":
        transaction.contexts.message.set("smtpapi_campaign_id", "bad")
        return Rejection(code=553, text="5.1.8 not you")
"""
    it, client = await run(refusing)
    await client.say("EHLO client")
    assert await client.say("MAIL FROM:<bad@s.example>") == "553 5.1.8 not you"
    for command in (b"MAIL FROM:<s@s.example>", b"RCPT TO:<a@r.example>", b"DATA", HTML + b"."):
        assert (await client.say(command))[:3] in {"250", "354"}
    assert campaigns(it, keys) == [{None}]


async def test_a_failing_policy_is_passed_over_and_leaves_nothing_behind(
    run: Run, keys: KeyRing
) -> None:
    it, client = await run(FAILS)
    assert (await client.deliver(HTML, "a@r.example")).startswith("250")
    assert campaigns(it, keys) == [{"from connect"}]
    assert it.counts["policy.continued"] == 1


SWITCHES_OFF = {
    "off.lua": """
local mod = {}
function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  msg:context_set(msys.core.ECMESS_CTX_MESS, "smtpapi_click_tracking", "0")
  msg:context_set(msys.core.ECMESS_CTX_MESS, "smtpapi_open_tracking", "0")
end
msys.registerModule("off", mod)
""",
    "off.py": """
def validate_data_spool_each_rcpt(transaction):
    transaction.contexts.message.set("smtpapi_click_tracking", "0")
    transaction.contexts.message.set("smtpapi_open_tracking", "0")
""",
}
SWITCHES_ON_AND_FAILS = {
    "bad.lua": """
local mod = {}
function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  msg:context_set(msys.core.ECMESS_CTX_MESS, "smtpapi_click_tracking", "1")
  error("a defect of the policy")
end
msys.registerModule("bad", mod)
""",
    "bad.py": """
def validate_data_spool_each_rcpt(transaction):
    transaction.contexts.message.set("smtpapi_click_tracking", "1")
    raise ValueError("a defect of the policy")
""",
}


@pytest.mark.parametrize("bad", SWITCHES_ON_AND_FAILS)
@pytest.mark.parametrize("off", SWITCHES_OFF)
@pytest.mark.parametrize("is_first", [True, False], ids=["fails first", "fails last"])
async def test_mail_that_one_file_has_switched_off_stays_so_though_another_fails(
    run: Run, off: str, bad: str, *, is_first: bool
) -> None:
    names = [bad, off] if is_first else [off, bad]
    it, client = await run({name: (SWITCHES_OFF | SWITCHES_ON_AND_FAILS)[name] for name in names})
    assert (await client.deliver(HTML, "a@r.example")).startswith("250")
    assert [taken.message for taken in it.upstream.taken] == [HTML]
    assert it.counts["policy.continued"] == 1


SETTING = """
local mod, C = {{}}, msys.core.ECMESS_CTX_CONN
function mod:{hook}(...)
  local vctx = select(select("#", ...), ...)
  vctx:set(C, "smtpapi_click_tracking", "{value}")
  vctx:set(C, "smtpapi_open_tracking", "{value}")
  {then_}
end
msys.registerModule("setting", mod)
"""


@pytest.mark.parametrize("hook", [hook for hook in Hook if hook is not Hook.AUTH])
@pytest.mark.parametrize("is_first", [True, False], ids=["fails first", "fails last"])
async def test_what_one_file_sets_at_any_command_holds_though_another_fails_there(
    run: Run, hook: Hook, *, is_first: bool
) -> None:
    files = {
        "bad.lua": SETTING.format(hook=hook, value="1", then_="error('a defect')"),
        "off.lua": SETTING.format(hook=hook, value="0", then_=""),
    }
    it, client = await run(files if is_first else dict(reversed(files.items())))
    assert (await client.deliver(HTML, "a@r.example")).startswith("250")
    assert [taken.message for taken in it.upstream.taken] == [HTML]
    assert it.counts["policy.continued"] == 1


async def test_a_failing_policy_can_refuse_for_now(run: Run) -> None:
    it, client = await run(FAILS, on_failure="refuse")
    await client.say("EHLO client")
    await client.say("MAIL FROM:<s@s.example>")
    assert (await client.say("RCPT TO:<a@r.example>")).startswith("451 4.3.0")
    assert it.counts["policy.refused"] == 1


async def test_a_client_can_be_turned_away_at_once(run: Run) -> None:
    closed = """
from msys_track.policy.hooks import Rejection

def validate_connect(transaction):
    return Rejection(code=554, text="5.7.1 closed")
"""
    it, client = await run(closed)
    assert client.greeting == "554 5.7.1 closed"
    assert await client.rest() == ""
    assert it.counts["connections.rejected"] == 1


LUA = """
require("msys.core")
require("msys.extended.message")

local mod = {}

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local m = msys.core.ECMESS_CTX_MESS
  if msg:header("X-Class")[1] == "password-reset" then
    msg:context_set(m, "smtpapi_click_tracking", "0")
    msg:context_set(m, "smtpapi_open_tracking", "0")
  end
  msg:context_set(m, "smtpapi_tags", "[\\"lua\\"]")
  return msys.core.VALIDATE_CONT
end

function mod:validate_rcptto(msg, str, accept, vctx)
  if string.find(str, "blocked") then
    vctx:set_code(550, "5.7.1 blocked")
    return msys.core.VALIDATE_DONE
  end
  return msys.core.VALIDATE_CONT
end

msys.registerModule("engagement", mod)
"""


async def test_a_policy_in_lua_acts_as_momentum_s_documentation_says(
    run: Run, keys: KeyRing
) -> None:
    it, client = await run({"policy.lua": LUA})
    await client.say("EHLO client")
    await client.say("MAIL FROM:<s@s.example>")
    assert await client.say("RCPT TO:<blocked@r.example>") == "550 5.7.1 blocked"
    await client.say("RSET")
    await client.deliver(HTML, "a@r.example")
    await client.deliver(b"X-Class: password-reset\r\n" + HTML, "a@r.example")
    tracked, untracked = it.upstream.taken
    path = re.search(rb"http://localhost:8080(/f/[^\"' ]+)", tracked.message)
    assert path is not None
    assert keys.open(path[1].decode()).engagement.tags == ("lua",)
    assert untracked.message == b"X-Class: password-reset\r\n" + HTML


async def test_sessions_at_one_time_don_t_share_variables(run: Run, keys: KeyRing) -> None:
    slow = """
def validate_mailfrom(transaction):
    transaction.contexts.message.set("smtpapi_campaign_id", transaction.sender)
"""
    it, _ = await run(slow)

    async def one(number: int) -> None:
        client = await it.client()
        await client.say("EHLO client")
        await client.say(f"MAIL FROM:<s{number}@s.example>")
        await asyncio.sleep(0.01)
        for command in (b"RCPT TO:<r@r.example>", b"DATA", HTML + b"."):
            await client.say(command)

    await asyncio.gather(*map(one, range(40)))
    assert len({taken.sender for taken in it.upstream.taken}) == 40
    assert campaigns(it, keys) == [{taken.sender} for taken in it.upstream.taken]
