"""Somebody who looks at the report: a client of its application, logged in or not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from starlette.routing import BaseRoute
from starlette.testclient import TestClient
from tests.users import CHEAP, PASSWORD

from msys_track.accounts.passwords import PasswordHash
from msys_track.accounts.users import User, Users
from msys_track.report.app import make_app
from msys_track.report.settings import ReportSettings

SETTINGS: Final = ReportSettings()


def make_users(*names: str) -> Users:
    """Make users with the password of all users of tests."""
    return Users(
        [
            User(name=name, password=PasswordHash.make(PASSWORD, cost=CHEAP))
            for name in names or ("shop",)
        ]
    )


def make_stranger(
    store: Path,
    pages: Sequence[BaseRoute] = (),
    *,
    settings: ReportSettings = SETTINGS,
    users: Users | None = None,
    **more: Any,
) -> TestClient:
    """Make a client that has not logged in and follows no redirects; `app` is its application."""
    app = make_app(settings, store, pages, users=users or make_users(), **more)
    return TestClient(app, follow_redirects=False, raise_server_exceptions=False)


def make_visitor(store: Path, pages: Sequence[BaseRoute] = (), **more: Any) -> TestClient:
    """Make a client that is logged in as `shop`."""
    client = make_stranger(store, pages, **more)
    let_in(client)
    return client


def let_in(client: TestClient, name: str = "shop") -> str:
    """Begin a session without the form, and return its cookie."""
    door = client.app.state.door  # type: ignore[attr-defined]
    cookie: str = door.sessions.begin(door.users.find(name))
    client.cookies.set("msys-track", cookie)
    return cookie
