"""How we track a mail that others track too, and the way back from our URLs."""

from collections.abc import Callable
from typing import Final

from msys_track.errors import InvalidTokenError
from msys_track.keys.ring import KeyRing
from msys_track.options.tracking import TrackingOptions

DOMAIN: Final = "click.example.com"
BASE_URL: Final = f"https://{DOMAIN}/"
"""What each tracked URL begins with, peers' too."""
OPTIONS: Final = TrackingOptions(
    open_tracking=True,
    click_tracking=True,
    open_tracking_scheme="https",
    click_tracking_scheme="https",
    tracking_domain=DOMAIN,
)


def make_target_finder(keys: KeyRing) -> Callable[[str], str | None]:
    """Return what opens a tracked URL of ours: where its link leads; None for any other URL."""

    def find_target(url: str) -> str | None:
        try:
            return keys.open(url.removeprefix(BASE_URL[:-1])).target
        except InvalidTokenError:
            return None

    return find_target
