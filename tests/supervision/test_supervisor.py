"""The proxy's workers as real processes: how they share, die, change and end."""

import json
import os
import resource
import signal
import smtplib
import socket
import textwrap
import time
from pathlib import Path

import pytest
from tests import process_tree
from tests.processes import PATIENCE_SECONDS, ProgramEnded, Server, run_program
from tests.service.clients import Clients
from tests.service.running_proxy import MAIL, Proxy, is_running, wait_until

from msys_track.testing.mailbox import MailServer


def begin_data(proxy: Proxy) -> smtplib.SMTP:
    """Begin a mail that is not yet finished."""
    client = smtplib.SMTP("127.0.0.1", proxy.server.port, timeout=PATIENCE_SECONDS)
    client.ehlo()
    client.mail("sender@e.com")
    client.rcpt("jo@e.com")
    client.putcmd("DATA")
    assert client.getreply()[0] == 354
    return client


class Load(Clients):
    """Clients that send a mail on a connection of its own each, one after the other."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(4, uses=20)
        self._proxy = proxy

    def _use_on_and_on(self) -> None:
        while self._goes_on():
            try:
                self._proxy.inject_mail()
            except (OSError, smtplib.SMTPException) as error:
                self.failures.append(error)
            else:
                self.answered += 1


def test_every_worker_takes_mail_and_all_end_with_the_supervisor(proxy: Proxy) -> None:
    proxy.configure(workers=3)
    proxy.start()
    clients = [smtplib.SMTP("127.0.0.1", proxy.server.port) for _ in range(60)]
    for client in clients:
        client.quit()
    workers = proxy.workers
    ended = proxy.server.stop()
    assert (ended.code, len(set(workers))) == (0, 3)
    totals = [each for each in ended.logged if each["event"] == "proxy.closed"]
    taken = [each.get("connections.accepted", 0) for each in totals]
    assert (len(taken), sum(taken)) == (3, 60)
    assert min(taken) > 0
    assert not any(map(is_running, workers))


def test_a_worker_that_is_killed_is_replaced(proxy: Proxy) -> None:
    proxy.start()
    [first, second] = proxy.workers
    os.kill(first, signal.SIGKILL)
    died = proxy.server.event("worker.died")
    assert (died["pid"], died["code"]) == (first, -signal.SIGKILL)
    proxy.server.event("worker.ready", 3)
    for _ in range(10):
        proxy.inject_mail()
    assert is_running(second)
    assert proxy.server.stop().code == 0


def test_a_worker_that_the_system_has_no_room_for_is_tried_again(proxy: Proxy) -> None:
    proxy.start()
    supervisor = proxy.server.process.pid
    limits = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (3, limits[1]))
    os.kill(proxy.workers[0], signal.SIGKILL)
    failed = proxy.server.event("worker.not_started")
    assert "Too many open files" in failed["why"]
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, limits)
    proxy.server.event("worker.ready", 3)
    for _ in range(10):
        proxy.inject_mail()
    assert proxy.server.stop().code == 0


def test_a_worker_that_dies_again_and_again_is_replaced_after_longer_and_longer(
    proxy: Proxy,
) -> None:
    proxy.configure(workers=1)
    proxy.start()
    times = []
    for count in range(1, 4):
        proxy.server.event("worker.ready", count)
        os.kill(proxy.workers[-1], signal.SIGKILL)
        proxy.server.event("worker.died", count)
        times.append(time.monotonic())
    proxy.server.event("worker.ready", 4)
    times.append(time.monotonic())
    assert times[2] - times[1] > 0.4
    assert times[3] - times[2] > 0.9


def test_a_worker_that_gets_sigterm_finishes_and_is_replaced(proxy: Proxy) -> None:
    proxy.start()
    os.kill(proxy.workers[0], signal.SIGTERM)
    assert proxy.server.event("worker.died")["code"] == 0
    proxy.server.event("worker.ready", 3)
    proxy.inject_mail()
    assert proxy.server.stop().code == 0


def test_without_the_supervisor_workers_finish_the_mail_that_they_have_and_end(
    proxy: Proxy,
) -> None:
    proxy.start()
    client = begin_data(proxy)
    client.send(MAIL[:10])
    proxy.server.process.kill()
    proxy.server.process.wait()
    client.send(MAIL[10:] + b".\r\n")
    assert client.getreply()[0] == 250
    assert client.getreply()[0] == 421
    client.close()
    assert len(proxy.mailbox.arrivals) == 1
    wait_until(lambda: not any(map(is_running, proxy.workers)))


def test_two_proxies_do_not_share_a_port_by_mistake(proxy: Proxy) -> None:
    port = proxy.start().port
    text = (proxy.folder / "msys-track.toml").read_text(encoding="utf-8")
    (proxy.folder / "second.toml").write_text(
        text.replace("127.0.0.1:0", f"127.0.0.1:{port}"), encoding="utf-8"
    )
    second = Server(proxy.folder, "proxy", "--config", "second.toml")
    assert second.process.wait(PATIENCE_SECONDS) == 1
    second.kill()
    proxy.inject_mail()


def test_a_worker_whose_policy_never_returns_is_killed_and_replaced(proxy: Proxy) -> None:
    (proxy.folder / "policy.py").write_text(
        "import time\n"
        "def validate_mailfrom(transaction):\n"
        "    while transaction.sender == 'stuck@e.com':\n"
        "        time.sleep(0.1)\n",
        encoding="utf-8",
    )
    more = 'worker_timeout_seconds = 2\n[policy]\nfiles = ["policy.py"]\n'
    proxy.configure(workers=1, more=more)
    proxy.start()
    proxy.inject_mail()
    with smtplib.SMTP("127.0.0.1", proxy.server.port, timeout=PATIENCE_SECONDS) as client:
        client.ehlo()
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.mail("stuck@e.com")
    killed = proxy.server.event("worker.killed")
    assert (killed["pid"], killed["why"]) == (proxy.workers[0], "hangs")
    proxy.server.event("worker.ready", 2)
    proxy.inject_mail()


def test_a_second_sigterm_ends_everything_at_once(proxy: Proxy) -> None:
    proxy.start()
    client = begin_data(proxy)
    proxy.server.process.send_signal(signal.SIGTERM)
    proxy.server.event("server.stopping")
    assert proxy.server.stop(signal.SIGTERM).code == -signal.SIGTERM
    client.close()
    wait_until(lambda: not any(map(is_running, proxy.workers)))


# Change without a refused connection


def test_a_changed_upstream_is_used_and_no_client_is_refused_meanwhile(proxy: Proxy) -> None:
    proxy.start()
    old = proxy.workers
    with MailServer() as other, Load(proxy) as load:
        proxy.configure(upstream=other.port)
        proxy.server.hang_up()
        assert proxy.server.event("configuration.reloaded")["workers"] == "replaced"
        load.run_on()
        proxy.server.event("worker.stopped", 2)
        load.run_on()
    assert load.failures == []
    assert other.arrivals
    assert len(other.arrivals) + len(proxy.mailbox.arrivals) == load.answered
    assert not any(map(is_running, old))
    assert proxy.server.stop().code == 0


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_there_may_be_more_or_fewer_workers_after_a_reload(
    proxy: Proxy, before: int, after: int
) -> None:
    proxy.configure(workers=before)
    proxy.start()
    with Load(proxy) as load:
        proxy.configure(workers=after)
        proxy.server.hang_up()
        proxy.server.event("configuration.reloaded")
        proxy.server.event("worker.stopped", before)
        load.run_on()
        load.run_on()
    assert load.failures == []
    assert sum(map(is_running, proxy.workers)) == after


def test_a_session_outlives_the_change_of_workers(proxy: Proxy) -> None:
    proxy.start()
    with smtplib.SMTP("127.0.0.1", proxy.server.port, timeout=PATIENCE_SECONDS) as client:
        client.ehlo()
        proxy.configure(workers=1)
        proxy.server.hang_up()
        proxy.server.event("configuration.reloaded")
        client.sendmail("sender@e.com", ["jo@e.com"], MAIL)
    proxy.server.event("worker.stopped", 2)
    assert len(proxy.mailbox.arrivals) == 1


def test_the_program_is_replaced_under_the_same_number_and_no_client_is_refused(
    proxy: Proxy,
) -> None:
    proxy.start()
    old = proxy.workers
    with Load(proxy) as load:
        proxy.server.process.send_signal(signal.SIGUSR2)
        proxy.server.event("program.replaced")
        proxy.server.event("worker.ready", 4)
        proxy.server.event("worker.stopped", 2)
        load.run_on()
        proxy.server.process.send_signal(signal.SIGUSR2)
        proxy.server.event("worker.stopped", 4)
        load.run_on()
    assert load.failures == []
    assert len(proxy.mailbox.arrivals) == load.answered
    assert not any(map(is_running, old))
    assert sum(map(is_running, proxy.workers)) == 2
    assert proxy.server.stop().code == 0


def test_a_program_that_can_not_start_does_not_replace_the_one_that_runs(proxy: Proxy) -> None:
    proxy.start()
    (proxy.folder / "msys-track.toml").write_text("[", encoding="utf-8")
    proxy.server.process.send_signal(signal.SIGUSR2)
    assert "ended with 2" in proxy.server.event("program.not_replaced")["why"]
    proxy.inject_mail()
    proxy.configure()
    proxy.server.process.send_signal(signal.SIGUSR2)
    proxy.server.event("worker.stopped", 2)
    proxy.inject_mail()
    assert proxy.server.stop().code == 0


def test_signals_that_come_together_are_obeyed_one_after_the_other(proxy: Proxy) -> None:
    proxy.start()
    for number in (signal.SIGHUP, signal.SIGUSR2, signal.SIGHUP, signal.SIGUSR2):
        proxy.server.process.send_signal(number)
    proxy.server.event("worker.stopped", 2)
    proxy.inject_mail()
    assert proxy.server.stop().code == 0


# Workers of other kinds

SUPERVISED = """
import os, signal, socket, sys, time
from dataclasses import replace
from pathlib import Path
from msys_track.cli import logs
from msys_track.errors import SettingsError
from msys_track.supervision.supervisor import Plan, Supervisor

