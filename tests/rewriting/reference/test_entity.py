"""The reference's reading of messages against the standard library's, over real mail."""

import email
from email.message import Message

from tests import oracle, shared_corpus
from tests.thoroughness import IS_THOROUGH, some_of


@shared_corpus.needs_corpus
def test_the_standard_library_finds_the_same_html_in_real_mail() -> None:
    """Where they differ, ours finds none.

    The other takes a line that is not a field for text, the first of two types, and HTML for the
    body whose related parts begin with an image.
    """
    found, differ = 0, 0
    for name, message in some_of(shared_corpus.messages()):
        if b"multipart" not in message and b"html" not in message:
            continue
        leaf, theirs = (
            next(iter(oracle.list_html(message)), None),
            _html(email.message_from_bytes(message)),
        )
        ours = None if leaf is None else message[leaf.start : leaf.end]
        if _is_signed(message):
            continue
        found += ours is not None
        if ours is None or theirs is None or ours.split() != theirs.split():
            differ += ours is not theirs
            assert ours is None, name
    assert found > (600 if IS_THOROUGH else 150)
    assert differ <= 5


def _is_signed(message: bytes) -> bool:
    head = message.lower().partition(b"\n\n")[0]
    return b"dkim-signature:" in head or b"arc-seal:" in head


def _html(part: Message) -> bytes | None:
    """The payload, still encoded, of the first HTML part that is the mail's own."""
    kind = part.get_content_type()
    if kind in ("multipart/signed", "multipart/encrypted", "multipart/report"):
        return None
    if kind.startswith("message/") or "pkcs7" in kind:
        return None
    if part.is_multipart():
        parts = [each for each in part.get_payload() if isinstance(each, Message)]
        return next((html for each in parts if (html := _html(each)) is not None), None)
    if kind != "text/html" or part.get_content_disposition() == "attachment":
        return None
    payload = part._payload  # type: ignore[attr-defined]  # noqa: SLF001 - get_payload decodes
    return str(payload).encode("ascii", "surrogateescape")
