"""Whose an address is: files of networks that the operator fetches, and MaxMind's databases.

A network has a scope, because one and the same may scan links, and show images to people.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

from msys_track.errors import SettingsError, describe_os_error
from msys_track.events import ReaderClass
from msys_track.extras import needed_extra

Scope: TypeAlias = Literal["clicks", "opens", "both"]

_SCOPES: Final[Mapping[str, Scope]] = {each: each for each in get_args(Scope)}
_BITS: Final = {4: 32, 6: 128}
_WORDS: Final = 4
_SCANNER: Final = ReaderClass.SCANNER

# Systems of which it is known what they do with mail.
MICROSOFT: Final = frozenset({8068, 8069, 8074, 8075, 12076})
_SYSTEMS: Final = dict.fromkeys(MICROSOFT, "Microsoft, Safe Links") | {34440: "Mimecast"}


@dataclass(frozen=True, slots=True)
class Network:
    """What is known of a network."""

    scope: Scope
    reader_class: ReaderClass
    name: str

    def covers(self, *, is_open: bool) -> bool:
        """Whether it says something of an open, or else of a click."""
        return self.scope in ("both", "opens" if is_open else "clicks")


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of one address.

    Attributes:
        network: The smallest of the operator's that it is in.
        is_apple: Whether Apple's relays use it.
        system: The number of its autonomous system; 0: not known.
        organisation: That system's.
        geo_ip: SparkPost's object.
    """

    network: Network | None = None
    is_apple: bool = False
    system: int = 0
    organisation: str = ""
    geo_ip: Mapping[str, str | float] | None = None

    def find_network(self, *, is_open: bool) -> tuple[Network, str] | None:
        """Find what is known of it for an open, or else a click, and where from."""
        if self.network is not None and self.network.covers(is_open=is_open):
            return self.network, self.network.name
        if not is_open and self.system in _SYSTEMS:
            network = Network("clicks", _SCANNER, _SYSTEMS[self.system])
            return network, f"AS{self.system} {network.name}"
        return None


class Table:
    """Networks of both families; the smallest one that an address is in counts."""

    __slots__ = ("_by_length",)

    def __init__(self) -> None:
        self._by_length: dict[tuple[int, int], dict[int, Network]] = {}

    def add(self, network: str, known: Network) -> None:
        """Add a network as in `192.0.2.0/24`.

        Raises:
            ValueError: it is none.
        """
        read = ip_network(network, strict=False)
        shift = _BITS[read.version] - read.prefixlen
        members = self._by_length.setdefault((read.version, shift), {})
        members[int(read.network_address) >> shift] = known

    def find(self, address: IPv4Address | IPv6Address) -> Network | None:
        """Find the smallest network that an address is in."""
        number = int(address)
        for (version, shift), members in sorted(self._by_length.items(), key=lambda one: one[0]):
            if version == address.version and (found := members.get(number >> shift)):
                return found
        return None


