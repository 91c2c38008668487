"""What the log and the counters say of a message: one line a mail, made directly.

Nobody's address stands in it whole unless the settings ask for that, and no text of a mail but its
Message-ID.
"""

import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, Final, NamedTuple

from msys_track import logs
from msys_track.dispatch.outgoing import OutgoingCopy
from msys_track.injection.envelope import Envelope
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.reasons import list_reasons
from msys_track.smtp.reply import Reply

log = event_logger(__name__)
_logger = logging.getLogger(__name__)

SERVED: Final = ("relayed", "kept", "reported")
"""What became of copies whose readers need nothing more."""

# A line is no place for a thousand copies; those that failed come first.
_MAX_COPIES: Final = 100
_MAX_MESSAGE_ID: Final = 250

_ADDRESS: Final = re.compile(r"([^\s<>@\"'(:,;])[^\s<>@\"'(:,;]*@")
_QUEUE_ID: Final = re.compile(
    r"queued as (?P<postfix>[^\s;,]+)"
    r"|\bid=(?P<exim>[^\s;,]+)"
    r"|queued \((?P<haraka>[^\s)]+)"
    r"|(?P<sendmail>\S+) message accepted for delivery"
    r"|\bqp (?P<qmail>\d+)",
    re.IGNORECASE,
)


class SentCopy(NamedTuple):
    """What became of one copy."""

    recipients: tuple[str, ...]
    message_id: str | None
    """20 hexadecimal digits; None if nothing is tracked."""
    reply: Reply
    """The upstream's, or what stands for its answer."""
    seconds: float
    queue_id: str | None = None
    """The upstream's name for it; the spool's, if it is kept there."""
    outcome: str = "relayed"
    """`relayed`, `kept` or `reported` by the spool, `refused`, `not_sent` or `unknown`."""


class Made:
    """Sums over the copies that were made of one message."""

    __slots__ = (
        "bytes_out",
        "clipped",
        "copies",
        "links",
        "notices",
        "pixels",
        "reasons",
        "seconds",
    )

    def __init__(self) -> None:
        self.copies = 0
        self.bytes_out = 0
        self.links = 0
        self.pixels = 0
        self.reasons = 0
        self.notices: tuple[str, ...] = ()
        self.clipped: list[str | None] = []
        self.seconds = 0.0

    def add(self, copy: OutgoingCopy) -> None:
        """Add a copy."""
        self.copies += 1
        self.bytes_out += copy.size
        self.links += copy.wrapped_links
        self.pixels += copy.pixels
        self.reasons |= copy.reasons
        if copy.notices and copy.notices != self.notices:
            self.notices = tuple(dict.fromkeys((*self.notices, *copy.notices)))
        if "clipped_html" in copy.notices:
            self.clipped.append(copy.message_id)


