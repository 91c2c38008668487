"""Events of the mail itself: `injection` for each copy, `policy_rejection` for each refusal.

They go to the same sinks as what readers do. A mail never waits for them, and none is lost because
an event can't be written.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msys_track.dispatch.decide import CopyDecision, Decision
from msys_track.dispatch.inputs import draw_message_id, makes_amp_urls
from msys_track.event_fields import NO_MESSAGE_ID, make_event_id, parse_metadata
from msys_track.eventlog.hits import HitLog
from msys_track.injection.envelope import Envelope
from msys_track.injection.record import SERVED, SentCopy
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.options.resolve import Resolved
from msys_track.policy.context import Contexts
from msys_track.rewriting.engine import HeaderField
from msys_track.smtp.reply import Reply
from msys_track.smtpapi.json import JsonError
from msys_track.smtpapi.mailbox import read_addresses
from msys_track.smtpapi.unfold import decode_words, unfold_value

log = event_logger(__name__)

_OWN_VARIABLES: Final = "cust_"
_MAX_TEXT: Final = 1_024
_MAX_PARSED: Final = 16_384
_AMP: Final = b"text/x-amp-html"


class MessageEvents:
    """Writes the events of mail into a hit log.

    Args:
        hits: Takes them.
        counters: Count `events.failed`; the log counts what it takes and drops.
        find_fields: Finds the fields of a name in a message's header.
        clock: Unix seconds.
    """

    def __init__(
        self,
        hits: HitLog,
        counters: Counters,
        find_fields: Callable[[bytes, bytes], Sequence[HeaderField]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._hits = hits
        self._counters = counters
        self._find_fields = find_fields
        self._clock = clock

    def note_accepted(
        self, envelope: Envelope, decision: Decision, sent: Sequence[SentCopy]
    ) -> None:
        """Write `injection` for each reader whose copy was relayed, or is kept."""
        self._write(lambda: self._make_injections(envelope, decision, sent))

    def note_rejected(self, envelope: Envelope, reply: Reply) -> None:
        """Write `policy_rejection` for each recipient of a message that policy refused."""
        self._write(
            lambda: [
                self._make_rejection(
                    to.path,
                    reply,
                    sender=envelope.sender,
                    peer=envelope.peer,
                    contexts=envelope.contexts,
                )
                | self._describe_header(envelope.message)
                for to in envelope.recipients
            ]
        )

    def note_recipient_rejected(
        self, recipient: str, reply: Reply, *, sender: str, peer: str, contexts: Contexts
    ) -> None:
        """Write `policy_rejection` for a recipient that policy refused before the message came."""
        self._write(
            lambda: [
                self._make_rejection(recipient, reply, sender=sender, peer=peer, contexts=contexts)
            ]
        )

    def _write(self, make_events: Callable[[], Sequence[dict[str, Any]]]) -> None:
        try:
            for fields in make_events():
                known = {name: value for name, value in fields.items() if value or value is False}
                text = json.dumps(
                    {"msys": {"message_event": known}}, ensure_ascii=False, separators=(",", ":")
                )
                self._hits.put_line(text.encode("utf-8", "replace"))
        except Exception:
            self._counters.add("events.failed")
            log.exception("events.failed")

    def _make_injections(
        self, envelope: Envelope, decision: Decision, sent: Sequence[SentCopy]
    ) -> list[dict[str, Any]]:
        copy_of = {reader.address: copy for copy in decision.copies for reader in copy.readers}
        message = self._describe_message(envelope, decision)
        return [
            self._make_injection(address, copy_of[address], each, message)
            for each in sent
            if each.outcome in SERVED
            for address in each.recipients
            if address in copy_of
        ]

    def _describe_message(self, envelope: Envelope, decision: Decision) -> dict[str, Any]:
        """Make the fields that all copies have in common."""
        moment = datetime.fromtimestamp(envelope.received_at, UTC)
        return {
            "timestamp": str(int(envelope.received_at)),
            "injection_time": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z",
            "transmission_id": str(decision.transmission_id),
            "msg_from": envelope.sender,
            "msg_size": str(len(envelope.message)),
            "recv_method": "esmtp",
            **self._describe_header(envelope.message),
            **dict(_list_own_variables(envelope.contexts)),
        }

    def _describe_header(self, message: bytes) -> dict[str, Any]:
        author = self._read_field(message, b"From")[:_MAX_PARSED]
        named = [address for _, address in read_addresses(author) if "@" in address]
        address = named[0] if named else ""
        return {
            "subject": self._read_field(message, b"Subject")[:_MAX_TEXT],
            "friendly_from": address[:_MAX_TEXT],
            "sending_domain": address.rpartition("@")[2].lower()[:_MAX_TEXT],
        }

    def _read_field(self, message: bytes, name: bytes) -> str:
        fields = self._find_fields(message, name)
        if not fields:
            return ""
        value = unfold_value(fields[0][1])
        try:
            return decode_words(value)
        except JsonError:  # an encoded-word that is none stays as it stands
            return value.decode("utf-8", "replace")

    def _make_injection(
        self, address: str, copy: CopyDecision, sent: SentCopy, message: Mapping[str, Any]
    ) -> dict[str, Any]:
        at = int(self._clock() * 1000)
        fields = {
            "type": "injection",
            "event_id": make_event_id(at, os.urandom(10)),
            **message,
            "message_id": sent.message_id or draw_message_id(),
            **_describe_reader(address),
        }
        types = {reader.address: reader.type for reader in copy.readers}
        fields["rcpt_type"] = types[address] if types[address] != "to" else None
        if copy.resolved is not None:
            has_amp = _AMP in copy.source.message
            fields |= _describe_options(copy.resolved, has_amp=has_amp)
        if copy.resolved is not None and copy.resolved.privacy.value == "aggregate":
            for name in ("rcpt_meta", "transmission_id", *_describe_reader(address)):
                fields.pop(name, None)
            fields["message_id"] = NO_MESSAGE_ID
        return fields

    def _make_rejection(
        self, recipient: str, reply: Reply, *, sender: str, peer: str, contexts: Contexts
    ) -> dict[str, Any]:
        now = self._clock()
        reason = f"{reply.code} {reply.text}"[:_MAX_TEXT]
        return {
            "type": "policy_rejection",
            "event_id": make_event_id(int(now * 1000), os.urandom(10)),
            "timestamp": str(int(now)),
            "customer_id": contexts.lookup("mo_customer_id") or "1",
            "error_code": str(reply.code),
            "reason": reason,
            "raw_reason": reason,
            "msg_from": sender,
            "remote_addr": peer,
            "recv_method": "esmtp",
            **_describe_reader(recipient),
            **dict(_list_own_variables(contexts)),
        }


def _describe_reader(address: str) -> dict[str, Any]:
    domain = address.rpartition("@")[2].lower() if "@" in address else ""
    return {
        "rcpt_to": address.lower(),
        "raw_rcpt_to": address,
        "recipient_domain": domain,
        "routing_domain": domain,
    }


def _describe_options(resolved: Resolved, *, has_amp: bool) -> dict[str, Any]:
    subaccount = resolved.subaccount_id.value
    return {
        "customer_id": str(resolved.customer_id.value),
        "subaccount_id": str(subaccount) if subaccount else None,
        "campaign_id": resolved.campaign_id.value,
        "rcpt_meta": parse_metadata(resolved.metadata.value),
        "rcpt_tags": list(resolved.tags.value),
        "open_tracking": resolved.open_tracking.value,
        "click_tracking": resolved.click_tracking.value,
        "initial_pixel": resolved.open_tracking.value and resolved.initial_open.value,
        "amp_enabled": has_amp and makes_amp_urls(resolved),
        "transactional": "1" if resolved.transactional.value else "0",
    }


def _list_own_variables(contexts: Contexts) -> Iterator[tuple[str, str]]:
    """Yield policy's variables that join the event, as Momentum's `cust_prefix` has it."""
    for context in (contexts.connection, contexts.message):
        for name, value in context.items().items():
            if name.startswith(_OWN_VARIABLES):
                yield name, value[:_MAX_TEXT]
