"""Keeps mail for click maps: one of each campaign and shape, beside the way of the mail.

No mail waits for it, and none fails because it can't be kept.
"""

import codecs
import email
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from threading import BoundedSemaphore
from typing import Final, NamedTuple, cast

from msys_track.dispatch.copies import render_alike
from msys_track.dispatch.decide import CopyDecision, Decision
from msys_track.errors import InvalidTokenError, TrackingError
from msys_track.injection.envelope import Envelope
from msys_track.kept_mail.form import (
    MAX_SHAPES,
    KeptLink,
    KeptMail,
    is_kept,
    name_shape,
    remove_old,
    save_mail,
)
from msys_track.kept_mail.settings import KeptMailSettings
from msys_track.keys.ring import KeyRing
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.options.resolve import Origin, Resolved

log = event_logger(__name__)

_LOOK_SECONDS: Final = 60.0
_RETENTION_SECONDS: Final = 3_600.0
_MAX_CAMPAIGNS: Final = 10_000
_MAX_WAITING: Final = 4
_NOBODY: Final = "reader@example.invalid"
_HOST: Final = "kept-mail.invalid"
_URL: Final = re.compile(rf"https?://{re.escape(_HOST)}(/[A-Za-z0-9_./~-]*[A-Za-z0-9_~-])")
# Of a URL that is not tracked: its query and fragment may be one reader's alone, as a way to log
# in is, or to unsubscribe. Blanks and quotes end a URL, in text and in attributes.
_QUERY: Final = re.compile(r"""((?:https?:)?//[^\s"'<>()?#]+)[?#][^\s"'<>()]*""", re.IGNORECASE)
_RUN: Final = re.compile(r"[a-z0-9]+")
# What browsers take these for (Encoding Standard), by Python's names.
_READ_AS: Final = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
_MAX_SUBJECT: Final = 1_024
# The names that HTML has for what an address may have.
_NAMED: Final = {"@": "commat", "+": "plus", ".": "period", "_": "lowbar", "&": "amp", "'": "apos"}


class _Looked(NamedTuple):
    """What was looked at of a campaign, for a while."""

    until: float
    shapes: set[int]


