"""The arguments of MAIL and RCPT: a path and parameters (RFC 5321 section 4.1.2)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from msys_track.smtp.commands.offer import Offer
from msys_track.smtp.reply import Reply

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\x80-\U0010ffff-]+"
# Dots may stand anywhere: some carriers have given such addresses to their customers.
_LOCAL: Final = rf"""(?:{_ATOM}|"(?:[^\x00-\x1f\x7f-\x9f"\\]|\\[^\x00-\x1f\x7f-\x9f])*")"""
_DOMAIN: Final = rf"(?:{_ATOM}|\[[!-;=?-Z^-~]+\])"
_ROUTE: Final = r"(?:@[^@:<>\x00-\x20\x7f]+(?:,@[^@:<>\x00-\x20\x7f]+)*:)?"
# A lone local part is Postmaster's, and that of a sender on the machine itself.
_ARGUMENT: Final = re.compile(
    rf"[ ]*(?:<{_ROUTE}({_LOCAL}(?:@{_DOMAIN})?)?>|({_ATOM}@{_DOMAIN}))((?:[ ]+[^ ]+)*)[ ]*"
)
# What a path may not have though it is beyond ASCII: controls, and separators of lines.
_CONTROL: Final = re.compile("[\x80-\x9f\u2028\u2029]")

_NOTIFY_WHEN: Final = "(?:SUCCESS|FAILURE|DELAY)"
_PARAMETER: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-~]+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parameter:
    """A keyword's value, and who offers it."""

    value: re.Pattern[str]
    allowed: str
    is_offered: Callable[[Offer], bool]


_MAIL_PARAMETERS: Final = {
    "SIZE": _Parameter(
        value=re.compile("[0-9]{1,20}"),  # RFC 1870 section 4
        allowed="a number of bytes",
        is_offered=lambda _offer: True,
    ),
    "BODY": _Parameter(
        value=re.compile("7BIT|8BITMIME", re.IGNORECASE),
        allowed="7BIT or 8BITMIME",
        # Taken though 8BITMIME may not be offered: what counts is whether the message has it.
        is_offered=lambda _offer: True,
    ),
    "SMTPUTF8": _Parameter(
        value=re.compile(""), allowed="no value", is_offered=lambda offer: offer.smtp_utf8
    ),
    "RET": _Parameter(
        value=re.compile("FULL|HDRS", re.IGNORECASE),
        allowed="FULL or HDRS",
        is_offered=lambda offer: offer.dsn,
    ),
    "ENVID": _Parameter(
        value=re.compile(".+"), allowed="a value", is_offered=lambda offer: offer.dsn
    ),
    "AUTH": _Parameter(
        value=re.compile(".+"),
        allowed="an address or <>",
        is_offered=lambda offer: bool(offer.auth),
    ),
}
# RFC 3461 section 4.
_RCPT_PARAMETERS: Final = {
    "NOTIFY": _Parameter(
        value=re.compile(rf"NEVER|{_NOTIFY_WHEN}(?:,{_NOTIFY_WHEN})*", re.IGNORECASE),
        allowed="NEVER, or some of SUCCESS,FAILURE,DELAY",
        is_offered=lambda offer: offer.dsn,
    ),
    "ORCPT": _Parameter(
        value=re.compile(r"[A-Za-z0-9-]+;.+"),
        allowed="type;address",
        is_offered=lambda offer: offer.dsn,
    ),
}


class CommandRefusedError(Exception):
    """A command is answered with a refusal: the argument is the reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self.reply = reply


def parse_argument(argument: str, malformed: Reply) -> tuple[str, str]:
    """Split what follows `FROM:` or `TO:` in path and parameters.

    The path has no angle brackets and no source route, which RFC 5321 (appendix C) lets a server
    ignore. It may lack them, as in `MAIL FROM:jo@example.com`, which Postfix takes too.

    Raises:
        CommandRefusedError: with `malformed`.
    """
    match = _ARGUMENT.fullmatch(argument)
    if match is None:
        raise CommandRefusedError(malformed)
    bracketed, bare, parameters = match.groups("")
    path = bracketed or bare
    if not path.isascii() and _CONTROL.search(path):
        raise CommandRefusedError(malformed)
    return path, parameters


def parse_mail_parameters(text: str, offer: Offer) -> tuple[str, ...]:
    """Parse and check the parameters of MAIL.

    Raises:
        CommandRefusedError: one is not offered, or has a value that its RFC does not allow.
    """
    found = _check_parameters(text, offer, _MAIL_PARAMETERS)
    if int(found.get("SIZE", 0)) > offer.size:
        raise CommandRefusedError(report_size(offer.size))
    return tuple(f"{keyword}={value}" if value else keyword for keyword, value in found.items())


def parse_rcpt_parameters(text: str, offer: Offer) -> tuple[str, ...]:
    """Parse and check the parameters of RCPT.

    Raises:
        CommandRefusedError: as `parse_mail_parameters` does.
    """
    found = _check_parameters(text, offer, _RCPT_PARAMETERS)
    return tuple(f"{keyword}={value}" for keyword, value in found.items())


def report_size(size: int) -> Reply:
    """Return the answer to a message over the limit (RFC 1870 section 6.1)."""
    return Reply(552, f"5.3.4 Message too big, the limit is {size} bytes")


def _check_parameters(
    text: str, offer: Offer, known: Mapping[str, _Parameter]
) -> Mapping[str, str]:
    """Split parameters in keywords and values, and check each."""
    found: dict[str, str] = {}
    for each in filter(None, text.split(" ")):
        match = _PARAMETER.fullmatch(each)
        if match is None:
            raise CommandRefusedError(Reply(501, "5.5.4 A parameter is KEYWORD or KEYWORD=value"))
        keyword, value = match[1].upper(), match[2] or ""
        parameter = known.get(keyword)
        if parameter is None or not parameter.is_offered(offer):
            raise CommandRefusedError(_report_unknown(keyword, offer))
        if keyword in found:
            raise CommandRefusedError(Reply(501, f"5.5.4 {keyword} is given twice"))
        if not parameter.value.fullmatch(value):
            raise CommandRefusedError(Reply(501, f"5.5.4 {keyword} takes {parameter.allowed}"))
        found[keyword] = value
    return found


def _report_unknown(keyword: str, offer: Offer) -> Reply:
    """Refuse what is not offered: for ever, or for now (RFC 5321 section 4.2.2, 455 and 555)."""
    if offer.is_settled:
        return Reply(555, f"5.5.4 Parameter not supported: {keyword}")
    return Reply(455, f"4.3.2 The upstream can't be asked now whether it supports {keyword}")
