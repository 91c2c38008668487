"""What stands in an `href`, and whether it leads to the web."""

import re
from typing import Final

_VALUE: Final = r"""(?<![\w-])href\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"'][^\s>]*))"""
HREF: Final = re.compile(_VALUE, re.IGNORECASE)
"""An `href` of any tag in markup; one of its three groups is the value as it stands."""
HREF_BYTES: Final = re.compile(_VALUE.encode("ascii"), re.IGNORECASE)

_HTTP: Final = re.compile(r"https?://[\\/]*[^\\/?#]", re.IGNORECASE)
_BLANK: Final = "".join(map(chr, range(0x21)))  # URL Standard, "C0 control or space"
_REMOVED: Final = re.compile(r"[\t\r\n]")  # URL Standard, section 4.4


def leads_to_web(href: str) -> bool:
    """Tell whether a browser takes an `href` for http:// or https:// and a host.

    `https:example.com` and what is relative to a `<base>` is left alone by everybody: mail
    clients treat both in their own ways.
    """
    return _HTTP.match(trim_url(href)) is not None


def has_web_scheme(href: str) -> bool:
    """Tell whether an `href` begins as one that leads to the web, with or without a host.

    Templates have `http://` alone, which leads nowhere: tracking it is no damage.
    """
    return trim_url(href)[:8].lower().startswith(("http://", "https://"))


def trim_url(url: str) -> str:
    """Return what a browser keeps of the value of an `href`, without character references."""
    return _REMOVED.sub("", url.strip(_BLANK))
