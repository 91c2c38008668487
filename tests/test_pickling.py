"""Exceptions cross processes: a pool whose worker raises one gets it, and goes on."""

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.forking import FORKING

import msys_track
from msys_track import KeyRing, Rewriter
from msys_track.config.problems import ConfigurationError, Problem
from msys_track.errors import HeaderRefusedError, RecipientError, UpstreamError
from msys_track.reasons import Reason
from msys_track.settings.kinds import NotAllowedError
from msys_track.smtp.reply import Reply
from msys_track.smtpapi.json import JsonError, parse_object

ARGUMENTS = {
    "allowed": "a port",
    "code": 451,
    "description": "per_page must be a number",
    "extension": "smtp_utf8",
    "extra": "kafka",
    "faults": ["a.test: found 1", "b.test: found 2"],
    "field": "tls",
    "found": [1, "two"],
    "line": 7,
    "literal": "NaN",
    "message": "what was wrong",
    "path": Path("msys-track.toml"),
    "position": 3,
    "problems": (Problem(line=3, key="listen", text="found 1", file=Path("other.toml")),),
    "reply": Reply(552, "5.3.4 Too big"),
    "reason": Reason.NOT_HTTP,
    "refused": {},
    "status": 400,
    "taken": ("jo@example.com",),
    "text": "4.3.0 What was\nwrong",
    "what": "found no value",
    "where": "upstream: ",
    "why": "over_size",
}
"""One for each parameter that an exception of ours has."""


def round_trip(value: Any, protocol: int = pickle.DEFAULT_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 - of our own making


ROUND_TRIPS: list[Callable[[Any], Any]] = [
    *(partial(round_trip, protocol=each) for each in range(pickle.HIGHEST_PROTOCOL + 1)),
    copy.copy,
    copy.deepcopy,
]


def exceptions() -> list[type[BaseException]]:
    """Every exception class that a module of the package defines, the core's included."""
    for module in pkgutil.walk_packages(msys_track.__path__, "msys_track."):
        importlib.import_module(module.name)
    below: list[type[BaseException]] = [BaseException]
    for kind in below:
        below += kind.__subclasses__()
    found = {each for each in below if each.__module__.startswith("msys_track")}
    return sorted(found, key=lambda each: (each.__module__, each.__qualname__))


def make_error(kind: type[BaseException]) -> BaseException:
    parameters = inspect.signature(kind.__init__).parameters.values()
    names = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD][1:]
    return kind(*(ARGUMENTS[name] for name in names)) if names else kind("what was wrong", 7)


def facts(error: BaseException) -> tuple[object, ...]:
    return type(error), str(error), error.args, vars(error)


@pytest.mark.parametrize(
    "kind", exceptions(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}"
)
def test_every_exception_survives_pickle_and_copy(kind: type[BaseException]) -> None:
    error = make_error(kind)
    error.add_note("in a worker")
    for round_trip in ROUND_TRIPS:
        assert facts(round_trip(error)) == facts(error)


def test_exceptions_of_all_rooms_are_found() -> None:
    names = {each.__name__ for each in exceptions()}
    assert names >= {
        "ConfigurationError", "ConnectionGoneError", "DataRefusedError", "CommandError",
        "JsonError", "TokenError", "ForbiddenSourceError", "UpstreamError", "_NotANumberError",
    }  # fmt: skip


def test_attributes_that_are_made_of_the_arguments_survive() -> None:
    with pytest.raises(JsonError) as raised:
        parse_object('{\n "a": 1,}')
    fault = round_trip(raised.value)
    assert (fault.line, fault.column, fault.what) == (2, raised.value.column, raised.value.what)
    whole = NotAllowedError.of_items([0], [(0, NotAllowedError(0, "a port"))])
    assert round_trip(whole).faults == whole.faults == ((0, "found 0, allowed: a port"),)
    problems = [Problem(line=3, key="listen", text="found 1")]
    configuration = ConfigurationError(Path("x.toml"), problems)
    copied = round_trip(configuration)
    assert (copied.path, copied.problems) == (Path("x.toml"), tuple(problems))
    assert str(copied) == "x.toml:3: listen: found 1"


def _rewrite(message: bytes, recipient: str) -> None:
    Rewriter(keys=KeyRing.temporary()).copies(message, [recipient], now=1)


def _fail() -> None:
    raise UpstreamError(451, "4.4.1 The upstream can't be used: refused")


def test_a_pool_of_workers_gives_back_what_they_raise_and_goes_on() -> None:
    with ProcessPoolExecutor(1, mp_context=FORKING) as pool:
        message = b"X-MSYS-API: {\r\nSubject: x\r\n\r\nx\r\n"
        header = pool.submit(_rewrite, message, "jo@example.com").exception()
        assert isinstance(header, HeaderRefusedError)
        assert (header.code, str(header)) == (550, f"550 {header.text}")
        recipient = pool.submit(_rewrite, b"\r\n", "Jo <jo@example.com>").exception()
        assert isinstance(recipient, RecipientError)
        upstream = pool.submit(_fail).exception()
        assert isinstance(upstream, UpstreamError)
        assert (upstream.code, upstream.text[:5]) == (451, "4.4.1")
        assert pool.submit(abs, -1).result() == 1
