"""`msys-track explain`: what a person reads, what a script gets, and how mistakes are reported."""

import asyncio
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.processes import run, running, shell
from tests.proxied import send_mail
from tests.upstreams import ScriptedUpstream

from msys_track.cli import main
from msys_track.cli.explanation import format_explanation
from msys_track.dispatch.explain import ExplainedChanges, Explanation
from msys_track.keys.file import create
from msys_track.policy.changes import HeaderChange

GOLDEN = Path(__file__).parent / "golden" / "explain.txt"
CONFIGURATION = """
keys = "keys.toml"

[listener]
click_tracking_enabled = true
tracking_domain = "click.shop.example"

[listen."127.0.0.1:2525"]
open_tracking_enabled = true

[listen."127.0.0.1:2525".peer."10.0.0.0/8"]
click_tracking_scheme = "https"
open_tracking_enabled = false

[engagement_tracker]
max_metadata_len = 24

[policy]
files = ["policy.py"]

[proxy]
upstream = "127.0.0.1:1"
"""
POLICY = """
from msys_track.policy.hooks import Rejection

def validate_rcptto(transaction):
    if transaction.recipient == "nobody@reader.example":
        return Rejection(code=550, text="5.1.1 nobody there, from " + transaction.peer)

def validate_data_spool_each_rcpt(transaction):
    transaction.contexts.message.set("smtpapi_campaign_id", "spring")
    transaction.contexts.message.set("smtpapi_tags", "spring")
"""
MAIL = b"""\
From: Shop <news@shop.example>
To: jo@reader.example
Subject: Spring
MIME-Version: 1.0
X-MSYS-API: {"campaign_id": "by hand", "metadata": {"order": 4711, "cart": "a,b,c,d"},
 "options": {"open_tracking": true, "inline_css": true}, "cc": ["cc@reader.example"],
 "archive": [{"email": "archive@shop.example", "name": "Archive"}]}
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

<html><body>
<p><a href=3D"https://shop.example/spring?utm=3Dmail" data-msys-linkname=3D"Banner">
Spring</a> is <a href=3D"https://shop.example/x" data-msys-clicktrack=3D"0">here</a>.
<a href=3D"mailto:jo=40shop.example">Write to us</a></p>
</body></html>
--b
Content-Type: text/html; charset=utf-8
Content-Disposition: attachment; filename="invoice.html"

<html><body><a href="https://shop.example/invoice">Invoice</a></body></html>
--b--
"""
HTML = b"Content-Type: text/html\r\n\r\n<body><a href='http://shop.example/'>x</a></body>\r\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration and a mail, where the command is called."""
    create(tmp_path / "keys.toml")
    (tmp_path / "msys-track.toml").write_text(CONFIGURATION, encoding="utf-8")
    (tmp_path / "policy.py").write_text(POLICY, encoding="utf-8")
    (tmp_path / "mail.eml").write_bytes(MAIL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def explain(*arguments: str | Path, message: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["explain", *map(str, arguments)], input=message)


TO = ("--to", "jo@reader.example")


def unwrap_lines(wording: str) -> str:
    """Undo what was done for the width of a terminal."""
    return " ".join(wording.split())


# What is printed


@pytest.mark.usefixtures("folder")
def test_one_mail_is_told_as_in_the_golden_file() -> None:
    result = explain("mail.eml", "--listen", "127.0.0.1:2525", "--peer", "10.0.0.7", *TO)
    assert result.exit_code == 0, result.output
    assert result.stdout == GOLDEN.read_text(encoding="utf-8")
    assert [line for line in result.stdout.splitlines() if len(line) > 80] == []


@pytest.mark.usefixtures("folder")
def test_json_has_the_same_as_members() -> None:
    result = explain("mail.eml", "--peer", "10.0.0.7", *TO, "--json")
    record = json.loads(result.stdout)
    assert {name: record[name] for name in ("configuration", "listen", "peer", "recipients")} == {
        "configuration": "msys-track.toml",
        "listen": "127.0.0.1:2525",
        "peer": "10.0.0.7",
        "recipients": ["jo@reader.example"],
    }
    (decided,) = record["decided"]
    assert decided["truncated"] == ["cart"]
    assert [(each["target"], each["fate"], each["line"]) for each in decided["links"]] == [
        ("https://shop.example/spring?utm=mail", "wrapped", 15),
        ("https://shop.example/x", "opted_out", 16),
        ("mailto:jo@shop.example", "not_http", 17),
    ]
    assert decided["links"][0]["name"] == "Banner"
    assert decided["pixels"] == [
        {"kind": "open", "line": 18, "fate": "added", "lacks_metadata": False}
    ]
    campaign = next(each for each in decided["options"] if each["name"] == "campaign_id")
    assert campaign == {
        "name": "campaign_id",
        "value": "spring",
        "source": "policy",
        "overrides": [
            {"value": "by hand", "source": "header"},
            {"value": None, "source": "default"},
        ],
    }
    assert decided["ignored_variables"] == [
        {"name": "smtpapi_tags", "value": "spring", "allowed": "a JSON array of strings"}
    ]
    assert record["ignored_keys"] == ["options.inline_css"]
    assert [each["readers"] for each in record["copies"]] == [
        [["jo@reader.example", "to"], ["archive@shop.example", "archive"]],
        [["cc@reader.example", "cc"]],
    ]


@pytest.mark.usefixtures("folder")
def test_the_mail_comes_from_standard_input_for_a_dash() -> None:
    result = explain("-", *TO, message=HTML)
    assert result.exit_code == 0
    assert "line 3    wrapped     http://shop.example/" in result.stdout


@pytest.mark.usefixtures("folder")
def test_the_peer_decides_as_it_does_in_the_proxy() -> None:
    outside = explain("mail.eml", "--peer", "192.0.2.7", *TO).stdout
    inside = explain("mail.eml", "--peer", "10.0.0.7", *TO).stdout
    wording = 'click_tracking_scheme "https" '
    source = 'listen "127.0.0.1:2525" peer "10.0.0.0/8" (msys-track.toml:'
    assert wording + source in unwrap_lines(inside)
    assert wording not in unwrap_lines(outside)


def test_a_link_that_has_no_room_for_its_metadata_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    header = {"metadata": {"k": "x" * 800}, "options": {"click_tracking": True}}
    message = b"X-MSYS-API: %s\r\n" % json.dumps(header).encode() + HTML
    [decided] = json.loads(explain("-", *TO, "--json", message=message).stdout)["decided"]
    assert [(link["fate"], link["lacks_metadata"]) for link in decided["links"]] == [
        ("wrapped", True)
    ]
    wording = unwrap_lines(explain("-", *TO, message=message).stdout)
    assert "without metadata: with them its line would pass 998 octets" in wording


def test_the_option_that_kept_a_link_is_named_with_its_place(folder: Path) -> None:
    options = """[listener]
allow_downgrade = false
never_wrap = ["https://bank.example/*"]
"""
    configuration = CONFIGURATION.replace("[listener]\n", options, 1)
    (folder / "msys-track.toml").write_text(configuration, encoding="utf-8")
    message = (
        b"Content-Type: text/html\r\n\r\n<a href='https://bank.example/x'>x</a>"
        b"<a href='https://shop.example/'>y</a><a href=#z>z</a>\r\n"
    )
    [decided] = json.loads(explain("-", *TO, "--json", message=message).stdout)["decided"]
    assert [
        (link["fate"], link["option"], link["option_source"]) for link in decided["links"]
    ] == [
        ("never_wrap", "never_wrap", "listener (msys-track.toml:6)"),
        ("scheme_downgrade", "allow_downgrade", "listener (msys-track.toml:5)"),
        ("not_http", None, None),
    ]
    wording = unwrap_lines(explain("-", *TO, message=message).stdout)
    assert "allow_downgrade: listener (msys-track.toml:5)" in wording


def test_without_a_configuration_it_says_so_and_how_to_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = explain("-", *TO, message=HTML)
    assert result.exit_code == 0
    assert result.stdout.startswith(
        "-, as if 127.0.0.1 injected it at 127.0.0.1:2525\n"
        "configuration: none; --config FILE names one\n"
    )
    wording = unwrap_lines(result.stdout)
    assert "click_tracking_off: links are wrapped only where click tracking is on" in wording


def test_who_explains_needs_no_keys(folder: Path) -> None:
    config = folder / "ecelerity.conf"
    text = 'ESMTP_Listener { Listen "127.0.0.1:26" { } }\nGateway = "127.0.0.1"\n'
    config.write_text(text, "utf-8")
    before = sorted(folder.iterdir())
    result = explain("mail.eml", "--config", config, *TO)
    assert result.exit_code == 0, result.output
    assert sorted(folder.iterdir()) == before


def test_what_strangers_wrote_cannot_move_the_terminal_s_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    message = (
        'X-MSYS-API: {"\\u001b[2Jkey":1,"options":{"click_tracking":true},'
        '"campaign_id":"\\u009b31m"}\r\n'
        "Content-Type: text/html; charset=utf-8\r\n\r\n"
        '<body><a href="http://e.example/&#27;[2J\u202e" data-msys-linkname="&#7;">x</a>\r\n'
    ).encode()
    wording = explain("-", *TO, message=message).stdout
    assert all(each.isprintable() for each in wording.splitlines())
    assert "\\x1b[2Jkey" in wording
    assert "http://e.example/\\x1b[2J\\u202e" in wording


def test_a_long_target_is_cut_for_the_reader_and_whole_in_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = "http://e.example/" + "a" * 300
    message = HTML.replace(b"http://shop.example/", target.encode())
    wording = explain("-", *TO, message=message).stdout
    assert f"{target[:120]}…(317characters)" in "".join(wording.split())
    record = json.loads(explain("-", *TO, "--json", message=message).stdout)
    assert record["decided"][0]["links"][0]["target"] == target


# How mistakes are reported


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "code", "wording"),
    [
        (["missing.eml", *TO], 1, "missing.eml: No such file or directory"),
        ([".", *TO], 2, "Invalid value for 'FILE': File '.' is a directory."),
        (["mail.eml"], 2, "Missing option '--to'"),
        (["mail.eml", "--to", "jo"], 2, "'jo' is not an address; give one such as jo@example.com"),
        (
            ["mail.eml", *TO, "--to", "Jo <jo@example.com>"],
            2,
            "recipient 'Jo <jo@example.com>' is not an address; give the address alone, such as",
        ),
        (
            ["mail.eml", *TO, "--from", "jo"],
            2,
            "'jo' is not an address; give one such as jo@example.com, or '' for the null sender",
        ),
        (
            ["mail.eml", *TO, "--peer", "hub"],
            2,
            "'hub' is not an IP address; give one as 10.0.0.7",
        ),
        (["mail.eml", *TO, "--peer", "10.0.0.7:25"], 2, "'10.0.0.7:25' is not an IP address"),
        (
            ["mail.eml", *TO, "--listen", "localhost"],
            2,
            "'localhost' is not an address; give host:port such as 127.0.0.1:2525, or :port",
        ),
        (
            ["mail.eml", *TO, "--listen", "127.0.0.1:99999"],
            2,
            "'127.0.0.1:99999' is not an address",
        ),
        (
            ["mail.eml", *TO, "--listen", "127.0.0.1:25"],
            2,
            "configuration's proxy does not listen on 127.0.0.1:25, but on 127.0.0.1:2525",
        ),
        (
            ["mail.eml", *TO, "--config", "no.toml"],
            2,
            "no.toml: there is no such file; `msys-track init`",
        ),
        (["-", *TO], 1, "refused: 550 5.6.0 JSON parsing error in X-MSYS-API (line 1, column 2"),
        (
            ["mail.eml", "--to", "nobody@reader.example", "--peer", "10.0.0.7"],
            1,
            "refused: 550 5.1.1 nobody there, from 10.0.0.7:50000",
        ),
    ],
)
def test_a_mistake_is_told_in_a_line(arguments: list[str], code: int, wording: str) -> None:
    result = explain(*arguments, message=b"X-MSYS-API: {\r\n\r\n")
    assert result.exit_code == code
    assert wording in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_configuration_with_faults_is_not_gone_by(folder: Path) -> None:
    (folder / "msys-track.toml").write_text("[listener]\nclick_tracking = true\n", "utf-8")
    result = explain("mail.eml", *TO)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "msys-track.toml:2: listener.click_tracking: unknown" in result.stderr


