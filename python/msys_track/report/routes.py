"""All routes of the report: what is behind login, and what checks for itself who asks."""

from collections.abc import Sequence
from typing import Final

from starlette.routing import BaseRoute

from msys_track.report import clickmap, export, pages
from msys_track.report.sparkpost import routes as sparkpost

PAGES: Final[Sequence[BaseRoute]] = (*pages.ROUTES, *export.ROUTES, *clickmap.ROUTES)

APIS: Final[Sequence[BaseRoute]] = (*sparkpost.ROUTES,)
