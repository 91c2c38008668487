"""`msys-track proxy` and `msys-track tracker` as processes: how they start, refuse, and end."""

import http.client
import json
import os
import re
import shutil
import signal
import smtplib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import oracle, processes
from tests.cli.mails import HTML
from tests.ports import find_free_ports
from tests.processes import COMMAND, SHELL, SHELL_VARIABLES, Run, Server, Start
from tests.waiting import ask_until

from msys_track.keys.ring import KeyRing
from msys_track.testing.fidelity import split_received
from msys_track.testing.mailbox import MailServer

SERVERS = ("proxy", "tracker")
HEADER = (
    b'X-MSYS-API: {"campaign_id": "spring", "metadata": {"user": 7},\r\n'
    b' "tags": ["a"], "options": {"transactional": true}}\r\n'
)


def send(proxy: Server, message: bytes, *recipients: str) -> None:
    with smtplib.SMTP("127.0.0.1", proxy.port, timeout=10) as client:
        client.sendmail("sender@e.com", recipients or ["jo@e.com"], message)


def get(tracker: Server, url: str) -> http.client.HTTPResponse:
    """Follow a link as if the tracking domain led to the tracker."""
    host, slash, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection("127.0.0.1", tracker.port, timeout=10)
    connection.request("GET", slash + path, headers={"Host": host, "User-Agent": "Reader/1.0"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def below_received(message: bytes) -> bytes:
    received, below = split_received(message)
    assert received
    return below


def replace_in_file(config: Path, old: str, new: str) -> None:
    text = config.read_text(encoding="utf-8")
    assert old in text
    config.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.usefixtures("config")
def test_a_mail_goes_all_the_way_and_its_readers_come_back(
    config: Path, start: Start, run: Run
) -> None:
    with MailServer() as mailbox:
        replace_in_file(config, "127.0.0.1:9", f"127.0.0.1:{mailbox.port}")
        assert run("config", "check", config).code == 0
        proxy, tracker = start("proxy"), start("tracker")
        assert proxy.printed == [
            f"proxy listens on 127.0.0.1:{proxy.port}, upstream is 127.0.0.1:{mailbox.port}"
        ]
        send(proxy, HEADER + HTML, "Jo@e.com", "amy@e.com")
        assert proxy.stop().code == 0
    assert [each.recipients for each in mailbox.arrivals] == [("Jo@e.com",), ("amy@e.com",)]
    for delivery in mailbox.arrivals:
        found = oracle.difference(HEADER + HTML, below_received(delivery.message))
        [(_, link)], [pixel] = found.links, found.pixels
        clicked, opened = get(tracker, link), get(tracker, pixel)
        assert (clicked.status, clicked.headers["Location"]) == (302, "http://e.com/?a=1&b=2")
        assert (opened.status, opened.headers["Content-Type"]) == (200, "image/gif")

    def list_events() -> list[bytes]:
        listed = run("events", "--store", "events.sqlite")
        assert listed.code == 0
        return listed.output.splitlines()

    ask_until(lambda: len(list_events()) >= 4)
    assert tracker.stop().code == 0
    lines = list_events()
    events = [json.loads(line)["msys"]["track_event"] for line in lines]
    assert [(event["type"], event["raw_rcpt_to"]) for event in events] == [
        ("click", "Jo@e.com"),
        ("open", "Jo@e.com"),
        ("click", "amy@e.com"),
        ("open", "amy@e.com"),
    ]
    for event in events:
        assert event["rcpt_to"] == event["raw_rcpt_to"].lower()
        assert event["campaign_id"] == "spring"
        assert event["rcpt_meta"] == {"user": 7}
        assert event["rcpt_tags"] == ["a"]
        assert event["user_agent"] == "Reader/1.0"
    assert len({event["message_id"] for event in events}) == 2
    assert events[0]["target_link_url"] == "http://e.com/?a=1&b=2"


@pytest.mark.usefixtures("config")
def test_while_the_upstream_is_down_nothing_is_accepted_and_nothing_is_lost(
    config: Path, start: Start
) -> None:
    (port,) = find_free_ports(1)
    replace_in_file(config, "127.0.0.1:9", f"127.0.0.1:{port}")
    proxy = start("proxy")
    for _ in range(2):
        with pytest.raises(smtplib.SMTPException) as refused:
            send(proxy, HTML)
        assert code_of(refused.value) // 100 == 4
    with MailServer(port) as mailbox:
        send(proxy, HTML)
        assert len(mailbox.arrivals) == 1
        assert proxy.stop().code == 0


@pytest.mark.usefixtures("config")
def test_of_several_upstreams_one_that_is_up_gets_the_mail(config: Path, start: Start) -> None:
    (dead,) = find_free_ports(1)
    with MailServer() as mailbox, MailServer() as other:
        replace_in_file(config, 'upstream = "127.0.0.1:9"\n', "")
        with config.open("a", encoding="utf-8") as file:
            file.write(f'[upstream.first]\naddress = "127.0.0.1:{dead}"\n')
            file.write(f'[upstream.second]\naddress = "127.0.0.1:{mailbox.port}"\npriority = 20\n')
        proxy = start("proxy")
        hops = f"127.0.0.1:{dead}, 127.0.0.1:{mailbox.port}"
        assert proxy.printed == [f"proxy listens on 127.0.0.1:{proxy.port}, upstream is {hops}"]
        send(proxy, HTML)
        assert proxy.stop().code == 0
        assert len(mailbox.arrivals) == 1
        proxy = start("proxy", "--upstream", f"127.0.0.1:{other.port}")
        send(proxy, HTML)
        assert proxy.stop().code == 0
        assert (len(mailbox.arrivals), len(other.arrivals)) == (1, 1)


@pytest.mark.usefixtures("config")
def test_a_password_for_the_upstream_that_is_not_there_is_a_fault_at_start(
    config: Path, run: Run
) -> None:
    old = 'upstream = "127.0.0.1:9"'
    auth = 'upstream_user = "a"\nupstream_password = "env:NO_SUCH_PASSWORD"'
    replace_in_file(config, old, f"{old}\n{auth}")
    started = run("proxy")
    assert started.code == 1
    assert (
        "upstream: password: env:NO_SUCH_PASSWORD: there is no such environment variable"
        in started.errors
    )


def code_of(error: smtplib.SMTPException) -> int:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return next(code for code, _ in error.recipients.values())
    assert isinstance(error, smtplib.SMTPResponseException)
    return error.smtp_code


@pytest.mark.usefixtures("config")
def test_a_malformed_header_is_refused_and_what_can_t_be_parsed_passes(
    config: Path, start: Start
) -> None:
    with MailServer() as mailbox:
        replace_in_file(config, "127.0.0.1:9", f"127.0.0.1:{mailbox.port}")
        proxy = start("proxy")
        with pytest.raises(smtplib.SMTPDataError) as refused:
            send(proxy, b"X-MSYS-API: {\r\n" + HTML, "jo@e.com", "amy@e.com")
        assert (refused.value.smtp_code, mailbox.arrivals) == (550, [])
        assert "5.6.0 JSON parsing error in X-MSYS-API (" in str(refused.value)
        strange = b"no header at all\r\n\xff\0 binary\r\n.dots\r\n..\r\n"
        send(proxy, strange, "jo@e.com", "amy@e.com")
        assert proxy.stop().code == 0
    arrived = [below_received(each.message) for each in mailbox.arrivals]
    assert b"".join(arrived) in (strange, strange * 2)
    assert sorted(to for each in mailbox.arrivals for to in each.recipients) == [
        "amy@e.com",
        "jo@e.com",
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.usefixtures("config")
def test_a_signal_ends_a_server_with_0_though_a_client_is_there(
    server: str, number: int, start: Start
) -> None:
    running = start(server)
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as client:
        ended = running.stop(number)
        assert (ended.code, ended.output.count(b"\n")) == (0, 1)
        while client.recv(4096):
            pass
    assert '"event": "server.stopping"' in ended.errors


@pytest.mark.parametrize("output", [">/dev/full", "> >(true)", "1<>full.fifo"])
@pytest.mark.parametrize("server", SERVERS)
def test_an_output_that_can_not_be_written_keeps_no_server_from_its_work(
    server: str, output: str, config: Path
) -> None:
    """A full disk, a reader that is gone, a pipe that is full: the log says where it listens."""
    fill = ""
    if "fifo" in output:
        os.mkfifo(config.parent / "full.fifo")
        fill = "exec 3<>full.fifo; dd if=/dev/zero of=/dev/fd/3 oflag=nonblock status=none; "
    line = f'{fill}exec "$@" {output}'
    running = Server(config.parent, server, command=("/bin/bash", "-c", line, "bash", COMMAND))
    try:
        port = running.event(f"{server}.listening")["port"]
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            assert running.stop().code == 0
    finally:
        running.kill()


@pytest.mark.parametrize("server", SERVERS)
def test_an_occupied_port_is_named_and_exits_1(server: str, config: Path, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        replace_in_file(
            config, f'[{server}]\nlisten = "127.0.0.1:0"', f'[{server}]\nlisten = "{where}"'
        )
        ended = run(server)
    assert (ended.code, ended.output) == (1, b"")
    last = ended.errors.splitlines()[-1]
    assert last == (
        f"msys-track: {server}: can't listen on {where}: Address already in use; choose another "
        "address, or end what listens there"
    )


@pytest.mark.parametrize("server", SERVERS)
def test_an_address_of_another_machine_is_named_and_exits_1(
    server: str, config: Path, run: Run
) -> None:
    replace_in_file(config, "127.0.0.1:0", "192.0.2.1:0")
    replace_in_file(config, "[proxy]", '[proxy]\nnetworks = ["10.0.0.0/8"]')
    ended = run(server)
    assert (ended.code, ended.output) == (1, b"")
    last = ended.errors.splitlines()[-1]
    assert last.startswith(f"msys-track: {server}: can't listen on 192.0.2.1:0: Cannot assign")


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    ("old", "new", "wording"),
    [
        ("true", '"maybe"', "listener.open_tracking_enabled: found"),
        ('"keys.toml"', '"no.toml"', "keys: found"),
        ("[listener]", "[listener", "not TOML"),
    ],
)
def test_a_wrong_configuration_exits_2_before_a_port_is_opened(  # noqa: PLR0913, PLR0917
    server: str, old: str, new: str, wording: str, config: Path, run: Run
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        replace_in_file(config, "127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}")
        replace_in_file(config, old, new)
        ended = run(server)
    assert (ended.code, ended.output) == (2, b"")
    assert "msys-track.toml:" in ended.errors
    assert wording in ended.errors
    assert not (config.parent / "events.sqlite").exists()


def test_a_tracker_without_a_folder_for_its_store_exits_2(config: Path, run: Run) -> None:
    replace_in_file(config, "events.sqlite", "no/events.sqlite")
    for command in (("tracker",), ("config", "check")):
        ended = run(*command)
        assert (ended.code, ended.output) == (2, b"")
        assert "tracker.store: found" in ended.errors


def test_a_proxy_needs_no_folder_for_the_tracker_s_store(config: Path, start: Start) -> None:
    replace_in_file(config, "events.sqlite", "no/events.sqlite")
    assert start("proxy").stop().code == 0
    assert not (config.parent / "no").exists()


def test_a_tracker_needs_none_of_the_proxy_s_policy_files(config: Path, start: Start) -> None:
    replace_in_file(config, "[proxy]", '[policy]\nfiles = ["no.lua"]\n[proxy]')
    assert start("tracker").stop().code == 0


# Without these, root may do in others' folders only what every user may (capabilities(7)).
ORDINARY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")


@pytest.fixture
def ordinary() -> tuple[str, ...]:
    """Our command, so that it meets folders that it may not enter."""
    if os.geteuid() != 0:
        return (COMMAND,)
    if shutil.which("setpriv") is None:
        pytest.skip("root enters every folder, and there is no setpriv to take that away")
    return (*ORDINARY, COMMAND)


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder that no other user may enter, as another user's of mode 0700."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0)
    yield folder
    folder.chmod(0o700)
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize("store", ["closed/events.sqlite", "closed/inner/events.sqlite"])
def test_a_proxy_starts_where_the_tracker_s_folder_is_closed_to_it(
    config: Path, ordinary: tuple[str, ...], store: str, start: Start, run: Run
) -> None:
    replace_in_file(config, "events.sqlite", store)
    assert start("proxy", command=ordinary).stop().code == 0
    checked = run("config", "check", command=ordinary)
    assert (checked.code, checked.output) == (0, b"msys-track.toml: no faults\n")
    tracker = run("tracker", command=ordinary)
    assert (tracker.code, tracker.output) == (1, b"")
    said = tracker.errors.splitlines()[-1]
    wording = "msys-track: closed/[a-z./]+: can't be written: Permission denied"
    assert re.fullmatch(wording, said)


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize(
    ("old", "new", "wording"),
    [
        ('"keys.toml"', '"closed/keys.toml"', "keys: found"),
        ("[proxy]", '[policy]\nfiles = ["closed/x.lua"]\n[proxy]', "policy.files[0]: found"),
    ],
)
def test_a_file_of_its_own_that_a_proxy_may_not_see_is_told_with_its_line(
    config: Path, ordinary: tuple[str, ...], old: str, new: str, wording: str
) -> None:
    replace_in_file(config, old, new)
    ended = processes.run(config.parent, "proxy", command=ordinary)
    assert (ended.code, ended.output) == (2, b"")
    assert f": {wording} " in ended.errors
    assert "which can't be looked at: Permission denied" in ended.errors


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_says_whose_loop_it_runs_on_and_needs_no_uvloop(
    server: str, config: Path, start: Start
) -> None:
    assert start(server).event("loop.chosen")["loop"] == "uvloop"
    (config.parent / "uvloop.py").write_text("raise ImportError", encoding="utf-8")
    paths = filter(None, (str(config.parent), os.environ.get("PYTHONPATH")))
    without = start(server, env={"PYTHONPATH": os.pathsep.join(paths)})
    assert without.event("loop.chosen")["loop"] == "asyncio"
    assert without.stop().code == 0


def test_a_proxy_has_its_keys_from_a_variable_and_shows_them_nowhere(
    config: Path, keys: Path, start: Start, run: Run
) -> None:
    replace_in_file(config, '"keys.toml"', '"env:TRACKING_KEYS"')
    text = keys.read_text(encoding="utf-8")
    with MailServer() as mailbox:
        replace_in_file(config, "127.0.0.1:9", f"127.0.0.1:{mailbox.port}")
        proxy = start("proxy", "--log-level", "debug", env={"TRACKING_KEYS": text})
        send(proxy, HTML)
        ended = proxy.stop()
    assert ended.code == 0
    found = oracle.difference(HTML, below_received(mailbox.arrivals[0].message))
    [(_, link)] = found.links
    assert KeyRing.load(keys).open(link.removeprefix("http://click.example.com")).kind == "click"
    [secret] = re.findall(r'secret = "(.+)"', text)
    assert secret[:8] not in ended.errors
    without = run("proxy")
    assert (without.code, without.output) == (2, b"")
    assert "keys: env:TRACKING_KEYS: there is no such environment variable" in without.errors


MOMENTUM = """\
smtpapi { }
ESMTP_Listener {
  Listen "127.0.0.1:0" { open_tracking_enabled = true click_tracking_enabled = true }
}
Gateway = "127.0.0.1"
"""


def momentum(folder: Path, text: str) -> Path:
    file = folder / "ecelerity.conf"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_momentum_configuration_is_all_that_a_proxy_needs(tmp_path: Path, start: Start) -> None:
    config = momentum(tmp_path, MOMENTUM)
    with MailServer() as mailbox:
        proxy = start("proxy", "--config", config, "--upstream", f"127.0.0.1:{mailbox.port}")
        send(proxy, HTML, "jo@e.com")
        ended = proxy.stop()
    assert ended.code == 0
    [made] = [each for each in ended.logged if each["event"] == "keys.made"]
    assert Path(made["file"]).stat().st_mode & 0o777 == 0o600
    found = oracle.difference(HTML, below_received(mailbox.arrivals[0].message))
    assert (len(found.links), len(found.pixels)) == (1, 1)
    [totals] = [each for each in ended.logged if each["event"] == "proxy.closed"]
    assert (totals["messages.accepted"], totals["copies.links"]) == (1, 1)


def test_keys_are_made_only_for_a_momentum_configuration_that_holds(
    tmp_path: Path, run: Run
) -> None:
    config = momentum(tmp_path, MOMENTUM.replace("click_tracking", "clack_tracking"))
    assert run("proxy", "--config", config).code == 2
    assert [file.name for file in tmp_path.iterdir()] == ["ecelerity.conf"]


REACHED = 'keys = "keys.toml"\n[proxy]\nlisten = "0.0.0.0:0"\nupstream = "127.0.0.1:9"\n'


@pytest.mark.usefixtures("keys")
def test_a_port_that_others_reach_is_not_opened_without_a_rule(tmp_path: Path, run: Run) -> None:
    (tmp_path / "msys-track.toml").write_text(REACHED, encoding="utf-8")
    ended = run("proxy")
    assert (ended.code, ended.output) == (2, b"")
    assert "msys-track.toml:3: proxy.listen: other machines reach 0.0.0.0:0, and " in ended.errors


@pytest.mark.usefixtures("keys")
def test_an_open_relay_is_a_warning_in_the_log(tmp_path: Path, start: Start) -> None:
    (tmp_path / "msys-track.toml").write_text(f"{REACHED}open_relay = true\n", encoding="utf-8")
    proxy = start("proxy", "--log-level", "warning")
    [logged] = [each for each in proxy.stop().logged if each["event"] == "proxy.open_relay"]
    assert logged["level"] == "warning"
    assert logged["addresses"] == ["0.0.0.0:0"]


@pytest.mark.parametrize("server", SERVERS)
def test_keys_that_others_can_read_stop_a_server(
    server: str, config: Path, keys: Path, run: Run
) -> None:
    keys.parent.chmod(0o755)
    keys.chmod(0o604)
    ended = run(server)
    assert (ended.code, ended.output) == (2, b"")
    assert ended.errors.startswith(f"{config.name}:2: keys: keys.toml: users other than its owner")
    assert "chmod 600" in ended.errors


def test_a_store_that_is_no_store_is_told_and_readers_are_answered_meanwhile(
    config: Path, start: Start, run: Run, keys: Path
) -> None:
    store = config.parent / "events.sqlite"
    store.write_bytes(b"something else")
    tracker = start("tracker")
    told = tracker.event("sink.failed")
    assert "events.sqlite: not an SQLite file; move it away" in told["error"]
    ended = run("rewrite", "--to", "jo@e.com", "--click-tracking", "--keys", keys, given=HTML)
    [(_, url)] = oracle.difference(HTML, ended.output).links
    assert get(tracker, url).status == 302
    assert store.read_bytes() == b"something else"
    store.rename(config.parent / "something.else")
    tracker.event("sink.recovered")
    assert tracker.stop().code == 0
    assert run("events", "--store", "events.sqlite").output.count(b"\n") == 1


@pytest.mark.usefixtures("config")
def test_two_trackers_share_a_store_and_a_key_file(start: Start, run: Run, keys: Path) -> None:
    trackers = [start("tracker"), start("tracker")]
    ended = run("rewrite", "--to", "jo@e.com", "--click-tracking", "--keys", keys, given=HTML)
    [(_, url)] = oracle.difference(HTML, ended.output).links
    for tracker in trackers * 3:
        assert get(tracker, url).status == 302
    for tracker in trackers:
        assert tracker.stop().code == 0
    assert run("events", "--store", "events.sqlite").output.count(b"\n") == 6


def test_a_proxy_does_not_start_beside_an_upstream_that_no_mail_would_go_to(
    config: Path, run: Run
) -> None:
    with config.open("a", encoding="utf-8") as file:
        file.write('[upstream.first]\naddress = "127.0.0.1:9"\n')
    ended = run("proxy")
    assert ended.code == 2
    assert "msys-track.toml:10: proxy.upstream: no mail would go there, " in ended.errors


@pytest.mark.usefixtures("config")
def test_a_proxy_whose_links_would_lead_nowhere_says_so(config: Path, start: Start) -> None:
    replace_in_file(config, 'tracking_domain = "click.example.com"\n', "")
    ended = start("proxy").stop()
    assert ended.code == 0
    assert '"event": "tracking_domain.default"' in ended.errors


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_whose_links_lose_https_says_so(config: Path, start: Start, server: str) -> None:
    event = '"event": "configuration.doubtful"'
    assert event not in start(server).stop().errors
    replace_in_file(config, "allow_downgrade = true\n", "")
    assert event in start(server).stop().errors


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.usefixtures("config")
def test_a_server_without_standard_output_serves(server: str, tmp_path: Path) -> None:
    line = f"exec msys-track {server} >&-"
    running = Server(tmp_path, line, command=SHELL, env=SHELL_VARIABLES)
    try:
        running.event(f"{server}.listening")
        assert running.stop().code == 0
    finally:
        running.kill()
