"""The tutorial is run as it stands, from an empty folder to a click in the report."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from html import unescape
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

import pytest
from tests.ports import find_free_ports
from tests.processes import PATIENCE_SECONDS, SHELL, SHELL_VARIABLES, Server, shell
from tests.report.reading import read_tiles
from tests.report.stage import Visitor

from msys_track.tracking.classify.settings import ClassificationSettings

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl was not found")

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = (ROOT / "docs" / "first-mail.md").read_text(encoding="utf-8")
BLOCKS: Final = dict(re.findall(r"^```sh (\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
SHOWN: Final = re.findall(r"^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
RUN: Final = ("init", "keep", "mailbox", "serve", "send", "click", "events", "check")
INIT: Final = "msys-track init"
# The page has the ports that init takes by itself; others are told to it.
_LISTEN: Final = (
    "--listen 127.0.0.1:2525 --tracker-listen 127.0.0.1:8080 --report-listen 127.0.0.1:8026"
)


class Reader:
    """Somebody who types what the page says; only the ports are others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: list[Server] = []
        names = ("2525", "2600", "8080", "8026")
        self.ports = dict(zip(names, find_free_ports(len(names)), strict=True))

    def translate(self, text: str) -> str:
        """Put other ports in a text."""
        return re.sub(
            r"(?<=127\.0\.0\.1:)\d+", lambda port: str(self.ports.get(port[0], port[0])), text
        )

    def type(self, name: str, *changes: tuple[str, str], inside: bool = False) -> str:
        """Run a block to its end, with other words in some places; return what it printed."""
        text = BLOCKS[name]
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        folder = self.folder / "mail-tracking" if inside else self.folder
        ended = shell(folder, "set -e\n" + self.translate(text))
        assert ended.code == 0, (name, ended.output, ended.errors)
        return ended.output.decode()

    def start(self, name: str) -> Server:
        """Start a block that runs until it is stopped; the shell becomes its last command."""
        line = re.sub(r"(^|&& )(?=\S+[^&]*$)", r"\1exec ", self.translate(BLOCKS[name]).strip())
        server = Server(self.folder, line, command=SHELL, env=SHELL_VARIABLES)
        self.servers.append(server)
        return server

    def ask(self, link: str) -> int:
        """Ask for a link as a browser does, but don't go on to where it leads."""
        client = HTTPConnection("127.0.0.1", self.ports["8080"], timeout=PATIENCE_SECONDS)
        headers = {"User-Agent": BROWSER, "Accept": "text/html", "Accept-Language": "en"}
        client.request("GET", link.partition(str(self.ports["8080"]))[2], headers=headers)
        status = client.getresponse().status
        client.close()
        return status


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    found = Reader(tmp_path)
    yield found
    for server in reversed(found.servers):
        server.kill()


def wait_for(find: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not find():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_every_command_of_the_page_is_run_here() -> None:
    assert list(BLOCKS) == ["install", *RUN]
    assert PAGE.count("```sh") == len(BLOCKS)


def test_the_build_that_it_names_is_the_makefile_s() -> None:
    assert "make build\n" in BLOCKS["install"]
    done = subprocess.run(
        ["/usr/bin/env", "make", "--dry-run", "build"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (ROOT / "scripts" / "prerequisites").is_file()  # it names what is missing


@pytest.mark.timeout(120)
def test_the_commands_lead_to_a_click_in_the_report(reader: Reader) -> None:
    printed = reader.type("init", (INIT, f"{INIT} {_LISTEN}"))
    shown = SHOWN[0].partition("…")[0]
    assert printed.startswith(shown)
    password = printed.removeprefix(shown).splitlines()[0]
    reader.type("keep")

    mailbox, serve = reader.start("mailbox"), reader.start("serve")
    serve.listening(3)
    assert sorted(serve.printed) == sorted(reader.translate(SHOWN[1]).splitlines())

    reader.type("send")
    mailbox.until(lambda: any("</html>" in each for each in mailbox.printed))
    mail = "\n".join(mailbox.printed)
    assert "X-MSYS-API" not in mail
    assert mail.count("<img ") == 1
    found = re.search(r'<a href="(http://127\.0\.0\.1:\d+/f/a/[^"]+)"', mail)
    assert found is not None
    link = unescape(found[1])

    # Nobody is as quick as a test; the page says so.
    assert f"Within {ClassificationSettings().soon_seconds:.0f} seconds" in PAGE
    time.sleep(ClassificationSettings().soon_seconds + 1)
    assert reader.ask(link) == 302
    assert reader.type("click", ("http://127.0.0.1:8080/f/a/…", link)) == SHOWN[2]

    visitor = Visitor(reader.ports["8026"])
    assert visitor.log_in("jo", password).status == 303
    wait_for(lambda: read_tiles(visitor.ask("/").text).get("Clicked by machines") == "1")
    tiles = read_tiles(visitor.ask("/").text)
    assert (tiles["Sent"], tiles["Clicked by people"]) == ("1", "1")
    page = visitor.ask("/").text
    assert '<a href="/campaign?name=first+mail&amp;' in page
    clicks = "/campaign/clicks?name=first+mail"
    wait_for(lambda: "<iframe" in visitor.ask(clicks).text)
    assert "100.0 %" in visitor.ask(clicks).text

    events = reader.type("events", inside=True).splitlines()
    assert sum('"type":"click"' in each.replace(" ", "") for each in events) == 2
    checked = shell(reader.folder / "mail-tracking", BLOCKS["check"])
    assert checked.code in {0, 1}, checked.errors
    assert serve.stop().code == 0
