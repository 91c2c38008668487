"""The peers: each is one way to wrap the links of some HTML, as its own documentation shows it.

Each is given its best honest effort: it gets the charset, keeps the doctype where it can, looks at
`a` and `area`, decodes what it looks at, and puts the pixel where the body ends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from msys_track.comparison.peers.links import Links, Start

__all__ = ["Links", "Peer", "Start", "find_peers", "list_missing"]


@dataclass(frozen=True, slots=True)
class Peer:
    """One that is installed."""

    name: str
    version: str
    """Of the installed package; empty if there is none to install."""
    needs: str
    """What to hand to `pip install`; empty if it needs nothing."""
    seals: bool
    """Whether its links are encrypted; the others write one constant URL of the same length."""
    start: Start
    find_target: Callable[[str], str | None] | None = None
    """Opens a URL that it sealed in this process, for a judge: where the link leads."""


@dataclass(frozen=True, slots=True)
class _Known:
    name: str
    module: str
    package: str
    extras: str = ""
    seals: bool = False


_KNOWN: Final = (
    _Known("pytracking", "pytracking_fernet", "pytracking", "[crypto,html]", seals=True),
    _Known("python-lolhtml", "python_lolhtml", "python-lolhtml"),
    _Known("lxml", "lxml_tree", "lxml"),
    _Known("selectolax", "selectolax_tree", "selectolax"),
    _Known("BeautifulSoup", "beautiful_soup", "beautifulsoup4"),
    _Known("careful regex", "careful_regex", ""),
)


def find_peers() -> list[Peer]:
    """Return the peers that are installed, in a fixed order."""
    return [peer for known in _KNOWN if (peer := _find_peer(known)) is not None]


def list_missing() -> list[str]:
    """Return what to hand to `pip install` for the peers that are not installed."""
    return [known.package + known.extras for known in _KNOWN if _find_peer(known) is None]


def _find_peer(known: _Known) -> Peer | None:
    try:
        installed = version(known.package) if known.package else ""
        module = import_module(f"{__name__}.{known.module}")
    except (PackageNotFoundError, ImportError):
        return None
    return Peer(
        name=known.name,
        version=installed,
        needs=known.package + known.extras,
        seals=known.seals,
        start=module.rewriting,
        find_target=getattr(module, "find_target", None),
    )
