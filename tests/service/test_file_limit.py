from pathlib import Path

import pytest
from tests.processes import COMMAND, Server, run
from tests.smtp_client import Client

from msys_track.keys.file import create
from msys_track.testing.mailbox import MailServer

pytestmark = pytest.mark.anyio

# So many open files and no more, for the command that follows.
LIMITED = ("/bin/sh", "-c", 'ulimit -n "$0"; exec "$@"')


@pytest.fixture
def config(tmp_path: Path) -> Path:
    create(tmp_path / "keys.toml")
    file = tmp_path / "msys-track.toml"
    file.write_text(
        'keys = "keys.toml"\n[proxy]\nlisten = "127.0.0.1:0"\nupstream = "127.0.0.1:9"\n'
        "max_connections = 100\nupstream_max_connections = 10\n"
        "[listener]\nallow_downgrade = true\n",
        encoding="utf-8",
    )
    return file


def test_a_limit_that_suffices_for_every_worker_is_no_fault(config: Path) -> None:
    enough = run(config.parent, "config", "check", command=(*LIMITED, "174", COMMAND))
    assert (enough.code, enough.errors) == (0, "")
    text = config.read_text(encoding="utf-8").replace("= 10\n", "= 20\nworkers = 2\n")
    config.write_text(text.replace("= 100\n", "= 200\n"), encoding="utf-8")
    shared = run(config.parent, "config", "check", command=(*LIMITED, "174", COMMAND))
    assert (shared.code, shared.errors) == (0, "")


def test_config_check_warns_of_a_limit_that_can_not_hold_all_clients(config: Path) -> None:
    checked = run(config.parent, "config", "check", command=(*LIMITED, "173", COMMAND))
    assert checked.code == 0
    assert checked.errors == (
        "warning: msys-track.toml: a process may have 173 open files here, but each worker may "
        "need 174: 100 for clients (max_connections), 10 for upstreams "
        "(upstream_max_connections) and 64 others; raise the limit (ulimit -n, LimitNOFILE=) or "
        "lower max_connections\n"
    )


async def test_clients_for_whom_there_are_no_files_are_refused_and_counted(config: Path) -> None:
    server = Server(config.parent, "proxy", command=(*LIMITED, "76", COMMAND))
    try:
        port = server.listening().port
        assert "76 open files" in server.event("files.too_few")["hint"]
        clients = [Client(port) for _ in range(3)]
        greetings = []
        for client in clients:
            await client.__aenter__()
            greetings.append(client.greeting[:3])
        assert greetings == ["220", "220", "421"]
        for client in clients:
            await client.__aexit__(None, None, None)
        totals = server.stop()
    finally:
        server.kill()
    [closed] = [each for each in totals.logged if each["event"] == "proxy.closed"]
    assert closed["connections.refused"] == 1


def test_the_limit_is_raised_to_what_the_system_allows(config: Path) -> None:
    script = 'ulimit -Sn 100; exec "$0" "$@"'
    with MailServer() as mailbox:
        text = config.read_text(encoding="utf-8").replace(
            "127.0.0.1:9", f"127.0.0.1:{mailbox.port}"
        )
        config.write_text(text, encoding="utf-8")
        server = Server(config.parent, "proxy", command=("/bin/sh", "-c", script, COMMAND))
        try:
            pid = server.listening().event("worker.ready")["pid"]
            limits = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()
        finally:
            server.kill()
    [line] = [each.split() for each in limits if each.startswith("Max open files")]
    assert line[3] == line[4] != "100"
