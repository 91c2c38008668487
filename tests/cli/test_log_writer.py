"""Log lines to streams that are full, slow or gone: none of them stops anything."""

import asyncio
import fcntl
import json
import os
import select
import signal
import smtplib
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pytest
from tests.cli.mails import HTML
from tests.processes import COMMAND, PATIENCE_SECONDS, environment

from msys_track.cli import log_writer
from msys_track.cli.log_writer import LogWriter
from msys_track.testing.mailbox import MailServer

MAILS = 20


def make_report(lines: int) -> bytes:
    return b"dropped %d" % lines


class Pipe:
    """A pipe of one page, and what was read of it."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)

    def read_all(self) -> list[bytes]:
        """Read what there is now."""
        read = b""
        while select.select([self.reader], [], [], 0)[0] and (piece := os.read(self.reader, 4096)):
            read += piece
        return read.splitlines()

    def close(self) -> None:
        for number in (self.reader, self.writer):
            if number >= 0:
                os.close(number)
        self.reader = self.writer = -1

    def close_reader(self) -> None:
        os.close(self.reader)
        self.reader = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def is_blocking(number: int) -> bool:
    return not fcntl.fcntl(number, fcntl.F_GETFL) & os.O_NONBLOCK


def test_without_a_loop_a_line_is_written_at_once(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer, make_report)
    writer.write_line(b"one")
    assert pipe.read_all() == [b"one"]
    writer.close()


def test_the_lines_of_a_tick_are_written_together_after_it(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer, make_report)

    async def log() -> list[bytes]:
        writer.write_line(b"one")
        writer.write_line(b"two")
        assert pipe.read_all() == []
        await asyncio.sleep(0)
        return pipe.read_all()

    assert asyncio.run(log()) == [b"one", b"two"]
    assert asyncio.run(log()) == [b"one", b"two"]
    writer.close()


def test_what_shares_the_stream_still_waits_for_its_reader(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer, make_report)
    assert is_blocking(pipe.writer)
    writer.close()


@pytest.mark.parametrize("can_open_again", [True, False])
def test_lines_wait_for_a_reader_in_their_order_and_are_whole(
    pipe: Pipe,
    can_open_again: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not can_open_again:
        monkeypatch.setattr(log_writer, "_OWN_DESCRIPTION", "/nowhere/{}")
    writer = LogWriter(pipe.writer, make_report)
    lines = [b"%04d " % number + b"x" * 300 for number in range(200)]
    lines.append(b"long " + b"y" * 10_000)
    for line in lines:
        writer.write_line(line)
    read = b""
    while len(read) < sum(len(line) + 1 for line in lines):
        read += os.read(pipe.reader, 5000)
        writer.flush()
    assert read.splitlines() == lines
    assert writer.dropped == 0
    writer.close()


def test_what_a_full_stream_never_took_is_counted_and_reported(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "_MAX_WAITING_BYTES", 2000)
    writer = LogWriter(pipe.writer, make_report)
    lines = [b"%099d" % number for number in range(100)]
    for line in lines:
        writer.write_line(line)
    assert writer.dropped == 40
    assert pipe.read_all() == lines[:40]
    writer.flush()
    assert pipe.read_all() == [*lines[40:60], b"dropped 40"]
    writer.write_line(b"last")
    assert pipe.read_all() == [b"last"]
    writer.close()


def test_a_running_loop_writes_on_when_the_reader_reads(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer, make_report)
    lines = [b"%099d" % number for number in range(100)]

    async def log() -> list[bytes]:
        for line in lines:
            writer.write_line(line)
        read: list[bytes] = []
        while len(read) < len(lines):
            await asyncio.sleep(0.001)
            read += pipe.read_all()
        return read

    assert asyncio.run(log()) == lines
    writer.close()


def test_lines_for_a_reader_that_is_gone_are_counted(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer, make_report)
    writer.write_line(b"one")
    pipe.close_reader()
    writer.write_line(b"two")
    writer.write_line(b"three")
    assert writer.dropped == 2
    writer.close()


def test_a_disk_that_was_full_has_whole_lines_afterwards(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("wb", buffering=0) as log:
        writer = LogWriter(log.fileno(), make_report)
        takes = iter((3, OSError(28, "No space left on device")))
        really_write = writer._write_some  # noqa: SLF001 - a disk can't be filled otherwise

        def write_little(piece: bytes) -> int:
            match next(takes, None):
                case None:
                    return really_write(piece)
                case OSError() as error:
                    raise error
                case int() as count:
                    return really_write(piece[:count])

        writer._write_some = write_little  # noqa: SLF001
        writer.write_line(b"first")
        writer.write_line(b"second")
        writer.close()
    assert file.read_bytes() == b"fir\nsecond\ndropped 1\n"


def test_a_socket_whose_reader_sleeps_is_no_obstacle() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        writer = LogWriter(ours.fileno(), make_report)
        lines = [b"%0999d" % number for number in range(900)]
        for line in lines:
            writer.write_line(line)
        assert ours.getblocking()
        read = b""
        while len(read) < 1000 * len(lines):
            read += theirs.recv(65_536)
            writer.flush()
        assert read.splitlines() == lines
        writer.close()


def test_a_closed_writer_takes_lines_and_does_nothing(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer, make_report)
    writer.close()
    writer.write_line(b"late")
    assert (pipe.read_all(), writer.dropped) == ([], 1)


# A server and its standard error


class LoggingProxy:
    """A proxy whose standard error is a file of the test's."""

    def __init__(self, folder: Path, errors: int | IO[bytes]) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [COMMAND, "proxy", "--log-level", "debug"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env=environment(),
        )
        assert self.process.stdout is not None
        printed = self.process.stdout.readline().decode()
        self.port = int(printed.partition(",")[0].rpartition(":")[2])

    def inject_mails(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE_SECONDS) as client:
            for _ in range(MAILS):
                client.sendmail("sender@e.com", ["jo@e.com"], HTML)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def mailbox(config: Path) -> Iterator[MailServer]:
    with MailServer() as server:
        text = config.read_text(encoding="utf-8")
        changed = text.replace("127.0.0.1:9", f"127.0.0.1:{server.port}")
        config.write_text(changed, encoding="utf-8")
        yield server