class MailKeeper:
    """Keeps a mail of each campaign whose `keep_messages` is on, and of each of its shapes.

    A shape is looked at once a minute, so that most mail costs a look-up.

    Args:
        settings: Its settings, with the whole path of the folder.
        counters: Count `kept_mail.kept` and `kept_mail.failed`.
        clock: Seconds, from anywhere on.
    """

    def __init__(
        self,
        settings: KeptMailSettings,
        counters: Counters,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._counters = counters
        self._clock = clock
        self._looked: OrderedDict[str, _Looked] = OrderedDict()
        self._retention_due = 0.0
        self._waiting = BoundedSemaphore(_MAX_WAITING)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keeper")

    def note_accepted(self, envelope: Envelope, decision: Decision) -> None:
        """Keep a mail that was relayed, if its shape is due. Never raises: the mail is out."""
        try:
            for copy in decision.copies:
                if copy.resolved is not None and _is_wanted(copy.resolved):
                    self._look_at(copy, copy.resolved, envelope)
                    return
        except Exception:
            self._counters.add("kept_mail.failed")
            log.exception("kept_mail.failed", folder=str(self._settings.folder))

    def remove_old(self) -> None:
        """Remove mail that was kept for too long, once an hour: call it now and then.

        It does so where nothing is kept any more, too.
        """
        if self._clock() >= self._retention_due:
            self._retention_due = self._clock() + _RETENTION_SECONDS
            with suppress(RuntimeError):  # it is closed
                self._thread.submit(self._remove_old)

    def close(self) -> None:
        """Finish what is under way; what waits is not kept."""
        self._thread.shutdown(cancel_futures=True)

    def _look_at(self, copy: CopyDecision, resolved: Resolved, envelope: Envelope) -> None:
        if len(envelope.message) > self._settings.max_bytes:
            return
        campaign = resolved.campaign_id.value or ""
        looked = self._find_looked(campaign)
        if len(looked.shapes) >= MAX_SHAPES:  # its links differ from reader to reader
            return
        plan = copy.source.open().find_plan(resolved)  # has been found: the mail is out
        if plan is None or not plan.links:
            return
        shape = hash(tuple([each.name or each.target.split("/", 3)[2] for each in plan.links]))
        if shape not in looked.shapes and self._waiting.acquire(blocking=False):
            looked.shapes.add(shape)
            self._thread.submit(self._keep, copy, campaign, envelope)

    def _find_looked(self, campaign: str) -> _Looked:
        now = self._clock()
        looked = self._looked.get(campaign)
        if looked is None or looked.until <= now:
            looked = self._looked[campaign] = _Looked(now + _LOOK_SECONDS, set())
            self._looked.move_to_end(campaign)
            if len(self._looked) > _MAX_CAMPAIGNS:
                self._looked.popitem(last=False)
        return looked

    def _keep(self, copy: CopyDecision, campaign: str, envelope: Envelope) -> None:
        folder = self._settings.folder
        try:
            recipients = [each.path for each in envelope.recipients]
            mail = describe_mail(copy, campaign, recipients)
            if mail.links and not is_kept(folder, campaign, mail.shape):
                save_mail(folder, mail)
                self._counters.add("kept_mail.kept")
        except (OSError, TrackingError) as error:
            self._counters.add("kept_mail.failed")
            log.error("kept_mail.failed", folder=str(folder), why=str(error))  # noqa: TRY400
        except Exception:
            self._counters.add("kept_mail.failed")
            log.exception("kept_mail.failed", folder=str(folder))
        finally:
            self._waiting.release()

    def _remove_old(self) -> None:
        folder = self._settings.folder
        try:
            removed = remove_old(folder, self._settings.keep_days)
        except OSError as error:
            self._counters.add("kept_mail.failed")
            log.error("kept_mail.failed", folder=str(folder), why=str(error))  # noqa: TRY400
        else:
            if removed:
                log.info("kept_mail.removed", folder=str(folder), mails=removed)


def describe_mail(copy: CopyDecision, campaign: str, recipients: Sequence[str]) -> KeptMail:
    """Make what is kept of a mail: its bodies, with markers where its links lead.

    Args:
        copy: One of its copies.
        campaign: Its campaign, or empty.
        recipients: Addresses that are made unreadable wherever they stand.

    Raises:
        RewriteError: a defect of the engine.
    """
    keys = KeyRing.temporary()
    assert copy.resolved is not None  # noqa: S101 - `note_accepted` has seen it
    [rendered] = render_alike(
        copy.source.open(), [copy.readers], _resolve_to_keep(copy.resolved), keys,
        now=int(time.time()),
    )  # fmt: skip
    message = email.message_from_bytes(rendered.message)
    links: dict[str, KeptLink] = {}
    bodies = {
        kind: mask_addresses(
            _QUERY.sub(r"\1", _mark(_read_body(message, kind), keys, links, recipients)),
            recipients,
        )
        for kind in ("text/html", "text/plain")
    }
    ordered = tuple(sorted(links.values(), key=lambda link: (link.part, link.number)))
    return KeptMail(
        campaign=campaign,
        shape=name_shape(ordered),
        kept_at=int(time.time()),
        subject=mask_addresses(_read_subject(message), recipients),
        html=bodies["text/html"],
        text=bodies["text/plain"],
        links=ordered,
    )


def _is_wanted(resolved: Resolved) -> bool:
    return (
        resolved.keep_messages.value
        and resolved.click_tracking.value
        and resolved.privacy.value != "aggregate"
    )


def _resolve_to_keep(resolved: Resolved) -> Resolved:
    """Change the options of a copy so that its links can be found again, and nothing is added."""
    return resolved._replace(
        open_tracking=Origin(value=False),
        tracking_domain=Origin(value=_HOST),
        add_message_id=Origin(value=False),
        list_unsubscribe=Origin(value="off"),
        metadata=Origin(value=None),
    )


def _read_body(message: Message, kind: str) -> str:
    """Read the first body of a kind; empty without one."""
    for part in _list_bodies(message):
        if part.get_content_type() == kind:
            payload = cast("bytes", part.get_payload(decode=True))  # of what has no parts
            return _decode(payload, part.get_content_charset("utf-8"))
    return ""


def _decode(payload: bytes, charset: str) -> str:
    try:
        codec = codecs.lookup(charset).name
        return payload.decode(_READ_AS.get(codec, codec), "replace")
    except LookupError:  # a charset that Python does not have, or none of text
        return payload.decode("utf-8", "replace")


def _list_bodies(message: Message) -> Iterator[Message]:
    for part in message.walk():
        if not part.is_multipart() and part.get_content_disposition() != "attachment":
            yield part


def _read_subject(message: Message) -> str:
    raw = str(message.get("Subject", ""))
    try:
        return str(make_header(decode_header(raw)))[:_MAX_SUBJECT]
    except (LookupError, MessageError, ValueError):
        return raw[:_MAX_SUBJECT]


def _mark(body: str, keys: KeyRing, links: dict[str, KeptLink], recipients: Sequence[str]) -> str:
    """Put a marker in place of each sealed link, and note the link."""

    def mark(found: re.Match[str]) -> str:
        try:
            claims = keys.open(found[1])
        except InvalidTokenError:
            return found[0]
        link = KeptLink(
            part=claims.link_part or "html",
            number=claims.link_number or 0,
            name=mask_addresses(claims.link_name or "", recipients),
            target=mask_addresses(
                (claims.target or "").partition("#")[0].partition("?")[0], recipients
            ),
        )
        links[link.marker] = link
        return link.marker

    return _URL.sub(mark, body)


def mask_addresses(text: str, recipients: Sequence[str]) -> str:
    """Make recipients' addresses unreadable, in every way that text, URLs and HTML write them."""
    lowered = text.lower()
    for address in recipients:
        # Of a thousand recipients few stand in the mail: look for theirs alone by pattern.
        if "@" in address and all(run in lowered for run in _RUN.findall(address.lower())):
            written = "".join(map(_match_character, address))
            text = re.sub(written, _NOBODY, text, flags=re.IGNORECASE)
    return text


def _match_character(character: str) -> str:
    """Match a character of an address as it may stand in text, in a URL or in HTML."""
    if character.isascii() and character.isalnum():
        return character
    percent = "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "replace"))
    number = ord(character)
    forms = [re.escape(character), percent, f"&#0*{number};", f"&#x0*{number:x};"]
    if character in _NAMED:
        forms.append(f"&{_NAMED[character]};")
    return f"(?:{'|'.join(forms)})"
