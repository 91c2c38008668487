"""docs/migration.md is followed: a tracking domain moves, and its old links go on to work."""

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.ports import find_free_ports
from tests.processes import Server, shell
from tests.shown import Block, read_blocks

OLD_NAME = "https://old-click.example.com"
DOMAIN = "https://click.example.com"
TARGET = "https://shop.example.com/"
BLOCKS = [each for each in read_blocks("migration.md") if each.heading[:2] in {"1.", "2.", "3.",
          "4.", "5.", "6."} or each.heading == "Move a tracking domain"]  # fmt: skip


class OldTracker(BaseHTTPRequestHandler):
    """A made-up tracker: links of its form lead to the shop, others nowhere."""

    def do_GET(self) -> None:
        is_known = self.path.startswith("/f/a/5TmBPmvTqjKFBk5dO3l0_w~~/AAAAARA~/RgRl")
        self.send_response(302 if is_known else 404)
        if is_known:
            self.send_header("Location", TARGET)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def old_tracker() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), OldTracker) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Move:
    """Someone who follows the page, on one machine where DNS has nothing to say."""

    def __init__(self, folder: Path, old: str) -> None:
        (port,) = find_free_ports(1)
        self.folder = folder
        self.names = {
            OLD_NAME: old, "127.0.0.1:8080": f"127.0.0.1:{port}",
            f'"{DOMAIN}': f'"http://127.0.0.1:{port}',
        }  # fmt: skip
        self.tracker: Server | None = None
        self.beginning = ""

    def here(self, text: str) -> str:
        """A text of the page with the addresses that there are on this machine."""
        for name, address in self.names.items():
            text = text.replace(name, address)
        return text

    def follow(self, block: Block) -> str:
        """Do what a block says; what is printed."""
        text = self.here(block.text)
        if block.language == "toml":
            (self.folder / block.role).write_text(text, encoding="utf-8")
        elif "where()" in text:
            self.beginning = text
        elif text.startswith("msys-track tracker "):
            self.start(text)
        elif block.language == "sh":
            ended = shell(self.folder, self.beginning + text)
            # 47: curl stops where it was told to, at the second redirect of step 5.
            assert ended.code in (0, 47), ended.errors
            if "refuse" in text:  # the page lets the tracker start again
                self.restart()
            return ended.output.decode()
        return ""

    def start(self, command: str) -> None:
        self.command = command.split()[1:]
        self.tracker = Server(self.folder, *self.command).listening()

    def restart(self) -> None:
        assert self.tracker is not None
        self.tracker.stop()
        closed = self.tracker.event("tracker.closed")
        assert closed["handed_on"] == 2  # steps 3 and 5
        self.start(" ".join(["msys-track", *self.command]))


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's commands need curl")
def test_a_domain_is_moved_as_the_page_says(tmp_path: Path, old_tracker: str) -> None:
    move = Move(tmp_path, old_tracker)
    printed = ""
    shown = 0
    try:
        for block in BLOCKS:
            if block.language == "text":
                lines = [line.rstrip() for line in printed.splitlines()]
                assert lines == move.here(block.text).splitlines(), block.heading
                shown += 1
            else:
                printed = move.follow(block)
    finally:
        if move.tracker is not None:
            move.tracker.kill()
    assert shown == 6