def fill(number: int) -> None:
    os.set_blocking(number, False)
    with suppress(BlockingIOError):
        while True:
            os.write(number, b"x" * 512)
    os.set_blocking(number, True)


def check(proxy: LoggingProxy, mailbox: MailServer) -> None:
    try:
        proxy.inject_mails()
        assert len(mailbox.arrivals) == MAILS
        assert proxy.stop() == 0
    finally:
        proxy.kill()


def test_mail_and_stopping_do_not_depend_on_a_full_disk(config: Path, mailbox: MailServer) -> None:
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
        check(LoggingProxy(config.parent, full), mailbox)


def test_mail_and_stopping_do_not_depend_on_a_reader_that_is_gone(
    config: Path, mailbox: MailServer, pipe: Pipe
) -> None:
    proxy = LoggingProxy(config.parent, pipe.writer)
    pipe.close_reader()
    check(proxy, mailbox)


def test_mail_and_stopping_do_not_depend_on_a_reader_that_sleeps(
    config: Path, mailbox: MailServer, pipe: Pipe
) -> None:
    fill(pipe.writer)
    check(LoggingProxy(config.parent, pipe.writer), mailbox)


def test_mail_and_stopping_do_not_depend_on_a_socket_that_is_full(
    config: Path, mailbox: MailServer
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fill(ours.fileno())
        check(LoggingProxy(config.parent, ours.fileno()), mailbox)


def test_a_reader_who_wakes_up_reads_every_line(
    config: Path, mailbox: MailServer, pipe: Pipe
) -> None:
    fill(pipe.writer)
    proxy = LoggingProxy(config.parent, pipe.writer)
    try:
        proxy.inject_mails()
        os.close(pipe.writer)
        pipe.writer = -1
        proxy.process.send_signal(signal.SIGTERM)
        read = b""
        while piece := os.read(pipe.reader, 4096):
            read += piece
        assert proxy.process.wait(PATIENCE_SECONDS) == 0
    finally:
        proxy.kill()
    lines: list[dict[str, Any]] = [json.loads(line) for line in read.lstrip(b"x").splitlines()]
    assert (
        [each["event"] for each in lines].count("message.relayed")
        == MAILS
        == len(mailbox.arrivals)
    )
    assert "proxy.closed" in [each["event"] for each in lines]
