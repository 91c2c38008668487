"""Delivery status notifications: what senders are sent about mail that was given up or is late.

RFC 3464 has their form, RFC 3461 what a sender may ask for, RFC 6533 addresses beyond ASCII.
"""

import re
import secrets
from base64 import encodebytes
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final, Literal, TypeAlias

from msys_track.relay.transaction import Delivery
from msys_track.smtp import data
from msys_track.smtp.path import Recipient

Action: TypeAlias = Literal["failed", "delayed"]

# A whole mail is returned up to this size; beyond it a report would be as hard to deliver.
_MAX_RETURNED_BYTES: Final = 50_000
_MAX_HEADER_BYTES: Final = 100_000
# RFC 5322 section 2.1.1 allows 998 to a line, which has a name too.
_MAX_TEXT: Final = 900

_STATUS: Final = re.compile(r"([245]\d\d) +([245]\.\d{1,3}\.\d{1,3})\b")
_XTEXT: Final = re.compile(r"\+([0-9A-F]{2})")
_BARE_NEWLINE: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_PRINTABLE: Final = re.compile(r"[ -~]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """A recipient whom the mail has not reached."""

    recipient: Recipient
    answer: str
    """The last one: code and text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The mail that a report is about."""

    sender: str
    mail_parameters: tuple[str, ...]
    kept_at: float
    wire: bytes
    """Its wire bytes, or their beginning."""
    is_whole: bool
    is_seven_bit: bool


def wants_report(recipient: Recipient, action: Action) -> bool:
    """Whether a sender wants to hear of this (RFC 3461 section 4.1); delays only if asked for."""
    notify = _find_parameter(recipient.parameters, "NOTIFY")
    if notify is None:
        return action == "failed"
    return {"failed": "FAILURE", "delayed": "DELAY"}[action] in notify.upper().split(",")


def write_report(  # noqa: PLR0913 - what a report says
    subject: Subject,
    recipients: Iterable[Late],
    action: Action,
    *,
    reporting_mta: str,
    from_address: str,
    now: float,
    retry_until: float | None = None,
    takes_eight_bit: bool = False,
) -> Delivery:
    """Write the report to a mail's sender, ready for the wire.

    Args:
        subject: The mail.
        recipients: Those whom it has not reached and of whom the sender wants to hear.
        action: What has come of it.
        reporting_mta: Our name.
        from_address: Whom it comes from.
        now: Unix time.
        retry_until: Until when a late mail is tried.
        takes_eight_bit: Whether the upstream takes 8-bit mail, else 8-bit mail is not returned.
    """
    late = list(recipients)
    returned, returned_type, is_seven_bit = _write_returned(subject, takes_eight_bit)
    boundary = f"report-{secrets.token_hex(12)}"
    blocks = [
        _write_message_fields(subject, reporting_mta),
        *(_write_recipient_fields(each, action, now, retry_until) for each in late),
    ]
    text = _write_text(late, action, reporting_mta, returned_type)
    is_international = not subject.sender.isascii()
    title = "Undelivered mail" if action == "failed" else "Delayed mail (it is still tried)"
    header = [
        f"From: Mail Delivery System <{from_address}>",
        f"To: <{subject.sender}>",
        f"Subject: {title}",
        f"Date: {formatdate(now)}",
        f"Message-ID: <{secrets.token_hex(12)}@{reporting_mta.strip('[]').replace(':', '.')}>",
        "Auto-Submitted: auto-replied",  # RFC 3834 section 5
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        f'\tboundary="{boundary}"',
    ]
    charset = "us-ascii" if text.isascii() else "utf-8"
    encoding = "7bit" if text.isascii() else "base64"
    parts = [
        _write_part(f"text/plain; charset={charset}", encoding, text.encode("utf-8")),
        _write_part("message/delivery-status", "7bit", "\r\n".join(blocks).encode("ascii")),
        returned,
    ]
    edge = f"--{boundary}".encode("ascii")
    message = b"".join(
        [
            "\r\n".join(header).encode("utf-8"),
            b"\r\n\r\n",
            *(edge + b"\r\n" + part + b"\r\n" for part in parts),
            edge + b"--\r\n",
        ]
    )
    parameters = ("SMTPUTF8",) if is_international else ()
    if not is_seven_bit or is_international:
        parameters = ("BODY=8BITMIME", *parameters)
    return Delivery(
        sender="",
        mail_parameters=parameters,
        recipients=(Recipient(path=subject.sender),),
        wire=data.stuff(message),
        size=len(message),
        is_seven_bit=is_seven_bit and not is_international,
    )


def _write_message_fields(subject: Subject, reporting_mta: str) -> str:
    lines = [f"Reporting-MTA: dns; {reporting_mta}"]
    envelope_id = _find_parameter(subject.mail_parameters, "ENVID")
    if envelope_id is not None and (decoded := _decode_xtext(envelope_id)):
        lines.insert(0, f"Original-Envelope-Id: {decoded}")
    lines.append(f"Arrival-Date: {formatdate(subject.kept_at)}")
    return "".join(f"{line}\r\n" for line in lines)


def _write_recipient_fields(
    late: Late, action: Action, now: float, retry_until: float | None
) -> str:
    lines = []
    original = _find_parameter(late.recipient.parameters, "ORCPT")
    if original is not None:
        kind, _, address = original.partition(";")
        if _PRINTABLE.fullmatch(kind) and (decoded := _decode_xtext(address)):
            lines.append(f"Original-Recipient: {kind};{decoded}")
    path = late.recipient.path
    code, _, text = late.answer.partition(" ")
    status = _STATUS.match(late.answer)
    first = code[:1] if code[:1] in {"4", "5"} else "4"
    lines += [
        f"Final-Recipient: {f'rfc822;{path}' if path.isascii() else f'utf-8;{_write_utf8(path)}'}",
        f"Action: {action}",
        f"Status: {status[2] if status else f'{first}.0.0'}",
        f"Diagnostic-Code: smtp; {_write_line(f'{code} {text}')}",
        f"Last-Attempt-Date: {formatdate(now)}",
    ]
    if retry_until is not None:
        lines.append(f"Will-Retry-Until: {formatdate(retry_until)}")
    return "".join(f"{line}\r\n" for line in lines)


def _write_text(late: list[Late], action: Action, mta: str, returned_type: str) -> str:
    what = (
        "Your mail could not be delivered to:"
        if action == "failed"
        else "Your mail has not reached these recipients yet:"
    )
    lines = [f"This is the mail system of {mta}.", "", what, ""]
    for each in late:
        lines += [f"  <{each.recipient.path}>", f"    {_write_line(each.answer)}"]
    lines += [
        "",
        "It will not be tried again."
        if action == "failed"
        else "It is still tried; you need not send it again.",
        "A copy of your mail follows."
        if returned_type == "message/rfc822"
        else "The header of your mail follows.",
        "",
    ]
    return "\r\n".join(lines)


def _write_returned(subject: Subject, takes_eight_bit: bool) -> tuple[bytes, str, bool]:  # noqa: FBT001 - the caller's flag
    """Return the part with the mail or its header, its type, and whether it is 7-bit."""
    wants_whole = (_find_parameter(subject.mail_parameters, "RET") or "").upper() == "FULL"
    fits = subject.is_whole and len(subject.wire) <= _MAX_RETURNED_BYTES
    # A line break that is none would make the report a mail that servers refuse.
    fits = fits and not _BARE_NEWLINE.search(subject.wire)
    if wants_whole and fits and (subject.is_seven_bit or takes_eight_bit):
        end = data.find_end_of_data(subject.wire, 0)
        message = _unstuff(subject.wire[:end])
        encoding = "7bit" if subject.is_seven_bit else "8bit"
        kind = "message/rfc822"
        return _write_part(kind, encoding, message), kind, subject.is_seven_bit
    end = subject.wire.find(b"\r\n\r\n")
    header = subject.wire[: end + 2] if end >= 0 else subject.wire
    header = _unstuff(header[:_MAX_HEADER_BYTES])
    if header.isascii() and not _BARE_NEWLINE.search(header):
        kind = "text/rfc822-headers"
        return _write_part(kind, "7bit", header), kind, True
    kind = "message/global-headers"
    return _write_part(kind, "base64", header), kind, True


def _unstuff(wire: bytes) -> bytes:
    # Not `data.unstuff`: a beginning may be cut within a line end.
    return wire.removeprefix(b".").replace(b"\r\n.", b"\r\n")


def _write_part(kind: str, encoding: str, content: bytes) -> bytes:
    if encoding == "base64":
        content = encodebytes(content).replace(b"\n", b"\r\n")
    head = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode("ascii") + content


def _find_parameter(parameters: Iterable[str], keyword: str) -> str | None:
    for each in parameters:
        name, separator, value = each.partition("=")
        if separator and name.upper() == keyword:
            return value
    return None


def _decode_xtext(text: str) -> str | None:
    """Decode xtext (RFC 3461 section 4); None if it holds what a header can't."""
    decoded = _XTEXT.sub(lambda found: chr(int(found[1], 16)), text)
    return decoded[:_MAX_TEXT] if _PRINTABLE.fullmatch(decoded) else None


def _write_utf8(path: str) -> str:
    """Write an address as utf-8-addr-xtext (RFC 6533 section 3)."""
    return "".join(
        each if "!" <= each <= "~" and each not in "\\+=" else f"\\x{{{ord(each):X}}}"
        for each in path
    )


def _write_line(text: str) -> str:
    return "".join(each if " " <= each <= "~" else " " for each in text)[:_MAX_TEXT].strip()
