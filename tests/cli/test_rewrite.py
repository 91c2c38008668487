"""`msys-track rewrite`: a filter that says what it did and never loses a message."""

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests import oracle
from tests.cli.mails import HTML
from tests.processes import Run, shell

from msys_track.cli import main
from msys_track.keys.ring import KeyRing

BOTH = ("--to", "jo@example.com", "--open-tracking", "--click-tracking")
PLAIN = b"Subject: x\r\n\r\nhttp://e.com/\r\n"


def rewrite(*arguments: str | Path, given: bytes = HTML) -> Result:
    """Call the command in this process, which is quick."""
    return CliRunner().invoke(main, ["rewrite", *map(str, arguments)], input=given)


def test_nothing_is_tracked_unless_it_is_asked_for() -> None:
    result = rewrite("--to", "jo@example.com")
    assert (result.exit_code, result.stdout_bytes) == (0, HTML)
    assert result.stderr.splitlines() == [
        "open tracking off (default), click tracking off (default)",
        "0 links wrapped, 0 pixels added, left alone: 1 tracking_off",
        f"  bytes 0 to {len(HTML)}: tracking_off",
    ]


def test_flags_track_and_the_report_says_what_was_done_and_what_was_not(keys: Path) -> None:
    result = rewrite(*BOTH, "--domain", "click.example.com:8080", "--keys", keys)
    found = oracle.difference(HTML, result.stdout_bytes)
    assert (len(found.links), len(found.pixels)) == (1, 1)
    assert found.links[0][1].startswith("http://click.example.com:8080/f/a/")
    left = HTML.index(b"mailto:")
    assert result.stderr.splitlines() == [
        "open tracking on (command line), click tracking on (command line)",
        "1 link wrapped, 1 pixel added, left alone: 1 not_http",
        f"  bytes {left} to {left + len(b'mailto:a@b.c')}: not_http",
    ]


@pytest.mark.parametrize(("flag", "links", "pixels"), [("--open", 0, 1), ("--click", 1, 0)])
def test_opens_and_clicks_are_switched_apart(flag: str, links: int, pixels: int) -> None:
    result = rewrite("--to", "jo@example.com", f"{flag}-tracking")
    found = oracle.difference(HTML, result.stdout_bytes)
    assert (len(found.links), len(found.pixels)) == (links, pixels)


def test_the_header_asks_too_overrides_the_flags_and_is_removed() -> None:
    header = b'X-MSYS-API: {"options": {"open_tracking": %s}}\r\n'
    asked = rewrite("--to", "jo@example.com", given=header % b"true" + HTML)
    assert len(oracle.difference(HTML, asked.stdout_bytes).pixels) == 1
    refused = rewrite(*BOTH, given=header % b"false" + HTML)
    found = oracle.difference(HTML, refused.stdout_bytes)
    assert (len(found.links), len(found.pixels)) == (1, 0)
    assert refused.stderr.startswith(
        "open tracking off (header), click tracking on (command line)"
    )


def test_a_temporary_key_is_told_where_it_has_sealed_something(keys: Path) -> None:
    wording = "temporary key: these links can't be opened later; see --keys\n"
    assert rewrite(*BOTH).stderr.endswith(wording)
    assert wording not in rewrite(*BOTH, "--keys", keys).stderr
    assert wording not in rewrite("--to", "jo@example.com").stderr


def test_links_say_who_the_recipient_is(keys: Path) -> None:
    result = rewrite(*BOTH, "--keys", keys, "--scheme", "HTTPS", "--domain", "c.example")
    [(_, url)] = oracle.difference(HTML, result.stdout_bytes).links
    claims = KeyRing.load(keys).open(url.removeprefix("https://c.example"))
    assert (claims.engagement.recipient, claims.target) == (
        "jo@example.com",
        "http://e.com/?a=1&b=2",
    )


def test_the_edit_list_makes_the_output_of_the_input(tmp_path: Path) -> None:
    file = tmp_path / "edits.json"
    message = b"X-MSYS-API: {}\r\n" + HTML
    result = rewrite(*BOTH, "--edits", file, given=message)
    listed = json.loads(file.read_text("ascii"))
    assert [set(edit) for edit in listed] == [{"offset", "length", "inserted"}] * 3
    edits = [
        (edit["offset"], edit["length"], base64.b64decode(edit["inserted"])) for edit in listed
    ]
    assert oracle.replay_edits(message, edits) == result.stdout_bytes
    assert oracle.undone(message, result.stdout_bytes, edits) == message
    oracle.check_edits(message, edits)


