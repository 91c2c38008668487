"""How a handler makes a page: a template, its values, and the report's own words."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.templating import Jinja2Templates

from msys_track.report import showing
from msys_track.report.text import TEXT
from msys_track.sinks.store.reading import Store, open_store

Answer = TypeVar("Answer")

_TEMPLATES: Final = Path(__file__).parent / "templates"


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
    values.setdefault("session", getattr(request.state, "session", None))
    return templates.TemplateResponse(request, template, values, status_code=status)


def translate(key: str, **values: object) -> str:
    """Return the report's text for a key, with values in its places."""
    return TEXT[key].format(**values) if values else TEXT[key]


@cache
def load_templates() -> Jinja2Templates:
    """Load what pages are made of, all of it: then the first page is as fast as the others."""
    templates = Jinja2Templates(directory=_TEMPLATES)
    templates.env.autoescape = True
    templates.env.trim_blocks = templates.env.lstrip_blocks = True
    templates.env.globals["t"] = translate
    templates.env.globals["link_message"] = showing.link_message
    templates.env.globals["link_recipient"] = showing.link_recipient
    templates.env.globals["link_campaign"] = showing.link_campaign
    templates.env.globals["make_link"] = showing.make_link
    templates.env.filters.update(
        number=showing.write_number,
        time=showing.write_time,
        rate=showing.write_rate,
        rule=showing.explain_rule,
        reader=showing.name_reader,
        reader_class=showing.name_class,
        event_type=showing.name_type,
    )
    for name in templates.env.list_templates():
        templates.env.get_template(name)
    return templates
