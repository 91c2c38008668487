"""Whatever is sent: the documented answer, never half of it, never a stack trace.

Thousands of headers, variables and failing policies go through a real proxy; oracles that are not
our code say what must come of each.
"""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from tests.api_headers import (
    BAD_MAILBOXES,
    GOOD_MAILBOXES,
    TOO_LONG,
    Accepted,
    Case,
    Refused,
    cases,
    judge_value,
)
from tests.captured_logs import capture_logs
from tests.proxied import OBEDIENT_POLICY, find_tracked_urls, read_attributes, run_proxy
from tests.smtp_client import Client
from tests.thoroughness import some_of
from tests.upstreams import ScriptedUpstream, Taken

from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.keys.ring import KeyRing
from msys_track.metrics import Counters
from msys_track.options.scopes import Scope, Scopes
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.guard import Guard, OnFailure
from msys_track.policy.loading import PolicySettings, load_policy

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

KEYS = KeyRing.temporary()
ON = TrackingOptions(open_tracking=True, click_tracking=True)
BODY = b"<html><body><p><a href='http://shop.example/?a=1'>x</a></p></body></html>\r\n"
TO = "to@reader.example"


@dataclass(slots=True)
class ProxyUnderTest:
    """A proxy under test and a client that has said EHLO."""

    hop: ScriptedUpstream
    client: Client
    counters: Counters

    async def inject(
        self, message: bytes, sender: str = "s@shop.example"
    ) -> tuple[str, list[Taken]]:
        """Send a message; the last reply, and what arrived."""
        before = len(self.hop.arrived), len(self.hop.taken)
        for command in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{TO}>", "DATA"):
            reply = await self.client.say(command)
            if reply[0] not in "23":
                assert len(self.hop.arrived) == before[0]
                await self.client.say("RSET")
                return reply, []
        reply = await self.client.say(message + b".")
        assert len(self.hop.arrived) - before[0] == len(self.hop.taken) - before[1]
        return reply, self.hop.taken[before[1] :]

    def count(self, name: str) -> int:
        return self.counters.snapshot().get(name, 0)


@asynccontextmanager
async def running(
    policy: Path | None = None, on_failure: OnFailure = "continue", timeout_seconds: float = 60
) -> AsyncIterator[ProxyUnderTest]:
    counters = Counters()
    files = () if policy is None else (policy,)
    loaded = load_policy(PolicySettings(files=files, timeout_seconds=timeout_seconds))
    guard = None if loaded is None else Guard(loaded, on_failure, counters.add)
    scopes = Scopes(listener=Scope(name="listener", options=ON))
    rewriter = Dispatcher(keys=KEYS, scopes=scopes, policy=guard)
    with capture_logs() as logs:
        async with (
            run_proxy(rewriter, counters=counters) as (proxy, hop),
            Client(proxy.port) as client,
        ):
            assert (await client.say("EHLO client.test")).startswith("250")
            tested = ProxyUnderTest(hop, client, counters)
            yield tested
    assert not [each for each in logs if each.get("exc_info")]
    assert tested.count("sessions.failed") == tested.count("messages.refused.internal") == 0


def message(*fields: bytes) -> bytes:
    lines = (b"From: s@shop.example", *fields, b"Content-Type: text/html", b"", BODY)
    return b"\r\n".join(lines)


# Headers


def kinds_of(wanted: Accepted) -> Counter[str]:
    opens = wanted.open_tracking is not False
    kinds = Counter(click=wanted.click_tracking is not False, open=opens)
    kinds["initial_open"] = opens and wanted.initial_open is True
    return +kinds


def readers_of(wanted: Accepted) -> dict[str, str]:
    """Who gets a copy, as what: each once, the first of to, cc, bcc and archive."""
    readers = {identity(TO): (TO, "to")}
    for kind in ("cc", "bcc", "archive"):
        for address in getattr(wanted, kind):
            readers.setdefault(identity(address), (address, kind))
    return dict(readers.values())


def identity(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.lower()}"


def check_copies(wanted: Accepted, copies: list[Taken]) -> None:
    readers = readers_of(wanted)
    assert Counter(to for copy in copies for to in copy.recipients) == Counter(readers.keys())
    for copy in copies:
        header, _, _ = copy.message.partition(b"\r\n\r\n")
        assert not re.search(rb"^x-msys-api:", header, re.IGNORECASE | re.MULTILINE)
        found = [each.claims for each in find_tracked_urls(copy.message, KEYS)]
        assert Counter(claims.kind for claims in found) == kinds_of(wanted)
        recipient = copy.recipients[0]
        for engagement in (claims.engagement for claims in found):
            assert engagement.campaign_id == wanted.campaign_id
            assert json.loads(engagement.metadata or "null") == wanted.metadata
            assert engagement.tags == wanted.tags
            assert engagement.transactional == bool(wanted.transactional)
            assert engagement.open_tracking == (wanted.open_tracking is not False)
            assert engagement.click_tracking == (wanted.click_tracking is not False)
            assert engagement.recipient == recipient
            assert engagement.recipient_type == readers[recipient]


