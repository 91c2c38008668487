"""All English of the report: another language is another mapping with the same keys.

Each room of it has a mapping of its own; `TEXT` is all of them.
"""

from collections.abc import Mapping
from typing import Final

_LAYOUT: Final = {
    "product": "msys-track",
    "page.title": "{title} · msys-track",
    "skip": "Skip to content",
    "nav.label": "Pages",
    "nav.overview": "Overview",
    "nav.campaigns": "Campaigns",
    "nav.search": "Search",
    "nav.logout": "Log out",
    "nav.user": "Logged in as {user}.",
    "table.scroll": "{caption}: scroll sideways for more",
}

_ERRORS: Final = {
    "error.title": "That did not work",
    "error.400": "The address of the page has something in it that it can't use.",
    "error.403": "This is not allowed.",
    "error.404": "There is no such page. The overview links to all that there are.",
    "error.405": "This can only be looked at.",
    "error.413": "That is longer than anything this form has.",
    "error.429": "Too many attempts. Wait a few minutes, then try again.",
    "error.500": "The report has a defect; its log says which. The events are not harmed.",
    "error.503": "Too much is asked for at once. Try again in a moment.",
    "error.other": "The request could not be answered.",
    "error.back": "Go to the overview",
}

_LOGIN: Final = {
    "login.title": "Log in",
    "login.user": "User",
    "login.password": "Password",
    "login.submit": "Log in",
    "login.wrong": "The user or the password is wrong.",
    "login.stale": "This form was too old. Log in again.",
    "login.too_often": "Too many attempts. Wait a few minutes, then try again.",
    "login.busy": "Too many people log in at this moment. Try again in a moment.",
}

_LIVE: Final = {
    "live.title": "In the last minute",
    "live.waiting": "Waiting for the first numbers.",
    "live.running": "Counted up to {time} UTC.",
    "live.lost": "The report can't be reached. It is tried again by itself.",
    "live.paused": "Paused.",
    "live.pause": "Pause",
    "live.go_on": "Go on",
    "live.what": "What",
    "live.people": "People",
    "live.machines": "Machines",
    "live.unknown": "Unknown",
    "live.all": "All",
    "live.sent": "Sent",
    "live.open": "Opens",
    "live.click": "Clicks",
    "live.unsubscribe": "Unsubscribes",
}

_PAGES: Final[Mapping[str, str]] = {}

_CLICK_MAP: Final[Mapping[str, str]] = {}

TEXT: Final[Mapping[str, str]] = {
    **_LAYOUT,
    **_ERRORS,
    **_LOGIN,
    **_LIVE,
    **_PAGES,
    **_CLICK_MAP,
}
