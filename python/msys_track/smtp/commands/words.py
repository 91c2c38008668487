"""The commands one by one: what each means, given what came before it (RFC 5321 section 4.1)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from msys_track.smtp.commands import events
from msys_track.smtp.commands.arguments import (
    CommandRefusedError,
    parse_argument,
    parse_mail_parameters,
    parse_rcpt_parameters,
)
from msys_track.smtp.commands.events import Event
from msys_track.smtp.commands.offer import Offer
from msys_track.smtp.proxies import read_ids
from msys_track.smtp.reply import Reply

_HELLO_NAME: Final = re.compile(r"[!-~][ -~]*")
_BDAT: Final = re.compile(r"([0-9]{1,20})( +LAST)?", re.IGNORECASE)

UNKNOWN: Final = Reply(500, "5.5.1 Unknown command")
OK: Final = Reply(250, "2.0.0 Ok")
_NOT_DONE: Final = Reply(502, "5.5.1 Command not implemented")
_HELLO_FIRST: Final = Reply(503, "5.5.1 Send EHLO first")
_MAIL_FIRST: Final = Reply(503, "5.5.1 Send MAIL first")
_RCPT_FIRST: Final = Reply(503, "5.5.1 Send RCPT first; there is no recipient")
_ONE_MAIL: Final = Reply(503, "5.5.1 A transaction is open; send RSET first")
_IN_BDAT: Final = Reply(503, "5.5.1 A message has begun by BDAT; send BDAT or RSET")
_VRFY: Final = Reply(252, "2.5.2 Addresses are not verified; send mail to find out")
UTF8_MISSING: Final = Reply(553, "5.6.7 A non-ASCII address needs the SMTPUTF8 parameter of MAIL")
_NO_PARAMETERS: Final = Reply(555, "5.5.4 Parameters need EHLO")
_START_DATA: Final = events.StartData()


@dataclass(slots=True, kw_only=True)
class State:
    """What the commands so far have led to."""

    is_greeted: bool = False
    is_extended: bool = False
    """Whether by EHLO."""
    is_authenticated: bool = False
    has_sender: bool = False
    is_utf8: bool = False
    """Whether MAIL had SMTPUTF8."""
    recipients: int = 0
    is_in_bdat: bool = False
    """Whether a chunk of the message has come."""

    def forget_transaction(self) -> None:
        """Undo MAIL and what followed it."""
        self.has_sender = self.is_utf8 = self.is_in_bdat = False
        self.recipients = 0

    def name_missing_command(self) -> Reply:
        """Refuse data without a recipient."""
        if not self.is_greeted:
            return _HELLO_FIRST
        return _RCPT_FIRST if self.has_sender else _MAIL_FIRST


@dataclass(frozen=True, slots=True)
class Chunk:
    """BDAT: so many octets follow (RFC 3030 section 2)."""

    size: int
    is_last: bool


class SessionEndedError(Exception):
    """The session ends now; the argument is why, as `Machine.ended_by` has it."""


Meaning: TypeAlias = Event | Reply | Chunk
"""An event; the answer to a command that changes nothing; or the octets of a message follow."""


def begin_mail(state: State, offer: Offer, path: str, parameters: str) -> events.Mail:
    """Begin a transaction.

    Raises:
        CommandRefusedError: not now, or not with these parameters. So with all functions here.
    """
    _check_mail_order(state)
    if parameters and not state.is_extended:
        raise CommandRefusedError(_NO_PARAMETERS)
    parsed = parse_mail_parameters(parameters, offer) if parameters else ()
    state.is_utf8 = "SMTPUTF8" in parsed
    if not (state.is_utf8 or path.isascii()):
        raise CommandRefusedError(UTF8_MISSING)
    return events.Mail(path, parsed)


def begin_rcpt(state: State, offer: Offer, path: str, parameters: str) -> events.Rcpt:
    """Add a recipient."""
    _check_rcpt_order(state)
    if not path:
        raise CommandRefusedError(Reply(553, "5.1.3 The null path receives nothing"))
    if not (state.is_utf8 or path.isascii()):
        raise CommandRefusedError(UTF8_MISSING)
    if parameters and not state.is_extended:
        raise CommandRefusedError(_NO_PARAMETERS)
    parsed = parse_rcpt_parameters(parameters, offer) if parameters else ()
    return events.Rcpt(path, parsed)


def begin_data(state: State, _offer: Offer, argument: str = "") -> events.StartData:
    """Begin a message."""
    if state.is_in_bdat:
        raise CommandRefusedError(_IN_BDAT)
    if not state.recipients:
        raise CommandRefusedError(state.name_missing_command())
    _check_no_argument("DATA", argument)
    return _START_DATA


def _check_mail_order(state: State) -> None:
    if not state.is_greeted:
        raise CommandRefusedError(_HELLO_FIRST)
    if state.has_sender:
        raise CommandRefusedError(_IN_BDAT if state.is_in_bdat else _ONE_MAIL)


def _check_rcpt_order(state: State) -> None:
    if not state.has_sender:
        raise CommandRefusedError(state.name_missing_command())
    if state.is_in_bdat:
        raise CommandRefusedError(_IN_BDAT)


def _parse_mail(state: State, offer: Offer, argument: str) -> Event:
    _check_mail_order(state)
    path, parameters = _split_argument("MAIL FROM:", argument, "5.1.7")
    return begin_mail(state, offer, path, parameters)


def _parse_rcpt(state: State, offer: Offer, argument: str) -> Event:
    _check_rcpt_order(state)
    path, parameters = _split_argument("RCPT TO:", argument, "5.1.3")
    return begin_rcpt(state, offer, path, parameters)


def _parse_ehlo(state: State, _offer: Offer, name: str) -> Event:
    return _greet(state, "EHLO", name)


def _parse_helo(state: State, _offer: Offer, name: str) -> Event:
    return _greet(state, "HELO", name)


def _parse_bdat(_state: State, offer: Offer, argument: str) -> Chunk:
    if not offer.chunking:
        raise CommandRefusedError(_NOT_DONE)
    match = _BDAT.fullmatch(argument)
    if match is None:
        # Nobody knows how much of what follows is of a message.
        raise SessionEndedError("bdat")
    return Chunk(int(match[1]), match[2] is not None)


def _parse_rset(state: State, _offer: Offer, argument: str) -> Event:
    _check_no_argument("RSET", argument)
    state.forget_transaction()
    return events.Reset()


def _parse_quit(_state: State, _offer: Offer, argument: str) -> Event:
    _check_no_argument("QUIT", argument)
    return events.Quit()


def _parse_noop(_state: State, _offer: Offer, argument: str) -> Event | Reply:
    ids = read_ids(argument)
    return events.TellIds(ids) if ids else OK


def _answer_help(_state: State, offer: Offer, topic: str) -> Reply:
    return offer.help(topic.upper())


def _answer_vrfy(_state: State, _offer: Offer, argument: str) -> Reply:
    if not argument:
        raise CommandRefusedError(Reply(501, "5.5.4 Syntax: VRFY address"))
    return _VRFY


def _refuse_expn(_state: State, _offer: Offer, _argument: str) -> Reply:
    raise CommandRefusedError(_NOT_DONE)


def _parse_starttls(_state: State, offer: Offer, argument: str) -> Event:
    if not offer.starttls:
        raise CommandRefusedError(_NOT_DONE)
    _check_no_argument("STARTTLS", argument)
    return events.StartTls()


def _parse_auth(state: State, offer: Offer, argument: str) -> Event:
    if not offer.auth:
        raise CommandRefusedError(_NOT_DONE)
    if not state.is_extended:
        raise CommandRefusedError(_HELLO_FIRST)
    if state.is_authenticated:
        raise CommandRefusedError(Reply(503, "5.5.1 Authentication was done already"))
    if state.has_sender:
        raise CommandRefusedError(_ONE_MAIL)
    mechanism, _, initial = argument.partition(" ")
    if not mechanism or " " in initial:
        raise CommandRefusedError(Reply(501, "5.5.4 Syntax: AUTH mechanism [initial-response]"))
    if mechanism.upper() not in offer.auth:
        raise CommandRefusedError(Reply(504, "5.5.4 Authentication mechanism not supported"))
    return events.Authenticate(mechanism.upper(), initial.encode() if initial else None)


def _parse_xclient(state: State, offer: Offer, argument: str) -> Event:
    if not offer.xclient:
        raise CommandRefusedError(UNKNOWN)
    if state.has_sender:
        raise CommandRefusedError(_ONE_MAIL)
    if not argument:
        raise CommandRefusedError(Reply(501, "5.5.4 Syntax: XCLIENT attribute=value..."))
    return events.XClient(tuple(argument.split()))


def _greet(state: State, command: str, name: str) -> Event:
    if not _HELLO_NAME.fullmatch(name):
        raise CommandRefusedError(Reply(501, f"5.5.4 Syntax: {command} hostname"))
    state.forget_transaction()
    state.is_extended = command == "EHLO"
    return events.Hello(name, state.is_extended)


def _split_argument(start: str, argument: str, malformed: str) -> tuple[str, str]:
    """Split the argument of MAIL or RCPT in path and parameters."""
    keyword = start.partition(" ")[2]
    given = argument[len(keyword) :]
    if argument[: len(keyword)].upper() != keyword or not given.strip(" "):
        raise CommandRefusedError(Reply(501, f"5.5.4 Syntax: {start}<address> [parameters]"))
    return parse_argument(given, Reply(553, f"{malformed} Malformed address"))


def _check_no_argument(command: str, argument: str) -> None:
    if argument:
        raise CommandRefusedError(Reply(501, f"5.5.4 Syntax: {command}"))


WORDS: Final[dict[bytes, Callable[[State, Offer, str], Meaning]]] = {
    b"AUTH": _parse_auth,
    b"BDAT": _parse_bdat,
    b"DATA": begin_data,
    b"EHLO": _parse_ehlo,
    b"EXPN": _refuse_expn,
    b"HELO": _parse_helo,
    b"HELP": _answer_help,
    b"MAIL": _parse_mail,
    b"NOOP": _parse_noop,
    b"QUIT": _parse_quit,
    b"RCPT": _parse_rcpt,
    b"RSET": _parse_rset,
    b"STARTTLS": _parse_starttls,
    b"VRFY": _answer_vrfy,
    b"XCLIENT": _parse_xclient,
}