@pytest.mark.usefixtures("folder")
def test_a_refusal_in_json_has_code_and_text() -> None:
    result = explain("-", *TO, "--json", message=b'X-MSYS-API: {"metadata":[]}\r\n\r\n')
    assert result.exit_code == 1
    text = "5.6.0 X-MSYS-API 'metadata' must be of type 'json object'"
    assert json.loads(result.stdout) == {"refused": {"code": 550, "text": text}}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("message", [b"", b"\r\n", bytes(range(256)) * 40, b"\x00" * 5_000])
def test_what_is_no_mail_is_explained_all_the_same(message: bytes) -> None:
    result = explain("-", *TO, message=message)
    assert result.exit_code == 0, result.output
    assert "\nlinks\n  none" in result.stdout


def test_a_closed_standard_input_is_told(folder: Path) -> None:
    closed = shell(folder, f"msys-track explain - {' '.join(TO)} <&-")
    assert closed.code == 2
    assert closed.errors.endswith(
        "Error: no message: give one on standard input, as in < message.eml\n"
    )


def test_an_output_that_can_not_write_a_character_gets_an_escape(folder: Path) -> None:
    (folder / "mail.eml").write_bytes(
        HTML.replace(b"http://shop.example/", b"http://e.example/\x80")
    )
    ended = run(folder, "explain", "mail.eml", *TO, env={"PYTHONIOENCODING": "latin-1"})
    assert ended.code == 0, ended.errors
    assert b"http://e.example/\\u20ac" in ended.output