class Recorder:
    """Writes what became of messages into the log and the counters.

    Args:
        counters: Count it.
        shows_addresses: Whether addresses stand in the log whole.
    """

    def __init__(self, counters: Counters, *, shows_addresses: bool = False) -> None:
        self._counters = counters
        self._show = str if shows_addresses else shorten_addresses

    def record_accepted(
        self, envelope: Envelope, made: Made, sent: Sequence[SentCopy], stages: Mapping[str, float]
    ) -> None:
        """Record a message of which at least one copy was relayed or kept."""
        add = self._counters.add
        add("messages.accepted")
        self._counters.observe(stages)
        add("copies.relayed", sum(each.outcome == "relayed" for each in sent))
        if made.links:
            add("copies.links", made.links)
        if made.pixels:
            add("copies.pixels", made.pixels)
        for name in _name_counters(made.reasons, made.notices):
            add(name)
        if made.clipped:
            log.warning(
                "message.html_clipped", message_ids=made.clipped, bytes=len(envelope.message)
            )
        if not _logger.isEnabledFor(logging.INFO):
            return
        if logs.line_writer is not None:
            logs.line_writer(self._write_line(envelope, made, sent, stages))
            return
        log.info(
            "message.relayed",
            **self._describe(envelope),
            copies=self._list_copies(sent),
            recipients=len(envelope.recipients),
            bytes_in=len(envelope.message),
            bytes_out=made.bytes_out,
            links=made.links,
            pixels=made.pixels,
            reasons=list_reasons(made.reasons),
            notices=made.notices,
            ms=_to_milliseconds(stages),
        )

    def _write_line(
        self, envelope: Envelope, made: Made, sent: Sequence[SentCopy], stages: Mapping[str, float]
    ) -> bytes:
        """Write the event as JSON, field by field: a general encoder takes twice as long."""
        session = _write_session(envelope.peer, envelope.listen, envelope.user, envelope.helo)
        message_id = find_message_id(envelope.message)
        copies = ", ".join(
            f'{{"id": {_write_text(each.message_id)}, "outcome": "relayed", '
            f'"upstream": {_write_text(each.reply.upstream)}, '
            f'"queue_id": {_write_text(find_queue_id(each.reply.text))}, '
            f'"code": {each.reply.code}, "ms": {each.seconds * 1000:.3f}}}'
            if each.outcome == "relayed"
            else _ENCODER.encode(self._describe_copy(each))
            for each in _choose(sent)
        )
        times = ", ".join(f'"{name}": {value * 1000:.3f}' for name, value in stages.items())
        line = (
            f'{{{session}, "sender": {_write_text(self._show(envelope.sender))}, '
            f'"message_id": {_write_text(message_id)}, "copies": [{copies}], '
            f'"recipients": {len(envelope.recipients)}, "bytes_in": {len(envelope.message)}, '
            f'"bytes_out": {made.bytes_out}, "links": {made.links}, "pixels": {made.pixels}, '
            f'{_write_lists(made.reasons, made.notices)}, "ms": {{{times}}}, '
            f'"event": "message.relayed", "level": "info", '
            f'"timestamp": "{_write_time(time.time())}"}}'
        )
        return line.encode("utf-8", "backslashreplace")

    def record_refused(
        self,
        envelope: Envelope,
        why: str,
        reply: Reply,
        sent: Sequence[SentCopy],
        stages: Mapping[str, float],
    ) -> None:
        """Record a message of which nothing was sent."""
        self._counters.add(f"messages.refused.{why}")
        log.info(
            "message.refused",
            **self._describe(envelope),
            why=why,
            code=reply.code,
            text=self._show(reply.text),
            copies=self._list_copies(sent),
            recipients=len(envelope.recipients),
            bytes_in=len(envelope.message),
            ms=_to_milliseconds(stages),
        )

    def record_repeated(self, envelope: Envelope, reply: Reply) -> None:
        """Record that a client repeated a mail whose answer it had not waited for."""
        self._counters.add("messages.repeated")
        log.info("message.repeated", **self._describe(envelope), code=reply.code)

    def record_unserved(self, envelope: Envelope, why: str, sent: Sequence[SentCopy]) -> None:
        """Record that some readers have their copy, and others never will."""
        self._counters.add("messages.partly_relayed")
        unserved = [each for each in sent if each.outcome not in SERVED]
        log.error(
            "message.partly_relayed",
            **self._describe(envelope),
            unserved_recipients=[self._show(to) for each in unserved for to in each.recipients],
            why=self._show(why),
        )

    def _describe(self, envelope: Envelope) -> dict[str, Any]:
        return {
            "client": envelope.peer,
            "listen": envelope.listen,
            "user": envelope.user,
            "helo": envelope.helo,
            "sender": self._show(envelope.sender),
            "message_id": find_message_id(envelope.message),
        }

    def _list_copies(self, sent: Sequence[SentCopy]) -> list[dict[str, Any]]:
        return [self._describe_copy(each) for each in _choose(sent)]

    def _describe_copy(self, sent: SentCopy) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "id": sent.message_id,
            "outcome": sent.outcome,
            "upstream": sent.reply.upstream,
            "queue_id": sent.queue_id or find_queue_id(sent.reply.text),
            "code": sent.reply.code,
            "ms": round(sent.seconds * 1000, 3),
        }
        if sent.outcome != "relayed":
            fields["to"] = [self._show(to) for to in sent.recipients[:_MAX_COPIES]]
            fields["text"] = self._show(sent.reply.text)
        return fields


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False)


def _choose(sent: Sequence[SentCopy]) -> Sequence[SentCopy]:
    if len(sent) <= _MAX_COPIES:
        return sent
    return sorted(sent, key=lambda each: each.outcome == "relayed")[:_MAX_COPIES]


def _to_milliseconds(stages: Mapping[str, float]) -> dict[str, float]:
    return {name: round(seconds * 1000, 3) for name, seconds in stages.items()}


def _write_text(text: str | None) -> str:
    return "null" if text is None else encode_basestring(text)


@lru_cache(maxsize=1024)
def _write_session(peer: str, listen: str, user: str | None, helo: str) -> str:
    fields = {"client": peer, "listen": listen, "user": user, "helo": helo}
    return _ENCODER.encode(fields)[1:-1]


@lru_cache(maxsize=1024)
def _write_lists(reasons: int, notices: tuple[str, ...]) -> str:
    return _ENCODER.encode({"reasons": list_reasons(reasons), "notices": notices})[1:-1]


def _write_time(now: float) -> str:
    whole = int(now)
    return f"{_write_second(whole)}.{int((now - whole) * 1_000_000):06d}Z"


@lru_cache(maxsize=4)
def _write_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=1024)
def _name_counters(reasons: int, notices: tuple[str, ...]) -> tuple[str, ...]:
    left = (f"left_alone.{code}" for code in list_reasons(reasons))
    return (*left, *(f"notices.{notice}" for notice in notices))


@lru_cache(maxsize=1024)
def shorten_addresses(text: str) -> str:
    """Return a text with `j…@example.com` in place of each whole address."""
    return _ADDRESS.sub(r"\1…@", text) if "@" in text else text


def find_queue_id(text: str) -> str | None:
    """Find the name that an upstream has for a message, in its answer to the message."""
    found = _QUEUE_ID.search(text)
    return found[found.lastgroup or 0] if found is not None else None


def find_message_id(message: bytes) -> str | None:
    """Find the value of a message's Message-ID field; None if it has none."""
    end = message.find(b"\r\n\r\n")
    head = b"\n%b\r" % message[: end if end >= 0 else len(message)]
    at = head.lower().find(b"\nmessage-id:")
    if at < 0:
        return None
    value = head[at + len("\nmessage-id:") :]
    lines = value.lstrip(b" \t\r\n")  # some fold the field right behind its name
    return lines[: lines.find(b"\r")][:_MAX_MESSAGE_ID].rstrip().decode("ascii", "replace")
