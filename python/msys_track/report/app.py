"""The report as an ASGI application: its routes, the headers of every answer, its errors."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from msys_track.accounts.users import Users
from msys_track.errors import SinkError
from msys_track.logs import event_logger
from msys_track.report import live, login
from msys_track.report.live import Live
from msys_track.report.login import Door, LoggedIn
from msys_track.report.period import PeriodError
from msys_track.report.rendering import ask_store, load_templates, render, translate
from msys_track.report.settings import ReportSettings
from msys_track.report.text import TEXT

__all__ = ["PAGE_POLICY", "SecurityHeaders", "ask_store", "make_app", "render", "translate"]

log = event_logger(__name__)

PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_STATIC: Final = Path(__file__).parent / "static"


def make_app(  # noqa: PLR0913 - what an application is made of
    settings: ReportSettings,
    store: Path,
    pages: Sequence[BaseRoute],
    *,
    apis: Sequence[BaseRoute] = (),
    users: Users | None = None,
    kept_mail: Path | None = None,
    count: Callable[[str], None] = lambda _: None,
) -> Starlette:
    """Make the application.

    Args:
        settings: Its settings.
        store: What it shows.
        pages: Routes of pages: only who has logged in reaches them.
        apis: Routes that check for themselves who asks.
        users: Who may log in; None: nobody.
        kept_mail: Where mail for click maps is kept, if any is.
        count: Counts what happens (`metrics.REPORT`).
    """
    behind = Router([*pages, *live.ROUTES], redirect_slashes=False, middleware=[_LOGGED_IN])
    app = Starlette(
        routes=[
            Route("/healthz", _show_health, methods=["GET"]),
            *login.ROUTES,
            Mount("/static", _Static(directory=_STATIC)),
            *apis,
            # Behind it is everything else, so that a stranger learns no path.
            Mount("", behind),
        ],
        middleware=_list_middleware(settings, count),
        exception_handlers={
            HTTPException: _show_http_error,
            PeriodError: _show_bad_query,
            SinkError: _show_store_error,
            Exception: _show_defect,
        },
    )
    # It would answer with an address made of the `Host` that a client sent.
    app.router.redirect_slashes = False
    app.state.settings = settings
    app.state.store = store
    app.state.kept_mail = kept_mail
    app.state.templates = load_templates()
    app.state.door = Door(
        users if users is not None else Users(()),
        session_hours=settings.session_hours,
        idle_minutes=settings.idle_minutes,
        count=count,
    )
    app.state.live = Live(store)
    return app


def _list_middleware(
    settings: ReportSettings, count: Callable[[str], None]
) -> Sequence[Middleware]:
    listed = [Middleware(SecurityHeaders), Middleware(Record, count=count)]
    if settings.trusted_proxies:
        trusted = [str(each) for each in settings.trusted_proxies]
        listed.append(Middleware(ProxyHeadersMiddleware, trusted_hosts=trusted))
    if settings.hosts:
        hosts = [each.lower() for each in settings.hosts]
        listed.append(Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False))
    return listed


class SecurityHeaders:
    """Adds to every answer the headers that it has not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.encode(), value.encode())
                        for name, value in _HEADERS.items()
                        if name.lower().encode() not in given
                    ),
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class Record:
    """Logs each request by its route: paths and queries have addresses in them."""

    def __init__(self, app: ASGIApp, count: Callable[[str], None]) -> None:
        self._app = app
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception:
            self._count("report.failures")
            log.exception("report.failed", route=_find_route(scope))
            raise
        finally:
            self._count("report.requests")
            state = scope.get("state", {})
            session = state.get("session")
            log.info(
                "report.answered",
                method=scope["method"],
                route=_find_route(scope),
                status=status,
                user=session.user if session is not None else None,
                api_key=state.get("api_key"),
                milliseconds=round(1000 * (time.monotonic() - began), 1),
            )


class _Static(StaticFiles):
    """Our own files: browsers may keep them, and ask each time whether they are still good."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


_LOGGED_IN: Final = Middleware(LoggedIn)


def _find_route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "") or "-"


async def _show_health(request: Request) -> Response:  # noqa: ARG001 - a handler
    return PlainTextResponse("ok\n")


async def _show_http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    key = f"error.{status}" if f"error.{status}" in TEXT else "error.other"
    headers = error.headers if isinstance(error, HTTPException) else None
    page = render(request, "error.html", status=status, text=translate(key))
    page.headers.update(headers or {})
    return page


async def _show_bad_query(request: Request, error: Exception) -> Response:
    return render(request, "error.html", status=400, text=str(error))


async def _show_store_error(request: Request, error: Exception) -> Response:
    return render(request, "error.html", status=503, text=str(error))


async def _show_defect(request: Request, error: Exception) -> Response:  # noqa: ARG001
    page = render(request, "error.html", status=500, text=translate("error.500"))
    page.headers.update(_HEADERS)  # it is made outside of all middleware
    return page