def test_without_a_change_the_edit_list_is_empty(tmp_path: Path) -> None:
    file = tmp_path / "edits.json"
    assert rewrite(*BOTH, "--edits", file, given=PLAIN).stdout_bytes == PLAIN
    assert json.loads(file.read_text("ascii")) == []


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b"{", "JSON parsing error in X-MSYS-API (line 1, column 2: "),
        (b'{"metadata": []}', "X-MSYS-API 'metadata' must be of type 'json object'"),
        (b'{"tags": [null]}', "X-MSYS-API 'tags[0]' must be of type 'string'"),
        (b'{"campaign_id": "%s"}' % (b"c" * 65), "smtpapi_campaign_id context is limited to 64"),
        (b'{"options": {"open_tracking": "yes"}}', "'options.open_tracking' must be of type"),
        (b"{}\r\nX-MSYS-API: []", "X-MSYS-API header present more than once"),
        (b'{"bcc": ["nobody"]}', "X-MSYS-API 'bcc[0]' is not a mail address: it has no @"),
        (b"\xff", "JSON parsing error in X-MSYS-API (line 1, column 1: not valid UTF-8)"),
    ],
)
def test_a_malformed_header_is_refused_with_the_reply_that_smtp_gives(
    header: bytes, text: str, tmp_path: Path
) -> None:
    file = tmp_path / "edits.json"
    given = b"X-MSYS-API: " + header + b"\r\n" + HTML
    result = rewrite(*BOTH, "--edits", file, given=given)
    assert (result.exit_code, result.stdout_bytes) == (1, b"")
    assert result.stderr.startswith("msys-track: 550 5.6.0 ")
    assert text in result.stderr
    assert result.stderr.count("\n") == 1
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "wording"),
    [
        ((), "Missing option '--to'"),
        (("--to", "jo"), "'jo' is not an address; give one such as jo@example.com"),
        (("--to", "<jo@example.com>"), "recipient '<jo@example.com>' is not an address"),
        (("--to", "jo@e.com\r\nX: y"), r"recipient 'jo@e.com\r\nX: y' is not an address"),
        (("--to", "@"), "is not an address"),
        (("--to", ""), "'' is not an address"),
        (("--to", "Jo <jo@example.com>"), "recipient 'Jo <jo@example.com>' is not an address; "),
        (("--to", "Jo <jo@e.com>"), "give the address alone, such as jo@example.com"),
        (("--to", "j o@e.com"), "recipient 'j o@e.com' is not an address"),
        ((*BOTH, "--domain", "https://e.com"), "'https://e.com'; allowed: host or host:port"),
        ((*BOTH, "--domain", "e.com:99999"), "allowed: host or host:port"),
        ((*BOTH, "--domain", ""), "allowed: host or host:port"),
        ((*BOTH, "--scheme", "ftp"), "'ftp' is not one of 'http', 'https'"),
        ((*BOTH, "--keys", "."), "'.' is a directory"),
        ((*BOTH, "--edits", "."), "'.' is a directory"),
        ((*BOTH, "--nope"), "No such option"),
        ((*BOTH, "more"), "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_told_and_exits_2(arguments: tuple[str, ...], wording: str) -> None:
    result = rewrite(*arguments)
    assert (result.exit_code, result.stdout_bytes) == (2, b"")
    assert wording in result.stderr


def test_key_files_that_can_t_be_used_exit_2(tmp_path: Path, keys: Path) -> None:
    missing, empty, shared = tmp_path / "no.toml", tmp_path / "empty", tmp_path / "open"
    empty.touch(0o600)
    shared.write_bytes(keys.read_bytes())
    shared.chmod(0o644)
    tmp_path.chmod(0o755)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\x00")
    binary.chmod(0o600)
    for file, wording in [
        (missing, f"there is no such key file; `msys-track keys new {missing}` makes one"),
        (
            empty,
            f"has no [[key]]; remove it, and `msys-track keys new {empty}` makes a whole file",
        ),
        (
            shared,
            (
                f"users other than its owner can use it (mode 0644); run `chmod 600 {shared}`; "
                "a mounted secret: mode 0440, owned by root"
            ),
        ),
        (binary, "is not TOML: not UTF-8"),
    ]:
        result = rewrite(*BOTH, "--keys", file)
        assert (result.exit_code, result.stdout_bytes) == (2, b"")
        assert result.stderr == f"msys-track: {file}: {wording}\n"


def test_an_edit_list_that_can_t_be_written_is_told_before_anything_is_output() -> None:
    result = rewrite(*BOTH, "--edits", "/nowhere/edits.json")
    assert (result.exit_code, result.stdout_bytes) == (1, b"")
    assert result.stderr == "msys-track: /nowhere/edits.json: No such file or directory\n"


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"\n",
        b"\0",
        b"\xff\xfe" * 1_000,
        bytes(range(256)) * 40,
        b"no header at all",
        b"Content-Type: text/html",
        b"X: y\r\nFrom a@b Thu Jan  1\r\n" + HTML,
        b"DKIM-Signature: v=1\r\n" + HTML,
        HTML.replace(b"text/html", b"application/pkcs7-mime"),
    ],
)
def test_what_can_t_be_parsed_passes_byte_for_byte(given: bytes) -> None:
    result = rewrite(*BOTH, given=given)
    assert (result.exit_code, result.stdout_bytes) == (0, given)
    assert "0 links wrapped, 0 pixels added, left alone: 1 " in result.stderr


