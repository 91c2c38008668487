"""`msys-track` for shells: what it is asked is done by a process of the nursery.

It stands on their PATH for as long as there is a nursery (tests/nursery.py), passes on its
arguments, environment, folder, standard streams, limits and signals, and ends as the process ends.
Where that can't be done it becomes the command itself. It imports little: a shell may start it
hundreds of times.
"""

import json
import os
import resource
import signal
import socket
import sys

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_LIMITS = ("RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_AS")
_OF_INTERPRETERS = ("PYTHON", "LC_", "LANG", "LD_")


def _describe(command: str) -> bytes:
    umask = os.umask(0)
    os.umask(umask)
    start = {
        "arguments": [command, *sys.argv[1:]],
        "folder": os.getcwd(),  # noqa: PTH109 - pathlib takes long to import
        "environment": dict(os.environ),
        "numbers": [0, 1, 2],
        "umask": umask,
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in _LIMITS},
    }
    return json.dumps(start).encode()


def _ask(command: str, place: str, interpreter_variables: dict[str, str]) -> int:
    own = {k: v for k, v in os.environ.items() if k.startswith(_OF_INTERPRETERS)}
    if own != interpreter_variables:
        raise OSError("the nursery's interpreter was started with other variables")
    for number in (0, 1, 2):
        os.fstat(number)  # a stream that is closed can't be handed over
    reporting, reported = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking, reported:
        asking.connect(place)
        socket.send_fds(asking, [_describe(command)], [reported.fileno(), 0, 1, 2])
    pid = int(reporting.recv(64))
    for number in _SIGNALS:
        signal.signal(number, lambda number, _: os.kill(pid, number))
    return int(reporting.recv(64))


def main(command: str, place: str, interpreter_variables: dict[str, str]) -> None:
    """Let the nursery do it, and end as it ends."""
    try:
        code = _ask(command, place, interpreter_variables)
    except OSError:
        os.execv(command, [command, *sys.argv[1:]])  # noqa: S606 - our own command
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
