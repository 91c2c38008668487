"""Judges who made a hit: the rules that it fits, and the first of them that decides."""

from collections.abc import Mapping
from typing import Any, Final

from msys_track.events import Finding, ReaderClass, Verdict
from msys_track.tracking.classify.agents import APPLE, Agent, Kept, read_agent
from msys_track.tracking.classify.networks import MICROSOFT, Networks, Place
from msys_track.tracking.classify.rules import EFFECTS, ORDER, Rule
from msys_track.tracking.classify.settings import ClassificationSettings
from msys_track.tracking.classify.windows import Windows

_OPENS: Final = frozenset({"open", "initial_open", "amp_open", "amp_initial_open"})
_IMAGE_PROXIES: Final = frozenset({Rule.GMAIL_PROXY, Rule.YAHOO_PROXY, Rule.OUTLOOK_PROXY})
_HUMAN: Final = Verdict(ReaderClass.HUMAN)
_NOWHERE: Final = Place()
_ENOUGH_WEAK: Final = 2
_MACHINES: Final = frozenset(
    {ReaderClass.PREFETCH, ReaderClass.PROXY, ReaderClass.SCANNER, ReaderClass.BOT}
)

_Found = tuple[Rule, Finding, ReaderClass]


class Classifier:
    """Judges hits.

    Args:
        settings: The rules' windows.
        networks: What is known of addresses.
        windows: Remembers hits; None: each hit is judged by itself.

    Attributes:
        knows_places: Whether there is a file that says something of addresses.
        agents: What is known of a user agent's name.
        places: What is known of an address.
    """

    def __init__(
        self,
        settings: ClassificationSettings | None = None,
        networks: Networks | None = None,
        windows: Windows | None = None,
    ) -> None:
        self._settings = ClassificationSettings() if settings is None else settings
        self._off = frozenset(self._settings.off)
        self._windows = windows
        self.knows_places = networks is not None
        self._old_seconds = self._settings.old_browser_days * 86_400
        self.agents = Kept(read_agent)
        self.places = Kept((networks or Networks()).look_up)

    def classify(self, hit: Mapping[str, Any]) -> Verdict:
        """Judge a hit, as a line of a hit log has it."""
        get = hit.get
        request = get("request")
        found: list[_Found] = []
        if request is not None and "purpose" in request:
            found.append(_find(Rule.PREFETCH_HEADER, str(request["purpose"])))
        name, address = get("agent"), get("address")
        if name is None and address is None:
            # Left out on the sender's wish: nobody knows, and messages can't be told apart.
            return self._decide(found, is_open=False) if found else _UNKNOWN
        is_open = hit["kind"] in _OPENS
        agent = self.agents(name or "")
        place = self.places(address) if self.knows_places and address is not None else _NOWHERE
        # `injected_at` is in whole seconds.
        age = hit["at"] / 1000 - get("injected_at", 0)
        if agent.is_proxy or name == APPLE:
            found += [self._judge_proxy(rule, finding, age) for rule, finding in agent.findings]
            return self._decide(found, is_open=is_open)
        if is_open and (proxy := self._find_proxy(name or "", place, age)):
            return self._decide([*found, proxy], is_open=is_open)
        self._judge_client(found, hit, agent, place, is_open=is_open)
        if request is not None and "suffix" in request:
            found.append(_find(Rule.HOSTILE_SUFFIX, str(request["suffix"])[:_MAX_SHOWN]))
        if age < self._settings.soon_seconds:
            found.append(_find(Rule.SOON, f"{age:.1f} s"))
        if self._windows is not None and (together := self._windows.find(hit)):
            found += [(rule, finding, EFFECTS[rule].reader_class) for rule, finding in together]
            found.sort(key=lambda each: ORDER[each[0]])
        return self._decide(found, is_open=is_open) if found else _HUMAN

    def _judge_client(
        self,
        found: list[_Found],
        hit: Mapping[str, Any],
        agent: Agent,
        place: Place,
        *,
        is_open: bool,
    ) -> None:
        """Add what address and user agent show."""
        if place.network is not None or place.system:
            network = place.find_network(is_open=is_open)
            if network is not None:
                finding = Finding(Rule.NETWORK.value, network[1])
                found.append((Rule.NETWORK, finding, network[0].reader_class))
        for rule, finding in agent.findings:
            found.append((rule, finding, EFFECTS[rule].reader_class))
        if agent.browser and agent.released + self._old_seconds < hit.get("injected_at", 0):
            found.append(_find(Rule.OLD_BROWSER, agent.browser))

    def _find_proxy(self, name: str, place: Place, age: float) -> _Found | None:
        """Find the mail proxy that loads a pixel, where its address says so."""
        # A browser names its system in parentheses: people use the same relays.
        if place.is_apple and "(" not in name:
            return _find(Rule.APPLE_PROXY, "address of Apple's")
        if place.system in MICROSOFT:
            rule = Rule.OUTLOOK_PROXY
            return self._judge_proxy(rule, Finding(rule.value, f"AS{place.system}"), age)
        return None

    def _judge_proxy(self, rule: Rule, finding: Finding, age: float) -> _Found:
        if rule in _IMAGE_PROXIES and age < self._settings.proxy_prefetch_seconds:
            evidence = f"{finding.evidence}, {age:.1f} s after injection"
            return rule, Finding(finding.rule, evidence), ReaderClass.PREFETCH
        return rule, finding, EFFECTS[rule].reader_class

    def _decide(self, found: list[_Found], *, is_open: bool) -> Verdict:
        if self._off:
            found = [each for each in found if each[0] not in self._off]
        weak = sum(EFFECTS[rule].is_weak for rule, _, _ in found)
        counts_weak = not is_open or weak >= _ENOUGH_WEAK
        for rule, finding, reader_class in found:
            if counts_weak or not EFFECTS[rule].is_weak:
                others = (each for _, each, _ in found if each is not finding)
                return Verdict(reader_class, (finding, *others))
        return Verdict(ReaderClass.HUMAN, tuple(finding for _, finding, _ in found))


def is_machine(reader_class: ReaderClass) -> bool:
    """Whether a class is one of machines."""
    return reader_class in _MACHINES


def describe_agent(agent: Agent, reader_class: ReaderClass) -> Mapping[str, str | bool]:
    """Return SparkPost's `user_agent_parsed`."""
    return {
        **agent.parsed,
        "is_prefetched": reader_class is ReaderClass.PREFETCH,
        "is_proxy": agent.is_proxy or reader_class is ReaderClass.PROXY,
    }


def _find(rule: Rule, evidence: str) -> _Found:
    return rule, Finding(rule.value, evidence), EFFECTS[rule].reader_class


_UNKNOWN: Final = Verdict(ReaderClass.UNKNOWN)
_MAX_SHOWN: Final = 40