class Networks:
    """All that is configured about addresses.

    Raises:
        SettingsError: a file can't be read; the text says which line is wrong.
    """

    def __init__(
        self,
        files: tuple[Path, ...] = (),
        apple_egress: Path | None = None,
        asn_database: Path | None = None,
        geo_ip: Path | None = None,
    ) -> None:
        self._own = Table()
        self._systems: dict[int, Network] = {}
        for path in files:
            for number, line in _read_lines(path):
                self._add_line(path, number, line)
        self._apple = Table()
        if apple_egress is not None:
            _read_apple(apple_egress, self._apple)
        self._asn = None if asn_database is None else _open_database(asn_database)
        self._geo = None if geo_ip is None else _open_database(geo_ip)

    def look_up(self, address: str) -> Place:
        """Return what is known of an address; nothing of what is none."""
        try:
            ip = ip_address(address)
        except ValueError:
            return Place()
        if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        system = _get(self._asn, ip)
        number = system.get("autonomous_system_number", 0)
        geo = _get(self._geo, ip)
        return Place(
            network=self._own.find(ip) or self._systems.get(number),
            is_apple=self._apple.find(ip) is not None,
            system=number,
            organisation=system.get("autonomous_system_organization", ""),
            geo_ip=_describe_place(geo) if geo else None,
        )

    def _add_line(self, path: Path, number: int, line: str) -> None:
        where = f"{path}:{number}"
        words = line.split(maxsplit=_WORDS - 1)
        if len(words) < _WORDS - 1:
            raise SettingsError(
                f"{where}: found {line!r}, allowed: a network, its scope, its class and a name as "
                'in "192.0.2.0/24 clicks scanner Example Gateway"'
            )
        network, word, reader_class, *name = words
        scope = _SCOPES.get(word)
        if scope is None:
            raise SettingsError(f"{where}: found {word!r}, allowed: {', '.join(_SCOPES)}")
        if reader_class not in set(ReaderClass):
            raise SettingsError(
                f"{where}: found {reader_class!r}, allowed: {', '.join(ReaderClass)}"
            )
        known = Network(scope, ReaderClass(reader_class), name[0] if name else network)
        if network[:2].upper() == "AS" and network[2:].isdecimal():
            self._systems[int(network[2:])] = known
            return
        try:
            self._own.add(network, known)
        except ValueError:
            raise SettingsError(
                f'{where}: found {network!r}, allowed: a network as in "192.0.2.0/24", or a '
                'system as in "AS64496"'
            ) from None


def _read_lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = describe_os_error(error) if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{path}: can't be read: {why}") from error
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()  # noqa: PLW2901 - the line without its comment
        if line:
            yield number, line


def _read_apple(path: Path, table: Table) -> None:
    """Read Apple's list, of which each line begins with a network: `prefix,country,region,city,`.

    Raises:
        SettingsError: it can't be read.
    """
    apple = Network("opens", ReaderClass.PREFETCH, "Apple")
    for number, line in _read_lines(path):
        (cells,) = csv.reader([line])
        try:
            table.add(cells[0], apple)
        except ValueError:
            raise SettingsError(
                f'{path}:{number}: found {cells[0]!r}, allowed: a network as in "172.224.226.0/31"'
            ) from None


def _open_database(path: Path) -> Any:
    with needed_extra("geo", f"{path}: a database of MaxMind's form"):
        maxminddb = import_module("maxminddb")
    try:
        return maxminddb.open_database(path)
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {describe_os_error(error)}") from error
    except (ValueError, maxminddb.InvalidDatabaseError) as error:
        raise SettingsError(f"{path}: not a database of MaxMind's form: {error}") from error


def _get(database: Any, ip: IPv4Address | IPv6Address) -> Mapping[str, Any]:
    if database is None:
        return {}
    try:
        found = database.get(ip)
    except (ValueError, RuntimeError):
        # An IPv6 address, and a database of IPv4; or a damaged record, which is the package's own
        # RuntimeError: no event is to fail for it.
        return {}
    return found if isinstance(found, dict) else {}


def _describe_place(found: Mapping[str, Any]) -> Mapping[str, str | float]:
    """Return SparkPost's object of a record of the City database."""
    postal_code = _find_member(found, "postal", "code")
    known = {
        "country": _find_member(found, "country", "iso_code"),
        "region": _find_member(found, "subdivisions", 0, "iso_code"),
        "city": _find_member(found, "city", "names", "en"),
        "latitude": _find_member(found, "location", "latitude"),
        "longitude": _find_member(found, "location", "longitude"),
        "zip": postal_code,
        "postal_code": postal_code,
    }
    return {name: value for name, value in known.items() if value is not None}


def _find_member(record: Any, *path: str | int) -> str | float | None:
    """Follow names and places into a record; None where it has another form, as others' have."""
    for each in path:
        try:
            record = record[each]
        except (LookupError, TypeError):
            return None
    return record if isinstance(record, str | int | float) else None
