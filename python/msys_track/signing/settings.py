"""Settings of the signatures of one domain; every default is stated here."""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from msys_track.keys.file import KeySource
from msys_track.settings.key import Key, check_settings
from msys_track.settings.kinds import SWITCH, Kind, text, whole_number
from msys_track.settings.secrets import SECRET

_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_LABELS: Final = rf"{_LABEL}(\.{_LABEL})*"


def _is_domain(name: str) -> bool:
    return re.fullmatch(_LABELS, name) is not None


DOMAIN: Final[Kind] = text(
    lambda name: _is_domain(name) and "." in name,
    'a domain in ASCII, as "example.com"; an internationalised one in its xn-- form',
    {"pattern": rf"^{_LABELS}$"},
    str.lower,
)
_SELECTOR: Final[Kind] = text(
    _is_domain, 'a selector as DNS has it, as "mail2026"', {"pattern": rf"^{_LABELS}$"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DkimSettings:
    """How mail from one domain is signed.

    Raises:
        SettingsError: a value that no signature could be made with.
    """

    selector: Annotated[
        str,
        Key(
            _SELECTOR,
            "names the public key: it is the TXT record at `SELECTOR._domainkey.DOMAIN`",
            example="mail2026",
            is_required=True,
        ),
    ]
    private_key: Annotated[
        KeySource,
        Key(
            SECRET,
            "the private key as PEM: RSA of 1024 bits or more, or Ed25519",
            example="dkim.pem",
            is_required=True,
        ),
    ]
    covers_subdomains: Annotated[
        bool,
        Key(SWITCH, "sign for the domains below too, where they have no table of their own"),
    ] = False
    # RFC 6376 section 3.5: verifiers may ignore signatures beyond it, also of mail that is late.
    valid_hours: Annotated[
        int | None,
        Key(
            whole_number(highest=100_000, unit="hours, "),
            "after this time the signature is no longer valid",
            example=168,
            unset="no limit",
        ),
    ] = None

    def __post_init__(self) -> None:
        check_settings(self, "dkim: ")
