"""A mail program that sends: the standard library's `smtplib`, a client independent of ours."""

import re
import smtplib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

_TIMEOUT_SECONDS: Final = 60.0

_POSITIVE: Final = range(200, 300)  # RFC 5321 section 4.2.1
_NOT_CRLF: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class WireForm:
    """A file's content as a mail program sends it."""

    message: bytes
    """Every line ends in CRLF (RFC 5321 section 2.3.8)."""
    converted: int
    """Line ends that were a lone CR or LF in the file."""
    was_unended: bool
    """The file's last line had no end; SMTP has no other lines."""


def wire_form(content: bytes) -> WireForm:
    """Give a file's content the line ends of SMTP; nothing else changes."""
    message, converted = _NOT_CRLF.subn(b"\r\n", content)
    was_unended = not message.endswith(b"\r\n")
    if was_unended:
        message += b"\r\n"
    return WireForm(message=message, converted=converted, was_unended=was_unended)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An SMTP reply, or what came in its place."""

    code: int
    """0 where there was no reply."""
    text: str

    @property
    def is_accepted(self) -> bool:
        """Whether the mail was accepted, for all recipients."""
        return self.code in _POSITIVE

    @property
    def line(self) -> str:
        """Code and text, as they would stand in a log."""
        return f"{self.code} {self.text}" if self.code else self.text


def send(port: int, sender: str, recipients: Sequence[str], message: bytes) -> Answer:
    """Send a message in wire form to 127.0.0.1; return the first refusal or DATA's reply; blocks.

    It never raises: a refusal is an answer, and so is a lost connection.
    """
    # Without a name smtplib would look up our own in the DNS.
    client = smtplib.SMTP(local_hostname="client.localhost", timeout=_TIMEOUT_SECONDS)
    try:
        client.connect("127.0.0.1", port)
        client.ehlo()
        options = [f"SIZE={len(message)}"] + ([] if message.isascii() else ["BODY=8BITMIME"])
        commands = [
            partial(client.mail, sender, options),
            *(partial(client.rcpt, recipient) for recipient in recipients),
            partial(client.data, message),
        ]
        replies: list[Answer] = []
        for send_command in commands:
            replies.append(_answer(*send_command()))
            if not replies[-1].is_accepted:
                break
        client.quit()
    except smtplib.SMTPResponseException as error:
        return _answer(error.smtp_code, error.smtp_error)
    except OSError as error:  # all other errors of smtplib are OSErrors too
        return Answer(code=0, text=f"no answer: {error}")
    finally:
        client.close()
    return replies[-1]


def _answer(code: int, text: bytes | str) -> Answer:
    plain = text if isinstance(text, str) else text.decode("ascii", "replace")
    return Answer(code=code, text=plain)
