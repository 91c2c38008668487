"""MAIL and RCPT as this upstream understands them, or why they can't be sent to it."""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msys_track.errors import UpstreamError
from msys_track.smtp.capabilities import Capabilities
from msys_track.smtp.commands.words import UTF8_MISSING
from msys_track.smtp.path import Recipient, is_path

_PARAMETER: Final = re.compile(r"[\x21-\x7e]+")
# The paths of nearly every mail, at a fifth of the cost of `is_path`.
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]*")


class ExtensionMissingError(UpstreamError):
    """The message needs an extension that this upstream, or this connection, does not offer."""

    def __init__(
        self, code: int, text: str, extension: Literal["eight_bit_mime", "smtp_utf8"]
    ) -> None:
        super().__init__(code, text, outcome="not_sent")
        self.extension = extension


def write_envelope(  # noqa: PLR0913 - the parts of MAIL
    capabilities: Capabilities,
    sender: str,
    parameters: Sequence[str],
    recipients: Sequence[Recipient],
    *,
    size: int | None = None,
    is_seven_bit: bool,
) -> list[bytes]:
    """Write MAIL and RCPTs, with the parameters that this upstream understands.

    Args:
        capabilities: What the upstream offers.
        sender: The reverse-path.
        parameters: Those of MAIL, as the client gave them.
        recipients: The forward-paths, and their parameters.
        size: Replaces the client's `SIZE=`, if it is known.
        is_seven_bit: Whether nothing but an address can need SMTPUTF8.

    Raises:
        UpstreamError: it can't be written, or it needs an extension that is not offered.
    """
    paths = [sender, *[each.path for each in recipients]]
    is_ascii = True
    for path in paths:
        if _PLAIN_PATH.fullmatch(path) is None:
            is_ascii = _check_path(path) and is_ascii
    if parameters:
        _check_parameters("MAIL", parameters)
    kept = _keep_parameters(
        capabilities, parameters, size, needs_utf8=not (is_ascii and is_seven_bit)
    )
    if not is_ascii and "SMTPUTF8" not in kept:
        raise UpstreamError(UTF8_MISSING.code, UTF8_MISSING.text)
    commands = [f"{' '.join([f'MAIL FROM:<{sender}>', *kept])}\r\n".encode()]
    for path, given in recipients:
        words = f"RCPT TO:<{path}>"
        if given:
            _check_parameters("RCPT", given)
            # NOTIFY and ORCPT; there are no others.
            words = " ".join([words, *given]) if capabilities.dsn else words
        commands.append(f"{words}\r\n".encode())
    return commands


def _check_path(path: str) -> bool:
    """Return whether it is ASCII."""
    if not is_path(path):
        raise UpstreamError(553, "5.1.3 An address has characters that no SMTP command can carry")
    return path.isascii()


def _keep_parameters(
    capabilities: Capabilities, parameters: Iterable[str], size: int | None, *, needs_utf8: bool
) -> list[str]:
    """Return the parameters of MAIL; raise if the message needs what is not offered."""
    kept = []
    for parameter in parameters:
        match parameter.partition("=")[0].upper():
            case "SMTPUTF8" if not capabilities.smtp_utf8:
                if needs_utf8:
                    text = "5.6.7 The upstream does not take internationalized mail"
                    raise ExtensionMissingError(553, text, "smtp_utf8")
            case "SMTPUTF8":
                kept.append("SMTPUTF8")
            # Without 8BITMIME a 7-bit message needs none, and an 8-bit one is refused elsewhere.
            case "BODY" if not capabilities.eight_bit_mime:
                pass
            case "SIZE" if capabilities.size is None or size is not None:
                pass
            case "RET" | "ENVID" if not capabilities.dsn:
                pass
            case "AUTH" if not capabilities.auth_mechanisms:
                pass
            case _:
                kept.append(parameter)
    if size is not None and capabilities.size is not None:
        kept.append(f"SIZE={size}")
    return kept


def _check_parameters(command: str, parameters: Iterable[str]) -> None:
    for parameter in parameters:
        if _PARAMETER.fullmatch(parameter) is None:
            text = f"5.5.4 A parameter of {command} has characters it can't have"
            raise UpstreamError(501, text)
