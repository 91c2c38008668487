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
from msys_track.dispatch.decide import Decision
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

_POSTFIX: Final = "2.0.0 Ok: queued as "
_NAME: Final = re.compile(r"[^\s;,]+")


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
        counters = self._counters
        relayed = [each.outcome for each in sent].count("relayed")
        counters.add_each(
            _list_counts(relayed, made.links, made.pixels, made.reasons, made.notices)
        )
        counters.observe(stages)
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
        copies = [
            _COPY_LINE
            % (
                _write_text(each.message_id),
                _write_text(each.reply.upstream),
                _write_text(find_queue_id(each.reply.text)),
                each.reply.code,
                each.seconds * 1000,
            )
            if each.outcome == "relayed"
            else _write_json(self._describe_copy(each))
            for each in _choose(sent)
        ]
        times = _write_times(tuple(stages)) % tuple([each * 1000 for each in stages.values()])
        now = time.time()
        return _LINE % (
            _write_session(envelope.peer, envelope.listen, envelope.user, envelope.helo),
            _write_text(self._show(envelope.sender)),
            _write_text(find_message_id(envelope.message)),
            b", ".join(copies),
            len(envelope.recipients),
            len(envelope.message),
            made.bytes_out,
            made.links,
            made.pixels,
            _write_lists(made.reasons, made.notices),
            times,
            _write_second(int(now)),
            now % 1 * 1_000_000,
        )

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

    def record_discarded(self, envelope: Envelope, decision: Decision) -> None:
        """Record that policy wants some recipients, or all, to get nothing."""
        discarded = decision.discarded
        self._counters.add("recipients.discarded", len(discarded))
        log.info(
            "message.discarded",
            **self._describe(envelope),
            transmission_id=str(decision.transmission_id),
            to=[self._show(to) for to in list(discarded)[:_MAX_COPIES]],
            recipients=len(envelope.recipients),
            discarded=len(discarded),
            why=[self._show(why) for why in dict.fromkeys(discarded.values())][:_MAX_COPIES],
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
_LINE: Final = (
    b'{%b, "sender": %b, "message_id": %b, "copies": [%b], "recipients": %d, "bytes_in": %d, '
    b'"bytes_out": %d, "links": %d, "pixels": %d, %b, "ms": {%b}, '
    b'"event": "message.relayed", "level": "info", "timestamp": "%b.%06dZ"}'
)
_COPY_LINE: Final = (
    b'{"id": %b, "outcome": "relayed", "upstream": %b, "queue_id": %b, "code": %d, "ms": %.3f}'
)


def _choose(sent: Sequence[SentCopy]) -> Sequence[SentCopy]:
    if len(sent) <= _MAX_COPIES:
        return sent
    return sorted(sent, key=lambda each: each.outcome == "relayed")[:_MAX_COPIES]


def _to_milliseconds(stages: Mapping[str, float]) -> dict[str, float]:
    return {name: round(seconds * 1000, 3) for name, seconds in stages.items()}


def _write_text(text: str | None) -> bytes:
    if text is None:
        return b"null"
    return encode_basestring(text).encode("utf-8", "backslashreplace")


def _write_json(fields: Mapping[str, Any]) -> bytes:
    return _ENCODER.encode(fields).encode("utf-8", "backslashreplace")


@lru_cache(maxsize=1024)
def _write_session(peer: str, listen: str, user: str | None, helo: str) -> bytes:
    return _write_json({"client": peer, "listen": listen, "user": user, "helo": helo})[1:-1]


@lru_cache(maxsize=1024)
def _write_lists(reasons: int, notices: tuple[str, ...]) -> bytes:
    return _write_json({"reasons": list_reasons(reasons), "notices": notices})[1:-1]


@lru_cache(maxsize=16)
def _write_times(stages: tuple[str, ...]) -> bytes:
    """Return what makes the times of these stages, in milliseconds."""
    return b", ".join(b'"%b": %%.3f' % each.encode() for each in stages)


@lru_cache(maxsize=4)
def _write_second(second: int) -> bytes:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


# Most mails of a server are of a few kinds, which differ in all of this at most.
@lru_cache(maxsize=1024)
def _list_counts(
    relayed: int, links: int, pixels: int, reasons: int, notices: tuple[str, ...]
) -> tuple[tuple[str, int], ...]:
    """List what is counted for one mail."""
    counts = Counters()
    counts.add("messages.accepted")
    counts.add("copies.relayed", relayed)
    counts.add("copies.links", links)
    counts.add("copies.pixels", pixels)
    for code in list_reasons(reasons):
        counts.add(f"left_alone.{code}")
    for notice in notices:
        counts.add(f"notices.{notice}")
    return tuple(each for each in counts.snapshot().items() if each[1])


@lru_cache(maxsize=1024)
def shorten_addresses(text: str) -> str:
    """Return a text with `j…@example.com` in place of each whole address."""
    return _ADDRESS.sub(r"\1…@", text) if "@" in text else text


def find_queue_id(text: str) -> str | None:
    """Find the name that an upstream has for a message, in its answer to the message."""
    if text.startswith(_POSTFIX):  # as a search that begins here would find it
        found = _NAME.match(text, len(_POSTFIX))
        if found is not None:
            return found[0]
    return _search_queue_id(text)


# Who names no message says the same about each.
@lru_cache(maxsize=64)
def _search_queue_id(text: str) -> str | None:
    found = _QUEUE_ID.search(text)
    return found[found.lastgroup or 0] if found is not None else None


def find_message_id(message: bytes) -> str | None:
    """Find the value of a message's Message-ID field; None if it has none."""
    end = message.find(b"\r\n\r\n")
    if end < 0:
        end = len(message)
    # As nearly all write it, without a copy of the header.
    at = message.find(b"\nMessage-ID: <", 0, end)
    if at >= 0:
        start = at + len("\nMessage-ID: ")
        stop = message.find(b"\r", start, start + _MAX_MESSAGE_ID)
        if stop >= 0:
            return message[start:stop].rstrip().decode("ascii", "replace")
    at = (b"\n%b" % message[:end]).lower().find(b"\nmessage-id:") - 1
    if at < -1:
        return None
    value = message[at + len("\nmessage-id:") : end]
    lines = value.lstrip(b" \t\r\n")  # some fold the field right behind its name
    line = lines.partition(b"\r")[0]
    return line[:_MAX_MESSAGE_ID].rstrip().decode("ascii", "replace")
