"""The report with SparkPost's APIs, as a server over TLS with a store of its own."""

import http.client
import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.certificates import Certificate, make_certificate

from msys_track.databases import open_database, transaction
from msys_track.report.settings import ReportSettings
from msys_track.report.sparkpost.api_keys import Scope, make_api_key
from msys_track.sinks.store.form import FORM
from msys_track.sinks.store.sink import insert

pytest.importorskip("starlette", reason="the extra [report] is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the extra [report] is not installed")

_PATIENCE_SECONDS = 60.0


def store_events(path: Path, lines: Iterable[bytes]) -> None:
    """Store events as a sink does; the file is made if it is not there."""
    with closing(open_database(path, FORM, 5)) as connection, transaction(connection):
        insert(connection, lines, int(time.time()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A report that runs.

    Attributes:
        port: Of 127.0.0.1.
        key: An API key for everything.
        keys: The file of keys.
        store: What is read.
    """

    port: int
    key: str
    keys: Path
    store: Path
    certificate: Certificate

    def get(
        self, path: str, *, key: str | None = None, method: str = "GET", **query: Any
    ) -> tuple[int, Any]:
        """Ask for a path, and return the status and the JSON of the answer."""
        headers = {"Authorization": self.key if key is None else key}
        target = f"{path}?{urlencode(query)}" if query else path
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=self.certificate.trust(), timeout=_PATIENCE_SECONDS
        )
        with closing(connection):
            connection.request(method, target, headers={k: v for k, v in headers.items() if v})
            answer = connection.getresponse()
            body = answer.read()
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.headers["Cache-Control"] == "no-store"
            return answer.status, json.loads(body) if body else None

    def results(self, path: str, **query: Any) -> Any:
        """Return the results of an answer that has some."""
        status, answer = self.get(path, **query)
        assert status == 200, answer
        return answer["results"]


@contextmanager
def serve(folder: Path, lines: Iterable[bytes]) -> Iterator[Served]:
    """Serve a store of these events."""
    from msys_track.report.app import make_app  # noqa: PLC0415 - needs the extra
    from msys_track.report.sparkpost.routes import ROUTES  # noqa: PLC0415

    store, keys = folder / "events.sqlite", folder / "api-keys.toml"
    store_events(store, lines)
    key = make_api_key(keys, "all", Scope)
    certificate = make_certificate(folder)
    app = make_app(ReportSettings(api_keys=keys), store, (), apis=ROUTES)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            port=0,
            log_level="error",
            lifespan="off",
            ssl_certfile=str(certificate.certificate),
            ssl_keyfile=str(certificate.key),
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        ends = time.monotonic() + _PATIENCE_SECONDS
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < ends
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Served(port=port, key=key, keys=keys, store=store, certificate=certificate)
    finally:
        server.should_exit = True
        thread.join()
