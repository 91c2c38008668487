"""Where the system is not POSIX, as Windows, the library and the tracker's application work.

No such system is at hand here: an interpreter without what Windows has not stands in for it. The
workflow for wheels uses the real one.
"""

import os
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "python"

# What CPython documents as "not Windows" and this package uses somewhere.
BARE = """
import importlib.abc, os, signal, socket, sys

ABSENT = {"fcntl", "grp", "pwd", "resource", "syslog", "termios", "tty", "uvloop"}

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
for module, names in {
    os: "geteuid getuid fork fchown chown fchmod posix_fallocate posix_spawn fdatasync pread "
        "pwrite O_DIRECTORY O_NOFOLLOW O_CLOEXEC sched_getaffinity statvfs",
    signal: "pthread_sigmask SIGHUP SIGUSR1 SIGUSR2",
    socket: "SO_REUSEPORT",
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)

# As there: a folder can't be opened, and a file that is open can't be moved or removed.
opened, is_open = {}, os.open
def open_file(path, flags, mode=0o777, **more):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    descriptor = is_open(path, flags, mode, **more)
    opened[descriptor] = os.fspath(path)
    return descriptor
def refuse_open(call):
    def checked(path, *arguments, **more):
        if os.fspath(path) in opened.values():
            raise PermissionError(13, "used by another process", os.fspath(path))
        return call(path, *arguments, **more)
    return checked
close = os.close
def close_file(descriptor):
    opened.pop(descriptor, None)
    close(descriptor)
os.open, os.close = open_file, close_file
os.replace, os.rename, os.unlink = map(refuse_open, (os.replace, os.rename, os.unlink))
"""


def run(folder: Path, program: str) -> str:
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", BARE + program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_mail_is_tracked_with_keys_of_a_file(tmp_path: Path) -> None:
    program = """
from msys_track import KeyRing, TrackingOptions, rewrite
from msys_track.keys import file
file.create("keys.toml")
file.rotate("keys.toml")
keys = KeyRing.load("keys.toml")
options = TrackingOptions(click_tracking=True, tracking_domain="click.example.com")
mail = b'Content-Type: text/html\\r\\n\\r\\n<a href="http://e.com/">x</a>\\r\\n'
copy = rewrite(mail, recipient="jo@example.com", options=options, keys=keys)
path = copy.decode().partition("http://click.example.com/")[2].partition('"')[0]
print(keys.open(path).target)
"""
    assert run(tmp_path, program) == "http://e.com/\n"
    assert [each.name for each in tmp_path.iterdir()] == ["keys.toml"]


def test_the_tracker_s_application_answers_a_click(tmp_path: Path) -> None:
    program = """
import asyncio
from msys_track import KeyRing, TrackingOptions, rewrite
from msys_track.tracking.asgi import TrackerApp
keys = KeyRing.temporary()
options = TrackingOptions(click_tracking=True, tracking_domain="click.example.com")
mail = b'Content-Type: text/html\\r\\n\\r\\n<a href="http://e.com/">x</a>\\r\\n'
copy = rewrite(mail, recipient="jo@example.com", options=options, keys=keys)
path = "/" + copy.decode().partition("http://click.example.com/")[2].partition('"')[0]

async def answer():
    events, sent = [], []
    async def keep(event):
        events.append(event)
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message):
        sent.append(message)
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": [(b"host", b"click.example.com")],
        "client": ("192.0.2.1", 50000), "http_version": "1.1", "scheme": "http",
    }
    await TrackerApp(keys, keep)(scope, receive, send)
    print(sent[0]["status"], [event.type.value for event in events])

asyncio.run(answer())
"""
    assert run(tmp_path, program) == "302 ['click']\n"


def test_a_server_says_that_it_does_not_run_there(tmp_path: Path) -> None:
    program = """
from msys_track.cli import main
sys.argv[0] = "msys-track"
sys.stderr = sys.stdout
try:
    main(["tracker"])
except SystemExit as ended:
    print(ended.code)
"""
    line, code = run(tmp_path, program).splitlines()
    assert line.startswith("`msys-track tracker` needs Python's module ")
    assert line.endswith("which is not part of this Python; servers need Linux or macOS")
    assert code == "2"
