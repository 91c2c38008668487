"""The report as an ASGI application: its routes, the headers of every answer, its errors."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from msys_track.errors import SinkError
from msys_track.report.period import PeriodError
from msys_track.report.settings import ReportSettings
from msys_track.report.text import TEXT
from msys_track.sinks.store.reading import Store, open_store

Answer = TypeVar("Answer")

_FOLDER: Final = Path(__file__).parent

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
}


def make_app(
    settings: ReportSettings,
    store: Path,
    routes: Sequence[BaseRoute],
    *,
    kept_mail: Path | None = None,
) -> Starlette:
    """Make the application.

    Args:
        settings: Its settings.
        store: What it shows.
        routes: Those of the pages and APIs.
        kept_mail: Where mail for click maps is kept, if any is.
    """
    app = Starlette(
        routes=[*routes, Mount("/static", StaticFiles(directory=_FOLDER / "static"))],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={
            HTTPException: _show_http_error,
            PeriodError: _show_bad_query,
            SinkError: _show_store_error,
            Exception: _show_defect,
        },
    )
    app.state.settings = settings
    app.state.store = store
    app.state.kept_mail = kept_mail
    app.state.templates = _load_templates()
    return app


async def ask_store(request: Request, read: Callable[[Store], Answer]) -> Answer:
    """Read the store in a thread; it is opened for reading only.

    Raises:
        SinkError: it can't be read; the text says what to do.
    """

    def ask() -> Answer:
        with open_store(request.app.state.store) as store:
            return read(store)

    return await run_in_threadpool(ask)


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """Make a page of a template: all text in it is escaped."""
    templates: Jinja2Templates = request.app.state.templates
    return templates.TemplateResponse(request, template, values, status_code=status)


def translate(key: str, **values: object) -> str:
    """Return the report's text for a key, with values in its places."""
    return TEXT[key].format(**values) if values else TEXT[key]


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


def _load_templates() -> Jinja2Templates:
    templates = Jinja2Templates(directory=_FOLDER / "templates")
    templates.env.autoescape = True
    templates.env.trim_blocks = templates.env.lstrip_blocks = True
    templates.env.globals["t"] = translate
    return templates


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
    return render(request, "error.html", status=500, text=translate("error.500"))