async def judge(proxy: ProxyUnderTest, case: Case) -> str:
    reply, copies = await proxy.inject(message(*case.fields))
    if isinstance(case.verdict, Refused):
        assert copies == []
        assert case.verdict.fits(reply), (case, reply)
        return "refused"
    assert reply.startswith("250 "), (case, reply)
    check_copies(case.verdict, copies)
    return "accepted"


@pytest.mark.parametrize("seed", some_of(range(4), 2))
async def test_headers_at_random_get_what_the_oracle_says(seed: int) -> None:
    counts: Counter[str] = Counter()
    async with running() as proxy:
        for case in cases(seed, 500):
            try:
                counts[await judge(proxy, case)] += 1
            except AssertionError as error:
                raise AssertionError(f"{case.fields!r}: {case.verdict!r}: {error}") from error
    assert counts["accepted"] > 150
    assert counts["refused"] > 100


def test_the_oracle_meets_every_fault_that_it_knows() -> None:
    refusals = [case.verdict for seed in range(4) for case in cases(seed, 500)]
    texts = {each.replies[0] for each in refusals if isinstance(each, Refused)}
    assert len(texts) > 60


@pytest.mark.parametrize(("entry", "address"), GOOD_MAILBOXES)
def test_the_oracle_agrees_with_the_list_of_good_mailboxes(entry: object, address: str) -> None:
    verdict = judge_value(json.dumps({"cc": [entry]}))
    assert isinstance(verdict, Accepted)
    assert verdict.cc == (address,)


@pytest.mark.parametrize(("entry", "member", "wording"), BAD_MAILBOXES)
def test_the_oracle_agrees_with_the_list_of_bad_mailboxes(
    entry: object, member: str, wording: str
) -> None:
    verdict = judge_value(json.dumps({"cc": [entry]}))
    assert isinstance(verdict, Refused)
    assert verdict.fits(f"550 5.6.0 X-MSYS-API 'cc[0]{member}' {wording}")


# Variables


class Variable(NamedTuple):
    """One variable: the attribute that shows it, values with their meanings, and bad values."""

    shows: str
    good: dict[str, Any]
    bad: tuple[str, ...]


SWITCH = {"1": True, "0": False, "true": True, "false": False}
VARIABLES = {
    "smtpapi_open_tracking": Variable("open_tracking", SWITCH,
        ("", "2", "yes", "on", " 1", "null", "1\n", "ture", "1" * 1000)),
    "smtpapi_click_tracking": Variable("click_tracking", SWITCH,
        ("", "-1", "no", "off", "0 ", "None", "\u0660")),
    "smtpapi_open_tracking_scheme": Variable("open_scheme",
        {"http": "http", "https": "https", "HTTPS": "https"},
        ("", "ftp", "http:", "https://", "javascript", "h\u1d57\u1d57p")),
    "smtpapi_click_tracking_scheme": Variable("click_scheme",
        {"http": "http", "https": "https"},
        ("", "mailto", "http ", "http\r\nX: y", "data")),
    "smtpapi_tracking_domain": Variable("domain",
        {"c.example": "c.example", "c.example:8443": "c.example:8443"},
        ("", "http://c.example", "c.example/", "c.example:0", "c.example:99999", "a b",
         'c.example"><script>', "c.example\r\nX: y", "a@c.example", ":80", "c.example:")),
    "smtpapi_tracking_link_expiry": Variable("lifetime",
        {"1": 1, "86400": 86_400, "0086400": 86_400},
        ("", "0", "-5", "1e3", "1.5", "day", "9" * 30, "\u0661", " 60", "0x10")),
    "smtpapi_campaign_id": Variable("campaign",
        {each: each for each in ("spring", "ü" * 32, "x" * 64, " ")}, ("",)),
    "smtpapi_metadata": Variable("metadata",
        {'{"a":1}': {"a": 1}, '{ "k" : [true, null] }': {"k": [True, None]}, "{}": None},
        ("", "null", "[]", "{", "{'a':1}", '{"a":NaN}', '"text"', '{"a":1}x', '{"a":"\\ud800"}')),
    "smtpapi_tags": Variable("tags",
        {'["a","b","a"]': ["a", "b"], "[]": [], '["ü"]': ["ü"]},
        ("", "cat", '"cat"', "{}", "[1]", "[null]", '["a"', '["a"]}', '["a"],"b":["c"]')),
    "mo_customer_id": Variable("customer",
        {"1005": 1005, "0": 0, "4294967295": 2**32 - 1},
        ("", "-1", "4294967296", "shop", "1.0", "\u0661\u0662")),
    "subaccount_id": Variable("subaccount",
        {"7": 7, "0": 0}, ("", "-1", "4294967296", "shop")),
}  # fmt: skip
BASE: dict[str, Any] = {
    "open_tracking": True,
    "click_tracking": True,
    "initial_open": False,
    "open_scheme": "http",
    "click_scheme": "http",
    "domain": "localhost:8080",
    "lifetime": 31_536_000,
    "campaign": "by header",
    "metadata": {"by": "header"},
    "tags": ["by header"],
    "customer": 1,
    "subaccount": None,
}
HEADER = b'X-MSYS-API: {"campaign_id":"by header","metadata":{"by":"header"},"tags":["by header"]}'


