"""Mails that can be told apart: each carries its own id in every link, recipient and field."""

import re
from dataclasses import dataclass

SENDER = "shop@client.example"
TRACKING_DOMAIN = "click.client.example"
LINKS = 3

_RECIPIENT_DOMAIN = "reader.example"
_ID = re.compile(rb"^Subject: (\S+)\r$", re.MULTILINE)
_FAILED = re.compile(
    rb"^Final-Recipient: rfc822; *(\S+)\r\nAction: failed\r$", re.MULTILINE | re.IGNORECASE
)
_END = re.compile(rb"<!-- end of (\S+) after (\d+) lines -->\r\n\Z")
_TRACKED_PATH = re.compile(rf'"http://{re.escape(TRACKING_DOMAIN)}(/[^"]*)"'.encode())


def recipients_of(mail_id: str, count: int) -> tuple[str, ...]:
    return tuple(f"r{number}.{mail_id}@{_RECIPIENT_DOMAIN}" for number in range(count))


def targets_of(mail_id: str) -> list[str]:
    return [f"https://client.example/{mail_id}/{number}" for number in range(LINKS)]


def compose_mail(mail_id: str, *, filling: int = 0) -> bytes:
    """Write a mail with CRLF line ends; `filling` makes it so many lines longer."""
    links = "\n".join(f'<p><a href="{url}">{mail_id}</a></p>' for url in targets_of(mail_id))
    lines = _compose_lines(mail_id, filling)
    text = (
        f"From: <{SENDER}>\nTo: <{mail_id}@{_RECIPIENT_DOMAIN}>\nSubject: {mail_id}\n"
        f"Message-ID: <{mail_id}@client.example>\nMIME-Version: 1.0\n"
        "Content-Type: text/html; charset=us-ascii\n\n"
        f"<html><body>\n{links}\n{lines}</body></html>\n"
        f"<!-- end of {mail_id} after {filling} lines -->\n"
    )
    return text.replace("\n", "\r\n").encode("ascii")


def _compose_lines(mail_id: str, count: int) -> str:
    return "".join(f"<p>{mail_id} line {number}</p>\n" for number in range(count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What a sink has taken, as far as the account needs it."""

    mail_id: str
    recipients: tuple[str, ...]
    paths: tuple[str, ...]
    """Of tracked URLs."""
    is_whole: bool
    """It has each of its lines in their order, the last one too, and none of another mail."""
    reported: tuple[str, ...] = ()
    """For a report to the sender (RFC 3464): the recipients that it gives up."""


def read_arrival(message: bytes, recipients: tuple[str, ...]) -> Arrival:
    reported = tuple(to.decode() for to in _FAILED.findall(message))
    # The report's own subject comes first, then that of the mail.
    found = _ID.findall(message)
    mail_id = found[-1].decode("ascii") if found else ""
    if recipients == (SENDER,):
        return Arrival(
            mail_id=mail_id, recipients=recipients, paths=(), is_whole=True, reported=reported
        )
    return Arrival(
        mail_id=mail_id,
        recipients=recipients,
        paths=tuple(path.decode("ascii") for path in _TRACKED_PATH.findall(message)),
        is_whole=_is_whole(message, mail_id),
    )


def _is_whole(message: bytes, mail_id: str) -> bool:
    end = _END.search(message)
    if end is None or end[1].decode("ascii") != mail_id:
        return False
    filling = int(end[2])
    lines = _compose_lines(mail_id, filling).replace("\n", "\r\n").encode("ascii")
    return lines in message and message.count(b"</p>") == LINKS + filling
