"""Logs: the library leaves it to its user whether, where and how they are written."""

import ast
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from tests.captured_logs import capture_logs

from msys_track.logs import ROOT, event_logger

PACKAGE = Path(__file__).resolve().parents[1] / "python" / "msys_track"
LIBRARY_USER = """
from msys_track import KeyRing, TrackingOptions
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.errors import RewriteError
from msys_track.policy.context import Context, Contexts
from msys_track.policy.hooks import Transaction
from msys_track.rewriting.native import NativeEngine

class Broken(NativeEngine):
    def plan(self, message, rules, *, drop_headers=()):
        raise RewriteError("a defect")

options = TrackingOptions(open_tracking=True)
dispatcher = Dispatcher(keys=KeyRing.temporary(), options=options, engine=Broken())
meaningless = Context({"smtpapi_open_tracking": "perhaps"})
contexts = Contexts(connection=Context(), message=meaningless)
transaction = Transaction(contexts=contexts, peer="10.0.0.7:1", listen="127.0.0.1:25")
message = b"Subject: x\\r\\n\\r\\nx\\r\\n"
dispatcher.copies(message, ["jo@example.com"], now=1, transaction=transaction)
"""
CONFIGURED = """
import logging
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the program is above
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )


def test_the_library_prints_nothing_by_itself() -> None:
    done = run(LIBRARY_USER)
    assert (done.stdout, done.stderr) == ("", "")


def test_with_logging_configured_events_and_fields_are_readable() -> None:
    done = run(CONFIGURED + LIBRARY_USER)
    lines = done.stderr.splitlines()
    assert done.stdout == ""
    assert lines[0].startswith(
        "WARNING msys_track.dispatch.dispatcher policy.variable_ignored "
        "name='smtpapi_open_tracking' value='perhaps' allowed="
    )
    assert lines[1] == "ERROR msys_track.dispatch.message message.rewrite_failed step='plan'"
    assert lines[2] == "Traceback (most recent call last):"
    assert lines[-1] == "msys_track.errors.RewriteError: a defect"


def test_a_record_has_its_event_and_fields_apart(caplog: pytest.LogCaptureFixture) -> None:
    log = event_logger("msys_track.somewhere").bind(policy="a.lua")
    with caplog.at_level(logging.INFO, ROOT):
        log.debug("not.logged")
        log.info("policy.said", text="two\nlines")
    [record] = caplog.records
    assert vars(record)["event"] == "policy.said"
    assert vars(record)["fields"] == {"policy": "a.lua", "text": "two\nlines"}
    assert record.getMessage() == "policy.said policy='a.lua' text='two\\nlines'"
    assert (record.name, record.filename) == ("msys_track.somewhere", Path(__file__).name)


def test_a_level_that_is_off_costs_no_message() -> None:
    class Costly:
        def __repr__(self) -> str:
            raise AssertionError("written for nobody")

    logging.getLogger("msys_track.quiet").setLevel(logging.ERROR)
    log = event_logger("msys_track.quiet")
    with capture_logs() as logs:
        log.warning("not.logged", field=Costly())
        log.error("logged", field=1)
    assert logs == [{"field": 1, "event": "logged", "log_level": "error"}]


@pytest.mark.parametrize("level", ["error", "critical"])
def test_an_exception_that_is_given_is_logged_with_its_traceback(
    level: str, caplog: pytest.LogCaptureFixture
) -> None:
    error = ValueError("what went wrong")
    getattr(event_logger("msys_track.somewhere"), level)("failed", exc_info=error, n=1)
    [record] = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert record.getMessage() == "failed n=1"


def test_only_the_logs_of_commands_know_how_they_are_rendered() -> None:
    texts = {source: source.read_text() for source in PACKAGE.rglob("*.py")}
    users = {
        str(source.relative_to(PACKAGE))
        for source, text in texts.items()
        if "structlog" in text
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import) and any(a.name == "structlog" for a in node.names)
    }
    assert users == {"cli/logs.py"}


# What a command does before its first event.
COMMAND = """
import os, sys
from msys_track.cli import logs
from msys_track.logs import event_logger
log = event_logger("msys_track.somewhere")
logs.to_stderr()
"""


def test_a_command_writes_each_event_once_as_one_json_object() -> None:
    done = run(f"""{COMMAND}
logs.to_stderr(level="warning")
log.info("not.written")
log.warning("written", zebra=1, ant=("ü", None))
try:
    raise ValueError("what went wrong")
except ValueError:
    log.exception("failed", step="plan")
""")
    assert done.stdout == ""
    written, failed = (json.loads(line) for line in done.stderr.splitlines())
    assert list(written) == ["zebra", "ant", "event", "level", "timestamp"]
    assert (written["ant"], written["level"]) == (["ü", None], "warning")
    assert list(failed) == ["step", "event", "level", "timestamp", "exception"]
    assert failed["exception"].endswith("ValueError: what went wrong")
    assert failed["level"] == "error"


def test_what_can_not_be_rendered_is_named_and_stops_nothing() -> None:
    done = run(f"""{COMMAND}
class Broken:
    def __repr__(self):
        raise ValueError("a defect")
log.error("failed", field=Broken())
log.error("lone.surrogate", field="\\udc80")
""")
    failed, strange = (json.loads(line) for line in done.stderr.splitlines())
    assert (failed["event"], failed["level"]) == ("log.failed", "error")
    assert (failed["name"], failed["why"]) == ("msys_track.somewhere", "ValueError('a defect')")
    assert strange["field"] == "\udc80"


def test_a_line_that_is_made_already_is_written_as_it_is() -> None:
    done = run(f"""{COMMAND}
from msys_track.logs import line_writer
line_writer(b'{{"event": "made"}}')
""")
    assert done.stderr == '{"event": "made"}\n'


@pytest.mark.parametrize("level", ["warning", "error"])
def test_lines_of_level_info_are_not_taken_where_only_worse_is_logged(level: str) -> None:
    done = run(f"""{COMMAND}
import msys_track.logs
logs.to_stderr(level={level!r})
print(msys_track.logs.line_writer)
""")
    assert done.stdout == "None\n"


def test_the_library_takes_no_lines() -> None:
    assert run("from msys_track.logs import *; print(line_writer)").stdout == "None\n"


def test_defects_that_the_loop_reports_are_in_the_log_too() -> None:
    done = run(f"""{COMMAND}
import asyncio
async def call_broken():
    asyncio.get_running_loop().call_exception_handler({{"message": "a defect"}})
asyncio.run(call_broken())
""")
    [logged] = (json.loads(line) for line in done.stderr.splitlines())
    assert (logged["event"], logged["level"]) == ("a defect", "error")


@pytest.mark.parametrize("broken", ["sys.stderr.close()", "sys.stderr = open('/dev/full', 'w')"])
def test_a_log_that_can_not_be_written_stops_nothing(broken: str) -> None:
    # Without os._exit, Python fails on its own last flush.
    done = run(f"""{COMMAND}
{broken}
log.error("not.written")
print("goes on", flush=True)
os._exit(0)
""")
    assert done.stdout == "goes on\n"
