"""Mails that can be told apart: each carries its own id in every link, recipient and field."""

import re
from dataclasses import dataclass

SENDER = "shop@client.example"
TRACKING_DOMAIN = "click.client.example"
LINKS = 3

_RECIPIENT_DOMAIN = "reader.example"
_ID = re.compile(rb"^Subject: (\S+)\r$", re.MULTILINE)
_FAILED = re.compile(rb"^Final-Recipient: rfc822; *(\S+)\r$", re.MULTILINE | re.IGNORECASE)
_TRACKED_PATH = re.compile(rf'"http://{re.escape(TRACKING_DOMAIN)}(/[^"]*)"'.encode())


def recipients_of(mail_id: str, count: int) -> tuple[str, ...]:
    return tuple(f"r{number}.{mail_id}@{_RECIPIENT_DOMAIN}" for number in range(count))


def targets_of(mail_id: str) -> list[str]:
    return [f"https://client.example/{mail_id}/{number}" for number in range(LINKS)]


def compose_mail(mail_id: str, *, filling: int = 0) -> bytes:
    """Write a mail with CRLF line ends; `filling` makes it so many lines longer."""
    links = "\n".join(f'<p><a href="{url}">{mail_id}</a></p>' for url in targets_of(mail_id))
    lines = "\n".join(f"<p>{mail_id} line {number}</p>" for number in range(filling))
    text = (
        f"From: <{SENDER}>\nTo: <{mail_id}@{_RECIPIENT_DOMAIN}>\nSubject: {mail_id}\n"
        f"Message-ID: <{mail_id}@client.example>\nMIME-Version: 1.0\n"
        "Content-Type: text/html; charset=us-ascii\n\n"
        f"<html><body>\n{links}\n{lines}\n</body></html>\n<!-- end of {mail_id} -->\n"
    )
    return text.replace("\n", "\r\n").encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What a sink has taken, as far as the account needs it."""

    mail_id: str
    recipients: tuple[str, ...]
    paths: tuple[str, ...]
    """Of tracked URLs."""
    is_whole: bool
    """The last line is the mail's own."""
    reported: tuple[str, ...] = ()
    """For a report to the sender (RFC 3464): the recipients that it says were not reached."""


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
        is_whole=message.endswith(f"<!-- end of {mail_id} -->\r\n".encode()),
    )
