"""Settings of one tenant of a tracker: several may share it, each under a host of its own."""

from dataclasses import dataclass
from typing import Annotated

from msys_track.keys.file import KeySource
from msys_track.settings.key import Key
from msys_track.settings.secrets import SECRET


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSettings:
    """What the links of one host are opened with; links of other tenants don't work there."""

    keys: Annotated[
        KeySource,
        Key(
            SECRET,
            "the keys that open the links of this host, in place of `keys` at the top",
            example="shop-keys.toml",
            is_required=True,
        ),
    ]