def settings(seed: int, count: int) -> Iterator[tuple[dict[str, str], dict[str, Any], int]]:
    """Variables that policy sets, what must show, and how many of them mean nothing."""
    random = Random(seed)  # noqa: S311 - the same at each run
    for _ in range(count):
        chosen = random.sample(sorted(VARIABLES), random.randrange(1, 6))
        values, shown, ignored = {}, dict(BASE), 0
        for name in chosen:
            variable = VARIABLES[name]
            if random.random() < 0.5:
                values[name] = random.choice(variable.bad)
                ignored += 1
            else:
                values[name], shown[variable.shows] = random.choice([*variable.good.items()])
        yield values, shown, ignored


@pytest.fixture
def obedient(tmp_path: Path) -> Path:
    policy = tmp_path / "policy.py"
    policy.write_text(OBEDIENT_POLICY, encoding="utf-8")
    return policy


async def test_two_hundred_settings_of_variables_mean_what_the_oracle_says(obedient: Path) -> None:
    async with running(obedient) as proxy:
        for values, shown, ignored in settings(4711, 200):
            before = proxy.count("notices.ignored_variable")
            sent = message(HEADER, b"X-Policy: " + json.dumps(values).encode())
            reply, copies = await proxy.inject(sent)
            assert reply.startswith("250 "), values
            (copy,) = copies
            found = read_attributes(copy.message, KEYS)
            assert found == {name: shown[name] for name in found}, values
            after = proxy.count("notices.ignored_variable")
            assert after - before == (1 if ignored else 0), values


@pytest.mark.parametrize("campaign", ["x" * 65, "ü" * 33, "x" * 60_000])
async def test_policy_s_long_campaign_refuses_the_message(obedient: Path, campaign: str) -> None:
    async with running(obedient) as proxy:
        values = json.dumps({"smtpapi_campaign_id": campaign}).encode()
        reply, copies = await proxy.inject(message(HEADER, b"X-Policy: " + values))
        assert (reply, copies) == (TOO_LONG, [])


# Policies that fail