logs.to_stderr()

def is_first(name):
    "Whether no process has asked this before."
    try:
        Path(name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

def serve(control, sockets):
    def say(report):
        control.send(report.encode() + b"\\n")

    def is_told(order):
        return control.recv(100).startswith(order.encode())

    def send(number):
        os.kill(os.getppid(), number)

    {serve}

def load_again():
    {load_again}

{before}

plan = Plan(
    name="test", workers=1, addresses=(), drain_seconds=5, hang_seconds=2, settings=None,
    serve=serve, announce=lambda _: print("up", flush=True),
)
try:
    Supervisor(plan, load_again).run()
except SettingsError as error:
    sys.exit(str(error))
"""


def run_supervised(
    serve: str, folder: Path | None = None, before: str = "", load_again: str = "return None"
) -> ProgramEnded:
    program = SUPERVISED.format(
        serve=textwrap.indent(textwrap.dedent(serve), "    ").lstrip(),
        load_again=textwrap.indent(textwrap.dedent(load_again), "    ").lstrip(),
        before=before,
    )
    return run_program(program, folder)


def list_events(ended: ProgramEnded, *names: str) -> list[str]:
    """List which of some events were logged, in their order."""
    logged = [json.loads(each) for each in ended.stderr.splitlines() if each.startswith("{")]
    return [each["event"] for each in logged if each["event"] in names]


def test_first_workers_that_fail_end_the_command_with_their_reason() -> None:
    told = run_supervised(
        """control.send(b'{"failed": "no such spool"}\\n'); raise SettingsError("no such spool")"""
    )
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.splitlines()[-1] == "no such spool"


def test_first_workers_with_a_defect_end_the_command_and_leave_a_trace() -> None:
    ended = run_supervised("1 / 0")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "ZeroDivisionError" in ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last == "test: a worker ended with 1 before it was ready; its error is above"


def test_first_workers_that_the_system_has_no_room_for_end_the_command() -> None:
    no_room = """
import errno, os
def fork():
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
os.fork = fork  # root has no limit that would do it
"""
    ended = run_supervised("pass", before=no_room)
    assert (ended.returncode, ended.stdout) == (1, "")
    reason = "test: a worker can't be started: Resource temporarily unavailable"
    assert ended.stderr.splitlines()[-1] == reason


def reload_in_the_first_worker(folder: Path, first: str, later: str) -> ProgramEnded:
    """Run a server whose first worker is told to read the configuration anew.

    `first` is what it does then; `later` is what a worker does that comes after it.
    """
    serve = f"""
say('{{"ready": true}}')
if is_first("worker"):
    send(signal.SIGHUP)
    assert is_told("reload")
{textwrap.indent(textwrap.dedent(first), "    ")}
else:
{textwrap.indent(textwrap.dedent(later), "    ")}
"""
    return run_supervised(serve, folder, load_again="return plan")


def test_a_worker_that_cannot_read_the_new_configuration_gives_way_to_one_that_has_it(
    tmp_path: Path,
) -> None:
    ended = reload_in_the_first_worker(
        tmp_path,
        """
        say('{"reloaded": false}')
        assert is_told("retire")
        """,
        """
        send(signal.SIGTERM)
        assert is_told("stop")
        """,
    )
    assert ended.returncode == 0, ended.stderr
    names = ("configuration.reloaded", "worker.stopped", "worker.died")
    assert list_events(ended, *names) == ["configuration.reloaded", *2 * ["worker.stopped"]]


def test_a_worker_that_dies_as_it_reads_the_new_configuration_is_replaced(tmp_path: Path) -> None:
    ended = reload_in_the_first_worker(
        tmp_path,
        """
        os._exit(1)
        """,
        """
        send(signal.SIGTERM)
        assert is_told("stop")
        """,
    )
    assert ended.returncode == 0, ended.stderr
    names = ("configuration.reloaded", "worker.stopped", "worker.died")
    assert list_events(ended, *names) == [
        "configuration.reloaded",
        "worker.died",
        "worker.stopped",
    ]


def test_a_stop_is_not_held_up_by_a_worker_that_cannot_read_the_new_configuration(
    tmp_path: Path,
) -> None:
    ended = reload_in_the_first_worker(
        tmp_path,
        """
        send(signal.SIGTERM)
        assert is_told("stop")
        say('{"reloaded": false}')
        """,
        """
        control.recv(100)
        """,
    )
    assert ended.returncode == 0, ended.stderr
    assert list_events(ended, "worker.ready", "worker.killed") == ["worker.ready"]


# The second time, which comes once the first is over, ends the server.
LOAD_A_FAULTY_PLAN = """
if not is_first("load"):
    os.kill(os.getpid(), signal.SIGTERM)
    return None
"""


def test_workers_go_on_where_those_of_the_new_configuration_fail(tmp_path: Path) -> None:
    ended = run_supervised(
        """
        say('{"ready": true}')
        send(signal.SIGHUP)
        assert is_told("stop")
        """,
        tmp_path,
        before="""
def fail(control, sockets):
    os.kill(os.getppid(), signal.SIGHUP)
    control.send(b'{"failed": "the new spool is full"}\\n')
    raise SettingsError("the new spool is full")
""",
        load_again=LOAD_A_FAULTY_PLAN + "return replace(plan, settings=1, workers=2, serve=fail)",
    )
    assert ended.returncode == 0, ended.stderr
    (line,) = [each for each in ended.stderr.splitlines() if "configuration.not_reloaded" in each]
    assert json.loads(line)["faults"] == ["the new spool is full"]
    assert list_events(ended, "server.stopping") == ["server.stopping"]


def test_a_new_configuration_whose_status_port_is_taken_changes_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = run_supervised(
            """
            say('{"ready": true}')
            send(signal.SIGHUP)
            assert is_told("stop")
            """,
            tmp_path,
            load_again=LOAD_A_FAULTY_PLAN
            + f"""
from msys_track.smtp.address import Address
os.kill(os.getpid(), signal.SIGHUP)
smtp, status = Address("127.0.0.1", 0), Address("127.0.0.1", {port})
return replace(plan, settings=1, addresses=(smtp,), status_addresses=(status,))
""",
        )
    assert ended.returncode == 0, ended.stderr
    (line,) = [each for each in ended.stderr.splitlines() if "configuration.not_reloaded" in each]
    assert f"can't listen on 127.0.0.1:{port}: Address already in use" in line


def test_a_new_program_whose_trial_start_ends_during_the_stop_takes_no_place(
    tmp_path: Path,
) -> None:
    ended = run_supervised(
        """
        say('{"ready": true}')
        send(signal.SIGUSR2)
        while not os.path.exists("trial"):
            time.sleep(0.01)
        send(signal.SIGTERM)
        assert is_told("stop")
        os.rename("trial", "trial.over")
        time.sleep(0.2)
        """,
        tmp_path,
        before="""
if os.environ.get("MSYS_TRACK_HANDOVER"):
    Path("trial").touch()
    while os.path.exists("trial"):
        time.sleep(0.01)
    sys.exit()
""",
    )
    assert ended.returncode == 0, ended.stderr
    assert list_events(ended, "program.replaced") == []


def test_a_worker_of_the_new_program_that_is_killed_is_begun_again(tmp_path: Path) -> None:
    ended = run_supervised(
        """
        if is_first("old"):
            say('{"ready": true}')
            send(signal.SIGUSR2)
            assert is_told("retire")
        elif is_first("new"):
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            say('{"ready": true}')
            assert not is_first("old")
            time.sleep(0.2)
            send(signal.SIGTERM)
            assert is_told("stop")
        """,
        tmp_path,
    )
    assert (ended.returncode, ended.stdout) == (0, "up\nup\n"), ended.stderr
    names = ("program.replaced", "worker.died", "worker.stopped")
    expected = ["program.replaced", "worker.died", "worker.stopped", "worker.stopped"]
    assert list_events(ended, *names) == expected


def test_no_worker_is_killed_for_its_silence_while_all_stood_still() -> None:
    ended = run_supervised(
        """
        say('{"ready": true}')
        time.sleep(0.1)
        send(signal.SIGSTOP)
        time.sleep(4)
        send(signal.SIGTERM)
        send(signal.SIGCONT)
        assert is_told("stop")
        """
    )
    assert ended.returncode == 0, ended.stderr
    assert list_events(ended, "worker.killed", "worker.stopped") == ["worker.stopped"]


UPGRADING = """
say('{"ready": true}')
send(signal.SIGUSR2)
time.sleep(0.3)
send(signal.SIGTERM)
control.recv(100)
"""


def test_a_program_whose_interpreter_is_gone_replaces_nothing_and_ends_nothing() -> None:
    ended = run_supervised(UPGRADING, before='sys.executable = "/missing/python"')
    assert (ended.returncode, ended.stdout) == (0, "up\n")
    (line,) = [each for each in ended.stderr.splitlines() if "program.not_replaced" in each]
    assert "No such file or directory" in line


KILLED = """
tries = Path("tries")
tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
if len(tries.read_text()) <= {deaths}:
    os.kill(os.getpid(), signal.SIGKILL)
say('{{"ready": true}}')
send(signal.SIGTERM)
control.recv(100)
"""


def test_a_first_worker_that_is_killed_before_it_is_ready_is_begun_again(tmp_path: Path) -> None:
    began = time.monotonic()
    ended = run_supervised(KILLED.format(deaths=3), tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "up\n")
    assert ended.stderr.count("worker.died") == 3
    assert time.monotonic() - began > 1.4  # 0 + 0.5 + 1 second


def test_a_first_worker_that_is_killed_each_time_ends_the_command(tmp_path: Path) -> None:
    ended = run_supervised(KILLED.format(deaths=99), tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("worker.died") == len((tmp_path / "tries").read_text()) == 5
    assert "ended by signal 9 before it was ready" in ended.stderr.splitlines()[-1]


def test_a_proxy_whose_first_workers_are_killed_as_it_starts_takes_mail(proxy: Proxy) -> None:
    proxy.server = Server(proxy.folder, "proxy")
    killed: set[int] = set()

    def kill_first_two() -> bool:
        for pid in process_tree.children(proxy.server.process.pid)[: 2 - len(killed)]:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        return len(killed) == 2

    wait_until(kill_first_two)
    proxy.server.event("worker.died", 2)
    proxy.server.listening()
    proxy.inject_mail()
    assert proxy.server.stop().code == 0
