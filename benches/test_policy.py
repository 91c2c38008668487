"""What policy costs: a call that sets three variables beside one that does nothing, and Python.

A message is asked about once per recipient, so this is paid as often as a copy is rendered.
"""

from pathlib import Path

import pytest
from benches.conftest import Bars, Benchmark, Report

from msys_track.comparison.race import Called, Race
from msys_track.policy.context import Context, Contexts
from msys_track.policy.hooks import Hook, Transaction
from msys_track.policy.loading import PolicySettings, load_policy

ROUNDS = 100
MESSAGE = b"Subject: Spring\r\nX-Class: newsletter\r\n\r\n" + b"Text\r\n" * 500

LUA = """require("msys.core")
require("msys.extended.message")
local mod = {{}}
function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
{body}
  return msys.core.VALIDATE_CONT
end
msys.registerModule("bench", mod)
"""
LUA_SETS = """
  local m = msys.core.ECMESS_CTX_MESS
  msg:context_set(m, "smtpapi_open_tracking", "1")
  msg:context_set(m, "smtpapi_click_tracking", "0")
  msg:context_set(m, "smtpapi_tracking_domain", "click.shop.example")
"""
LUA_READS = 'local class = msg:header("X-Class")[1]'
PYTHON = """
def validate_data_spool_each_rcpt(transaction):
    {body}
"""
PYTHON_SETS = """variables = transaction.contexts.message
    variables.set("smtpapi_open_tracking", "1")
    variables.set("smtpapi_click_tracking", "0")
    variables.set("smtpapi_tracking_domain", "click.shop.example")
"""

MOST_MICROSECONDS = {"Lua": 30.0, "Python": 10.0}
"""What three variables may add to a call that does nothing."""


def asking(folder: Path, name: str, source: str) -> Called:
    file = folder / name
    file.write_text(source)
    policy = load_policy(PolicySettings(files=(file,)))
    assert policy is not None

    def ask() -> bytes:
        # The message's variables are empty at each call, as they are for each recipient.
        contexts = Contexts(connection=Context(), message=Context())
        transaction = Transaction(
            contexts=contexts,
            peer="10.0.0.7:51234",
            listen="127.0.0.1:2525",
            helo="app.shop.example",
            sender="news@shop.example",
            recipient="jo.reader@example.org",
            message=MESSAGE,
        )
        policy.call(Hook.EACH_RCPT, transaction, lambda failure: pytest.fail(str(failure)))
        return b""

    return Called(ask)


@pytest.mark.parametrize("language", ["Lua", "Python"])
def test_three_variables(
    benchmark: Benchmark, report: Report, tmp_path: Path, language: str, bars: Bars
) -> None:
    if language == "Lua":
        sources = {
            "nothing": LUA.format(body=""),
            "three variables": LUA.format(body=LUA_SETS),
            "one header": LUA.format(body=LUA_READS),
        }
    else:
        sources = {
            "nothing": PYTHON.format(body="return None"),
            "three variables": PYTHON.format(body=PYTHON_SETS),
            "one header": PYTHON.format(body='transaction.headers.get("X-Class")[0]'),
        }
    suffix = {"Lua": "lua", "Python": "py"}[language]
    race = Race(
        subjects={
            name: asking(tmp_path, f"{number}.{suffix}", source)
            for number, (name, source) in enumerate(sources.items())
        }
    )
    race.warm_up()
    benchmark.pedantic(race.round, rounds=ROUNDS)
    # A bar in microseconds is held by the fastest rounds: neighbours only ever add to the others.
    added = (fastest(race, "three variables") - fastest(race, "nothing")) * 1e6
    rows = [
        [name, f"{race.seconds(name) * 1e6:.1f}", f"{race.ratio('nothing', name).median:.2f}"]
        for name in race.subjects
    ]
    rows.append(["what three variables add, fastest rounds", f"{added:.1f}", ""])
    report.table(f"One call of a policy in {language}", ["", "µs", "over nothing"], rows)
    bars.at_most(f"three variables in {language}", added, MOST_MICROSECONDS[language])


def fastest(race: Race, name: str) -> float:
    return min(took[name] for took in race.rounds)
