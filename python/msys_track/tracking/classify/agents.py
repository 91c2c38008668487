"""What a user agent's name says: its browser and device, and which rules it fits.

A name is looked at once; names repeat, so a bounded number of results is kept.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from msys_track.events import Finding
from msys_track.extras import needed_extra
from msys_track.tracking.classify.browsers import find_release
from msys_track.tracking.classify.rules import Rule

_MAX_EVIDENCE: Final = 100
_MAX_KEPT: Final = 10_000

APPLE: Final = "Mozilla/5.0"
"""What Apple's Mail Privacy Protection calls itself, exactly."""

_PROXIES: Final = (
    (Rule.GMAIL_PROXY, re.compile("GoogleImageProxy")),
    (Rule.YAHOO_PROXY, re.compile("YahooMailProxy")),
)
# In lower case. Searching for each is ten times as fast as one pattern for all of them.
_SCANNERS: Final = (
    "barracuda", "microsoft office existence discovery", "proofpoint", "urldefense", "mimecast",
    "ironport", "cisco secure", "trendmicro", "trend micro", "tmhtload", "symantec", "messagelabs",
    "forcepoint", "websense", "fireeye", "trellix", "sophos", "zscaler", "checkpoint", "avanan",
    "vade secure", "safelinks", "urlscan", "virustotal", "bitdefender", "kaspersky", "eset/",
    "phishtank", "netcraft",
)  # fmt: skip
_LIBRARIES: Final = (
    "python-requests", "python-urllib", "python-httpx", "aiohttp/", "scrapy", "go-http-client",
    "curl/", "wget/", "java/", "apache-httpclient", "okhttp/", "jakarta", "libwww-perl", "lwp::",
    "ruby", "faraday", "node-fetch", "axios/", "undici", "got (", "guzzle", "php/", "winhttp",
    "powershell", "dart/", "headlesschrome", "phantomjs", "puppeteer", "playwright", "selenium",
    "slimerjs", "casperjs",
)  # fmt: skip
_CRAWLERS: Final = (
    "bot", "crawl", "spider", "slurp", "facebookexternalhit", "whatsapp/", "skypeuripreview",
    "linkpreview", "link preview", "mediapartners", "archiver", "scanner",
)  # fmt: skip
# "cubot" is a maker of telephones.
_BOT: Final = re.compile(r"(?<!cu)bot\b|(?<!cu)bot[/;_-]")

_Value = TypeVar("_Value")


class Kept(Generic[_Value]):
    """Keeps what a function returned, of its last calls at least half of `size`."""

    __slots__ = ("_make", "_older", "_size", "_younger")

    def __init__(self, make: Callable[[str], _Value], size: int = _MAX_KEPT) -> None:
        self._make = make
        self._size = size // 2
        self._younger: dict[str, _Value] = {}
        self._older: dict[str, _Value] = {}

    def __call__(self, key: str) -> _Value:
        """Return what the function returns."""
        found = self._younger.get(key)
        if found is not None:
            return found
        found = self._older.get(key)
        if found is None:
            found = self._make(key)
        if len(self._younger) >= self._size:
            self._older, self._younger = self._younger, {}
        self._younger[key] = found
        return found


@dataclass(frozen=True, slots=True)
class Agent:
    """What one user agent's name says.

    Attributes:
        parsed: SparkPost's `user_agent_parsed`, but for what the verdict decides.
        is_proxy: Whether it is a proxy that shows images to people.
        findings: The rules that it fits, in their order; an old browser is not one yet.
        browser: Which browser it says it is, where its release is known.
        released: When that was released, in Unix seconds.
    """

    parsed: Mapping[str, str | bool]
    is_proxy: bool
    findings: tuple[tuple[Rule, Finding], ...]
    browser: str = ""
    released: float = float("inf")


def read_agent(name: str) -> Agent:
    """Read a user agent's name; an empty one is none.

    Raises:
        MissingExtraError: the extra `tracker` is not installed.
    """
    if not name.strip():
        return Agent({}, is_proxy=False, findings=(_find(Rule.NO_USER_AGENT, "none"),))
    with needed_extra("tracker", "reading user agents"):
        from ua_parser import parse  # noqa: PLC0415 - a proxy without readers never needs it
    result = parse(name)
    agent, system, device = result.user_agent, result.os, result.device
    version = [] if system is None else [system.major, system.minor, system.patch]
    parsed: dict[str, str | bool | None] = {
        "agent_family": agent.family if agent else None,
        "device_brand": device.brand if device else None,
        "device_family": device.family if device else None,
        "os_family": system.family if system else None,
        "os_version": ".".join(each for each in version if each),
        "is_mobile": _is_mobile(name),
    }
    known = {key: value for key, value in parsed.items() if value or value is False}
    is_spider = device is not None and device.family == "Spider"
    if name == APPLE:
        return Agent(known, is_proxy=False, findings=(_find(Rule.APPLE_PROXY, name),))
    for rule, pattern in _PROXIES:
        if found := pattern.search(name):
            return Agent(known, is_proxy=True, findings=(_find(rule, found[0]),))
    findings = []
    lower = name.lower()
    if word := _find_word(lower, _SCANNERS):
        findings.append(_find(Rule.SCANNER_NAME, word))
    if word := _find_word(lower, _LIBRARIES):
        findings.append(_find(Rule.LIBRARY_NAME, word))
    crawler = _find_word(lower, _CRAWLERS)
    if crawler == "bot" and _BOT.search(lower) is None:
        crawler = ""
    if crawler and is_spider:
        findings.append(_find(Rule.CRAWLER_NAME, crawler))
    elif crawler or is_spider:
        findings.append(_find(Rule.CRAWLER_HINT, crawler or "a spider"))
    browser, released = find_release(name) or ("", float("inf"))
    return Agent(known, False, tuple(findings), browser, released)  # noqa: FBT003


def _find(rule: Rule, evidence: str) -> tuple[Rule, Finding]:
    return rule, Finding(rule.value, evidence[:_MAX_EVIDENCE])


def _find_word(lower: str, words: tuple[str, ...]) -> str:
    for word in words:
        if word in lower:
            return word
    return ""


def _is_mobile(name: str) -> bool:
    return "Mobile" in name or "Android" in name or "iPhone" in name or "iPad" in name
