"""The withdrawal list: recipients of whom no events are made any more, also from mail sent before.

Each line of its file has an address, or the SHA-256 of one in lower case, so that the list itself
needs to hold no addresses.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from msys_track.errors import SettingsError, describe_os_error

_HASH: Final = re.compile("[0-9a-f]{64}")
# Nothing around it, such as a name, brackets or another column: it would be nobody's.
_ADDRESS: Final = re.compile(r'(?!#)(?:"[^"]+"|[^\s<>,;:"]+)@[^\s<>,;:"@]+')
_MOST_FAULTS: Final = 20


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Who has withdrawn.

    Attributes:
        addresses: In lower case.
        hashes: SHA-256 of addresses in lower case, in hexadecimal digits.
    """

    addresses: frozenset[str] = frozenset()
    hashes: frozenset[str] = frozenset()

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a list.

        Raises:
            SettingsError: the file can't be read, or a line is neither; each is named by number
                alone, as the log is no place for addresses.
        """
        try:
            lines = file.read_text("utf-8-sig").lower().split("\n")
        except OSError as error:
            raise SettingsError(f"{file}: can't be read: {describe_os_error(error)}") from error
        except UnicodeDecodeError as error:
            raise SettingsError(f"{file}: is not UTF-8 at byte {error.start}") from error
        addresses: set[str] = set()
        hashes: set[str] = set()
        faults: list[str] = []
        for number, line in enumerate(map(str.strip, lines), start=1):
            if _ADDRESS.fullmatch(line):
                addresses.add(line)
            elif _HASH.fullmatch(line):
                hashes.add(line)
            elif line and not line.startswith("#"):
                faults.append(f"{file}:{number}: neither an address nor the SHA-256 of one")
        if faults:
            if more := faults[_MOST_FAULTS:]:
                faults[_MOST_FAULTS:] = [f"{file}: {len(more)} more such lines"]
            raise SettingsError("\n".join(faults))
        return cls(frozenset(addresses), frozenset(hashes))

    def __len__(self) -> int:
        return len(self.addresses) + len(self.hashes)

    def __contains__(self, address: str) -> bool:
        """Whether this recipient has withdrawn."""
        folded = address.lower()
        if folded in self.addresses:
            return True
        return bool(self.hashes) and (
            hashlib.sha256(folded.encode("utf-8", "replace")).hexdigest() in self.hashes
        )
