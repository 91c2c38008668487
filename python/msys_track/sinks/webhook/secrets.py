"""The secrets of a webhook, read where its settings say they are."""

from collections.abc import Mapping

from msys_track.errors import KeyRingError, SettingsError
from msys_track.keys.file import KeySource, NamedSource, key_source, read_source

_HINT = "write the secret, and nothing else, into a file that only its owner can read"


def read_secret(source: KeySource, where: str) -> str:
    """Read a secret: text without the line end behind it.

    Raises:
        SettingsError: it can't be read or is empty; the text begins with `where` and does not
            show it.
    """
    try:
        text = read_source(source, what="file of a secret", hint=_HINT).decode()
    except KeyRingError as error:
        raise SettingsError(f"{where}: {error}") from error
    except UnicodeDecodeError:  # not chained: its text has what may be the secret
        raise SettingsError(f"{where}: {source}: is not UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise SettingsError(f"{where}: {source}: is empty")
    return text


def read_line(source: KeySource, where: str) -> str:
    """Read a secret that has to go into a header.

    Raises:
        SettingsError: as `read_secret`; or it is more than one line of printable ASCII.
    """
    text = read_secret(source, where)
    if not (text.isascii() and text.isprintable()):
        raise SettingsError(f"{where}: {source}: must be printable ASCII on one line")
    return text


def fill_in(texts: Mapping[str, str], where: str) -> dict[str, str]:
    """Put secrets in the place of `env:NAME` and `credential:NAME`.

    Raises:
        SettingsError: as `read_line`.
    """
    filled = {}
    for name, text in texts.items():
        try:
            source = key_source(text) if text.startswith(("env:", "credential:")) else None
        except KeyRingError as error:
            raise SettingsError(f"{where}: {name}: {error}") from None
        is_named = isinstance(source, NamedSource)
        filled[name] = read_line(source, f"{where}: {name}") if is_named and source else text
    return filled