def test_as_a_process_it_is_a_filter_and_the_report_is_beside_the_message(
    run: Run, tmp_path: Path
) -> None:
    big = HTML.replace(b"</body>", b"<p>y</p>" * 500_000 + b"</body>")
    ended = run("rewrite", *BOTH, "--edits", "edits.json", given=big)
    assert ended.code == 0
    assert len(oracle.difference(big, ended.output).links) == 1
    assert ended.errors.startswith("open tracking on (command line)")
    assert len(json.loads((tmp_path / "edits.json").read_text("ascii"))) == 2


def test_environment_variables_set_options_and_options_override_them(run: Run) -> None:
    variables = {
        "MSYS_TRACK_TO": "env@example.com",
        "MSYS_TRACK_CLICK_TRACKING": "1",
        "MSYS_TRACK_OPEN_TRACKING": "0",
        "MSYS_TRACK_DOMAIN": "env.example.com",
    }
    ended = run("rewrite", given=HTML, env=variables)
    found = oracle.difference(HTML, ended.output)
    assert found.links[0][1].startswith("http://env.example.com/f/a/")
    assert found.pixels == []
    ended = run("rewrite", "--domain", "flag.example.com", given=HTML, env=variables)
    [(_, url)] = oracle.difference(HTML, ended.output).links
    assert url.startswith("http://flag.example.com/")


def test_a_message_is_wanted_on_standard_input(tmp_path: Path) -> None:
    ended = shell(tmp_path, "msys-track rewrite --to a@b.c <&-")
    assert (ended.code, ended.output) == (2, b"")
    assert ended.errors.endswith("no message: give one on standard input, as in < message.eml\n")


PAGE = b"<body>\n<a href='http://e.com/x'>x</a> <a href=mailto:a@b.c>y</a></body>\n"


def test_an_html_document_is_rewritten_as_it_is_read(keys: Path) -> None:
    arguments = (*BOTH, "--html", "--domain", "click.example.com", "--keys", keys)
    result = rewrite(*arguments, given=PAGE)
    assert result.exit_code == 0
    url = result.stdout_bytes.split(b"'")[1].decode()
    ring = KeyRing.load(str(keys))
    path = url.removeprefix("http://click.example.com/")
    assert ring.open(path).target == "http://e.com/x"
    assert ring.open(path).engagement.recipient == "jo@example.com"
    assert result.stdout_bytes.count(b"<img") == 1
    left = PAGE.index(b"mailto:")
    assert result.stderr.splitlines() == [
        "1 link wrapped, 1 pixel added, left alone: 1 not_http",
        f"  bytes {left} to {left + len(b'mailto:a@b.c')}: not_http",
    ]


def test_an_html_document_may_be_longer_than_memory_is_wanted_for(keys: Path) -> None:
    page = b"<body>\n" + b"<p><a href='http://e.com/x'>x</a></p>\n" * 50_000 + b"</body>\n"
    result = rewrite(*BOTH, "--html", "--keys", keys, given=page)
    assert result.stdout_bytes.count(b"/f/a/") == 50_000
    assert result.stdout_bytes.endswith(b'">\n</body>\n')


def test_an_html_document_without_tracking_comes_back_as_it_is() -> None:
    result = rewrite("--to", "jo@example.com", "--html", given=PAGE)
    assert (result.exit_code, result.stdout_bytes) == (0, PAGE)
    assert result.stderr == "0 links wrapped, 0 pixels added, left alone: nothing\n"


def test_of_much_that_stays_the_first_twenty_are_listed() -> None:
    result = rewrite(*BOTH, "--html", given=b"<a href=mailto:a@b.c></a>" * 2_000)
    lines = result.stderr.splitlines()
    assert lines[0] == "0 links wrapped, 1 pixel added, left alone: 2000 not_http"
    assert lines[21] == "  and 1980 more"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--html", "--edits", "e.json"), "nothing is kept"), (("--charset", "utf-8"), "--html")],
)
def test_options_that_do_not_go_together_are_refused(
    arguments: tuple[str, ...], said: str
) -> None:
    result = rewrite(*BOTH, *arguments)
    assert (result.exit_code, result.stdout_bytes) == (2, b"")
    assert said in result.stderr
