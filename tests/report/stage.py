"""A report that runs as users have it, on a store of its own, and somebody who asks it by HTTP."""

import http.client
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from tests.ports import find_free_ports
from tests.processes import PATIENCE_SECONDS, Server
from tests.report import made_day
from tests.users import PASSWORD, write_users

STORE: Final = "events.sqlite"
KEPT_MAIL: Final = "kept-mail"
_TOKEN: Final = re.compile('name="token" value="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Stage:
    """A report that answers.

    Attributes:
        folder: Where its files are.
        port: Where it listens, on 127.0.0.1.
        server: Its process.
    """

    folder: Path
    port: int
    server: Server

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def visitor(self) -> "Visitor":
        """Return somebody who has not logged in."""
        return Visitor(self.port)


def start(folder: Path, lines: Sequence[bytes], *users: str, store: Path | None = None) -> Stage:
    """Start a report that shows these events, or a store that is there."""
    if store is None:
        made_day.fill_store(folder / STORE, list(lines))
    write_users(folder / "users.toml", *users)
    (port,) = find_free_ports(1)
    (folder / "msys-track.toml").write_text(
        f'[report]\nlisten = "127.0.0.1:{port}"\nusers = "users.toml"\n'
        f'store = "{store or STORE}"\n[kept_mail]\nfolder = "{KEPT_MAIL}"\n',
        encoding="utf-8",
    )
    return Stage(folder, port, Server(folder, "report").listening())


@dataclass(frozen=True, slots=True)
class Answer:
    """What the report said.

    Attributes:
        status: Its status.
        headers: Its headers, as they came.
        body: Its body.
    """

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def location(self) -> str:
        """Where it leads."""
        return str(self.headers.get("Location", ""))


@dataclass(slots=True)
class Visitor:
    """Asks over connections of its own, and keeps cookies as a browser does."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(
        self,
        path: str,
        form: Mapping[str, str] | None = None,
        *,
        method: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask for a path as it is, or send a form."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        sent = {"Cookie": "; ".join(f"{name}={each}" for name, each in self.cookies.items())}
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        body = None if form is None else urlencode(form)
        method = method or ("GET" if form is None else "POST")
        try:
            client.request(method, path, body, {**sent, **(headers or {})})
            got = client.getresponse()
            answer = Answer(got.status, got.headers, got.read())
        finally:
            client.close()
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def log_in(self, user: str = "shop", password: str = PASSWORD) -> Answer:
        """Log in with the form."""
        token = self.find_token("/login")
        return self.ask("/login", {"token": token, "user": user, "password": password})

    def find_token(self, path: str) -> str:
        """Return the token of the form of a page."""
        found = _TOKEN.search(self.ask(path).text)
        assert found is not None
        return found[1]
