"""All English of the report: another language is another mapping with the same keys."""

from collections.abc import Mapping
from typing import Final

TEXT: Final[Mapping[str, str]] = {
    "product": "msys-track",
    "skip": "Skip to content",
    "nav.label": "Pages",
    "nav.overview": "Overview",
    "nav.campaigns": "Campaigns",
    "nav.search": "Search",
    "nav.live": "Live",
    "nav.logout": "Log out",
    "error.title": "That did not work",
    "error.400": "The address of the page has something in it that it can't use.",
    "error.403": "This is not allowed.",
    "error.404": "There is no such page. The overview links to all that there are.",
    "error.405": "This can only be looked at.",
    "error.429": "Too many attempts. Wait a few minutes, then try again.",
    "error.500": "The report has a defect; its log says which. The events are not harmed.",
    "error.other": "The request could not be answered.",
    "error.back": "Go to the overview",
}