HOOKS = (
    "validate_mailfrom",
    "validate_rcptto",
    "validate_data_spool",
    "validate_data_spool_each_rcpt",
)
PYTHON = """
import asyncio
from msys_track.policy.hooks import Rejection

def recurse():
    return recurse()

def fail(error):
    raise error

def fails_within():
    try:
        {}["missing"]
    except KeyError as error:
        raise ValueError("two at once") from error

ACTS = [
    lambda t: fail(ValueError("a defect")),
    lambda t: fail(ValueError("a defect\\r\\n250 2.0.0 Ok")),
    lambda t: fail(KeyError("x")),
    lambda t: fail(OSError(28, "No space left on device")),
    lambda t: fail(MemoryError()),
    lambda t: fail(StopIteration()),
    lambda t: fail(NotImplementedError()),
    lambda t: fail(SystemExit(3)),
    lambda t: fail(GeneratorExit()),
    lambda t: fail(asyncio.CancelledError()),
    lambda t: fail(BaseException("all the way down")),
    lambda t: fail(TimeoutError()),
    lambda t: b"\\xff".decode(),
    lambda t: recurse(),
    lambda t: fails_within(),
    lambda t: True,
    lambda t: 550,
    lambda t: "550 5.7.1 no",
    lambda t: (550, "5.7.1 no"),
    lambda t: [],
    lambda t: object(),
    lambda t: Rejection,
    lambda t: Rejection(code=250, text="2.0.0 Ok"),
    lambda t: Rejection(code=None, text="5.7.1 no\\r\\n250 2.0.0 Ok"),
    lambda t: Rejection(code="five", text="no"),
    lambda t: t.contexts.message.set("smtpapi_tags", ["a"]),
    lambda t: t.contexts.message.set("x", "\\ud800"),
    lambda t: t.contexts.message.set("x", "x" * 70_000),
    lambda t: t.contexts.message.set("", "x"),
    lambda t: setattr(t, "sender", "other@s.example"),
    lambda t: t.nothing_here,
    lambda t: exec("1 +"),
]

def hook(name):
    def call(transaction):
        wanted, _, act = (transaction.sender or "").partition("@")[0].partition(".")
        if wanted == name:
            transaction.contexts.message.set("smtpapi_campaign_id", "half done")
            transaction.contexts.connection.set("smtpapi_click_tracking", "0")
            return ACTS[int(act) % len(ACTS)](transaction)
    return call

for name in @HOOKS@:
    globals()[name] = hook(name)
""".replace("@HOOKS@", repr(HOOKS))
LUA = """
require("msys.core")
require("msys.extended.message")
local mess, conn = msys.core.ECMESS_CTX_MESS, msys.core.VCTX_CONN
local function recurse() return 1 + recurse() end
local acts = {
  function(msg, vctx) error("a defect") end,
  function(msg, vctx) error("a defect\\r\\n250 2.0.0 Ok") end,
  function(msg, vctx) error({ code = 550 }) end,
  function(msg, vctx) error(nil) end,
  function(msg, vctx) return 7 end,
  function(msg, vctx) return "0" end,
  function(msg, vctx) return {} end,
  function(msg, vctx) return msys.core.VALIDATE_AGAIN end,
  function(msg, vctx) return msys.core.VALIDATE_MAYBE end,
  function(msg, vctx) while true do end end,
  function(msg, vctx) recurse() end,
  function(msg, vctx) return string.rep("x", 1e9) end,
  function(msg, vctx) local t = {} while true do t[#t + 1] = string.rep("x", 1e5) end end,
  function(msg, vctx) vctx:set_code(99, "no") return msys.core.VALIDATE_DONE end,
  function(msg, vctx) vctx:set_code("five", "no") return msys.core.VALIDATE_DONE end,
  function(msg, vctx) vctx:set(mess, "x", {}) return msys.core.VALIDATE_CONT end,
  function(msg, vctx) vctx:set(mess, "x", string.rep("x", 70000)) return 0 end,
  function(msg, vctx) vctx:set(mess, nil, "x") return msys.core.VALIDATE_CONT end,
  function(msg, vctx) vctx:get(mess) return msys.core.VALIDATE_CONT end,
  function(msg, vctx) vctx:no_such_method() return msys.core.VALIDATE_CONT end,
  function(msg, vctx) msys.db.query("select 1") return msys.core.VALIDATE_CONT end,
  function(msg, vctx) return nothing.here end,
  function(msg, vctx) local f = ("x") + 1 return f end,
  function(msg, vctx) return string.format("%d", "x") end,
  function(msg, vctx) setmetatable(_G, { __index = error }) return undefined_name() end,
}
local mod = {}
local function hook(name)
  return function(self, ...)
    local all = { ... }
    local vctx = all[#all]
    local wanted, act = string.match(vctx:get(mess, "mailfrom_localpart"), "^([%w_]+)%.(%d+)$")
    if wanted == name then
      vctx:set(mess, "smtpapi_campaign_id", "half done")
      vctx:set(conn, "smtpapi_click_tracking", "0")
      return acts[tonumber(act) % #acts + 1](all[1], vctx)
    end
    return msys.core.VALIDATE_CONT
  end
end
@HOOKS@
msys.registerModule("bad", mod)
""".replace("@HOOKS@", "\n".join(f'mod.{name} = hook("{name}")' for name in HOOKS))


@pytest.mark.parametrize(
    ("name", "source", "numbers"),
    # By default each act once, as neither 3 divides how many of them there are, nor 2.
    [
        ("policy.py", PYTHON, some_of(range(100), 3)),
        ("policy.lua", LUA, some_of(range(50), 2)),
    ],
    ids=["python", "lua"],
)
@pytest.mark.parametrize("on_failure", ["continue", "refuse"])
async def test_what_a_failing_policy_has_set_is_taken_back_or_nothing_passes(
    tmp_path: Path, on_failure: OnFailure, name: str, source: str, numbers: list[int]
) -> None:
    policy = tmp_path / name
    policy.write_text(source, encoding="utf-8")
    counted = "policy.refused" if on_failure == "refuse" else "policy.continued"
    random = Random(name)  # noqa: S311 - the same at each run
    # Some hooks never end. The time is their limit; the others fail with as little as with more.
    async with running(policy, on_failure, timeout_seconds=0.2) as proxy:
        for number in numbers:
            sender = f"{random.choice(HOOKS)}.{number}@shop.example"
            before = proxy.count(counted)
            reply, copies = await proxy.inject(message(HEADER), sender)
            assert proxy.count(counted) - before == 1, sender
            if on_failure == "refuse":
                assert (reply, copies) == ("451 4.3.0 Policy failed; try again later", []), sender
            else:
                assert reply.startswith("250 "), sender
                assert read_attributes(copies[0].message, KEYS) == BASE, sender
