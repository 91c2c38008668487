"""What is said of a configuration, in the words of a `.conf` and not of TOML."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from msys_track.config.document import KeyPath
from msys_track.config.momentum.names import GLOBAL
from msys_track.config.toml.names import write_string

_OURS: Final = {
    path: f"msys_track.{name}" for name, (path, _) in GLOBAL.inner["msys_track"].options.items()
}
"""The keys that our own stanza has, by their paths in our own file."""
_STANZAS: Final = {
    "listener": "ESMTP_Listener",
    "listen": "Listen",
    "peer": "Peer",
    "proxy": "msys_track",
    "tracker": "msys_track",
}
_NAMED: Final = ("listen", "peer", "pathway", "pathway_group")
"""Tables whose tables have names."""

_HEADER: Final = re.compile(
    r"\[((?:listener|listen|peer|pathway|pathway_group|engagement_tracker|policy|proxy|tracker)"
    r"(?:\.(?:\"[^\"]*\"|[\w-]+))*)\]"
)
_NAME: Final = re.compile(r"\"([^\"]*)\"|([\w-]+)")
_ARRAY: Final = re.compile(r"\[(\"[^\"\[\]]*\"(?:, \"[^\"\[\]]*\")*)?\]")
_PHRASES: Final = {
    "true or false, without quotes": "true or false",
    "set networks or auth_users;": "write Relay_Hosts, or networks or auth_users in "
    "msys_track { };",
    "set tls_certificate": "write TLS_Certificate in ESMTP_Listener, or tls_certificate in "
    "msys_track { }",
    "by open_relay = true": "by msys_track { open_relay = true }",
}


def write_key(path: KeyPath, renamed: Mapping[KeyPath, str]) -> str:
    """Write the name of a key: `Listen ":25".tracking_domain`, `msys_track.upstream`.

    Args:
        path: Its path in our own file.
        renamed: What the file has in place of such a key, by its path: `Gateway`.
    """
    for length in range(len(path), 0, -1):
        whole = renamed.get(path[:length]) or _OURS.get(path[:length])
        if whole is not None:
            return "".join((whole, *_write_names(path[length:])))
    return "".join(_write_names(path)).removeprefix(".")


def _write_names(path: KeyPath) -> Iterator[str]:
    names = iter(path)
    for name in names:
        if isinstance(name, int):
            yield f", item {name + 1}"
            continue
        instance = next(names, None) if name in _NAMED else None
        yield f".{_STANZAS.get(name, name)}"
        if instance is not None:
            yield f" {write_string(str(instance))}"


def write_text(text: str) -> str:
    """Write a sentence about a file with its stanzas, lists and booleans in place of TOML's."""
    for phrase, ours in _PHRASES.items():
        text = text.replace(phrase, ours)
    return _ARRAY.sub(_write_array, _HEADER.sub(_write_stanza, text))


def _write_stanza(header: re.Match[str]) -> str:
    names = [quoted or bare for quoted, bare in _NAME.findall(header[1])]
    return f"{write_key(tuple(names), {})} {{ … }}"


def _write_array(array: re.Match[str]) -> str:
    items = (array[1] or "").replace('", "', '" "')
    return f"( {items} )" if items else "( )"
