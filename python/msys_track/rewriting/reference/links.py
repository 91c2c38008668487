"""Links, wherever they stand: where one leads, and what its sender and the rules ask for it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from msys_track.reasons import Reason

OWN_ATTRIBUTES: Final = frozenset(
    {
        "data-msys-clicktrack",
        "data-msys-linkname",
        "data-msys-unsubscribe",
        "data-msys-sublink",
    }
)
_FOREIGN: Final = ("data-pm-no-track", "ses:no-track", "data-no-track")
_FOREIGN_SWITCH: Final = "clicktracking"
_BLANK: Final = " \t\n\f\r"
_MAX_NAME: Final = 63
_SUBLINK: Final = re.compile(
    r"(?:(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.-]{1,64}/)*(?!\.{1,2}\Z)[A-Za-z0-9_.-]{1,64}"
)
_CONTROLS_AND_SPACE: Final = "".join(map(chr, range(0x21)))
_DROPPED: Final = str.maketrans("", "", "\t\r\n")
_HTTP: Final = re.compile(r"https?://", re.IGNORECASE | re.ASCII)
_LOWER: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """What `data-msys-*` asks for one link; names are in lower case."""

    values: Mapping[str, str]

    @property
    def is_opted_out(self) -> bool:
        """Whether it is not to be wrapped."""
        return self._is("data-msys-clicktrack", ("0", "false", "off"))

    @property
    def is_unsubscribe(self) -> bool:
        """Whether following it unsubscribes."""
        return self._is("data-msys-unsubscribe", ("1", "true", "on"))

    @property
    def sublink(self) -> str | None:
        """What stands in its path, if it can."""
        sublink = self.values.get("data-msys-sublink", "").strip(_BLANK)
        return sublink if _SUBLINK.fullmatch(sublink) else None

    @property
    def name(self) -> str | None:
        """Its name, cut to 63 bytes."""
        return cut_name(self.values.get("data-msys-linkname", "")) or None

    def _is(self, name: str, words: Sequence[str]) -> bool:
        value = self.values.get(name)
        return value is not None and lower_ascii(value.strip(_BLANK)) in words


def cut_name(name: str) -> str:
    """Cut a link's name to 63 bytes, at a character."""
    return name.encode("utf-8", "replace")[:_MAX_NAME].decode("utf-8", "ignore")


def is_foreign_opt_out(attributes: Mapping[str, str]) -> bool:
    """Tell whether another product's attribute asks for a link not to be tracked."""
    switch = attributes.get(_FOREIGN_SWITCH)
    is_off = switch is not None and lower_ascii(switch.strip(_BLANK)) == "off"
    return is_off or any(name in attributes for name in _FOREIGN)


def read_target(href: str) -> str:
    """Return what a browser hands to its URL parser (URL Standard, "basic URL parser")."""
    return href.strip(_CONTROLS_AND_SPACE).translate(_DROPPED)


def check_target(target: str) -> Reason | None:
    """Return why a target can't be wrapped, if it can't."""
    protocol = _HTTP.match(target)
    if protocol is None:
        return Reason.NOT_HTTP
    return None if target[protocol.end() :].lstrip("/\\") else Reason.NO_HOST


def is_secure(target: str) -> bool:
    """Tell whether a target that can be wrapped is https."""
    return target[:6].lower() == "https:"


def leads_to_tracker(target: str, domain: str) -> bool:
    """Tell whether a target that can be wrapped is a tracked URL already."""
    host, slash, path = _HTTP.sub("", target, count=1).partition("/")
    is_ours = bool(slash) and lower_ascii(host) == lower_ascii(domain)
    return is_ours and path.startswith(("f/", "q/", "u/"))


def fits_any(target: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a whole target fits one of the patterns of `never_wrap`."""
    lower = lower_ascii(target)
    return any(_compile_pattern(each).fullmatch(lower) is not None for each in patterns)


@lru_cache(maxsize=256)
def _compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a pattern in linear time: each literal is looked for once, where it is first."""
    first, *later = [re.escape(each) for each in lower_ascii(pattern).split("*")]
    if not later:
        return re.compile(first)
    inner = "".join(f"(?>(?s:.*?){each})" for each in later[:-1])
    return re.compile(f"{first}{inner}(?s:.*){later[-1]}")


def lower_ascii(text: str) -> str:
    """Lower the case of ASCII letters alone."""
    return text.translate(_LOWER)
