"""The rules of classification, in the order in which they may decide.

`docs/classification.md` has a line for each, made from these.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from msys_track.events import ReaderClass


class Rule(StrEnum):
    """What can show who made an event; the first one that decides gives the class."""

    PREFETCH_HEADER = "prefetch_header"
    HEAD_BEFORE_GET = "head_before_get"
    APPLE_PROXY = "apple_proxy"
    GMAIL_PROXY = "gmail_proxy"
    YAHOO_PROXY = "yahoo_proxy"
    OUTLOOK_PROXY = "outlook_proxy"
    NETWORK = "network"
    SCANNER_NAME = "scanner_name"
    LIBRARY_NAME = "library_name"
    NO_USER_AGENT = "no_user_agent"
    CRAWLER_NAME = "crawler_name"
    CRAWLER_HINT = "crawler_hint"
    OLD_BROWSER = "old_browser"
    HOSTILE_SUFFIX = "hostile_suffix"
    BURST = "burst"
    ALL_LINKS = "all_links"
    BEFORE_DELIVERY = "before_delivery"
    SOON = "soon"


class Effect(NamedTuple):
    """What a rule leads to."""

    reader_class: ReaderClass
    text: str
    """When it fits, in Markdown."""
    is_weak: bool = False
    """Whether it decides a click alone, but an open only together with another weak one."""


EFFECTS: Final[dict[Rule, Effect]] = {
    Rule.PREFETCH_HEADER: Effect(
        ReaderClass.PREFETCH,
        "the request says so: `Sec-Purpose`, `Purpose`, `X-Purpose` or `X-Moz`",
    ),
    Rule.HEAD_BEFORE_GET: Effect(
        ReaderClass.SCANNER,
        "a HEAD for a link of the same message came before, from the same network "
        "(/24, or /48 of IPv6), within `head_seconds`",
    ),
    Rule.APPLE_PROXY: Effect(
        ReaderClass.PREFETCH,
        "Apple's Mail Privacy Protection: the user agent is exactly `Mozilla/5.0`, or a pixel is "
        "loaded from `apple_egress` without a browser's name",
    ),
    Rule.GMAIL_PROXY: Effect(
        ReaderClass.PROXY,
        "the user agent has `GoogleImageProxy`; within `proxy_prefetch_seconds` of the "
        "injection it is a `prefetch`",
    ),
    Rule.YAHOO_PROXY: Effect(
        ReaderClass.PROXY,
        "the user agent has `YahooMailProxy`; a `prefetch` as above",
    ),
    Rule.OUTLOOK_PROXY: Effect(
        ReaderClass.PROXY,
        "a pixel is loaded from Microsoft's networks (`asn_database`), as for readers of "
        "Outlook.com; a `prefetch` as above",
    ),
    Rule.NETWORK: Effect(
        ReaderClass.SCANNER,
        "the address is in a file of `networks`, which says the class; or a click comes from "
        "Microsoft's or Mimecast's networks (`asn_database`)",
    ),
    Rule.SCANNER_NAME: Effect(
        ReaderClass.SCANNER, "the user agent names a scanner of mail gateways"
    ),
    Rule.LIBRARY_NAME: Effect(
        ReaderClass.BOT, "the user agent names a program's library, or a browser that nobody sees"
    ),
    Rule.NO_USER_AGENT: Effect(ReaderClass.BOT, "the request has no user agent, or an empty one"),
    Rule.CRAWLER_NAME: Effect(
        ReaderClass.BOT,
        "the user agent reads like a crawler's, and `ua-parser` calls its device a spider",
    ),
    Rule.CRAWLER_HINT: Effect(ReaderClass.BOT, "only one of those two says so", is_weak=True),
    Rule.OLD_BROWSER: Effect(
        ReaderClass.SCANNER,
        "the browser was released more than `old_browser_days` before the injection, and stands "
        "on a system where it updates by itself",
        is_weak=True,
    ),
    Rule.HOSTILE_SUFFIX: Effect(
        ReaderClass.SCANNER, "a true link is followed by what attacks web servers"
    ),
    Rule.BURST: Effect(
        ReaderClass.SCANNER,
        "`burst_links` different links of a message, or `burst_hits` clicks, within "
        "`burst_seconds`",
    ),
    Rule.ALL_LINKS: Effect(
        ReaderClass.SCANNER,
        "every link of a message, at least `burst_links`, within `all_links_seconds`",
    ),
    Rule.BEFORE_DELIVERY: Effect(
        ReaderClass.SCANNER,
        "the mail was not yet accepted by the upstream (where `injection` events are written)",
    ),
    Rule.SOON: Effect(
        ReaderClass.SCANNER,
        "less than `soon_seconds` after the injection",
        is_weak=True,
    ),
}

ORDER: Final = {rule: place for place, rule in enumerate(Rule)}