def test_a_file_s_name_may_be_no_text(folder: Path) -> None:
    name = os.fsdecode(b"\xff.eml")
    (folder / name).write_bytes(HTML)
    ended = run(folder, "explain", name, *TO)
    assert ended.code == 0, ended.errors
    assert ended.output.startswith(b"\\udcff.eml, as if")


# The proxy's log


@pytest.mark.anyio
async def test_a_proxy_that_debugs_logs_the_same_record(folder: Path) -> None:
    configuration = CONFIGURATION.replace("127.0.0.1:2525", "127.0.0.1:0")
    mail = MAIL.replace(b"\n", b"\r\n")
    (folder / "mail.eml").write_bytes(mail)
    async with ScriptedUpstream() as hop:
        (folder / "log.toml").write_text(configuration.replace(':1"', f':{hop.port}"'), "utf-8")
        async with running("proxy", "--config", "log.toml", "--log-level", "debug") as proxy:
            await send_mail(proxy.port, mail)
            logged = await asyncio.to_thread(proxy.event, "message.explained")
        async with running("proxy", "--config", "log.toml") as proxy:
            await send_mail(proxy.port, mail)
            await asyncio.to_thread(proxy.event, "message.relayed")
            assert not [each for each in proxy.logged if each["event"] == "message.explained"]
    asked = explain("mail.eml", "--config", "log.toml", *TO, "--json")
    record = json.loads(asked.stdout)
    names = logged.keys() - {"event", "level", "timestamp"}
    assert names == record.keys() - {"configuration", "listen", "peer", "recipients"}
    assert {name: logged[name] for name in names} == {name: record[name] for name in names}


def test_what_policy_changes_is_told_for_each_reader_with_what_it_changes_alone() -> None:
    shown = format_explanation(
        Explanation(
            decided=(),
            copies=(),
            changes=(
                ExplainedChanges(
                    recipients=("jo@reader.example",),
                    headers=(HeaderChange(name="Subject", value="Hi", how="replace"),),
                    sender=None,
                    has_skipped=False,
                ),
                ExplainedChanges(
                    recipients=("al@reader.example",),
                    headers=(),
                    sender="bounce@shop.example",
                    has_skipped=False,
                ),
            ),
        ),
        width=80,
    )
    assert shown[: shown.index("copies")] == [
        "",
        "changes by policy",
        "  for jo@reader.example",
        "    Subject: 'Hi'",
        "  for al@reader.example",
        "    the sender becomes <bounce@shop.example>",
        "",
    ]
