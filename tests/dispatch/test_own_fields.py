"""Fields that a copy gets of its own: the id of its events, and a way to unsubscribe."""

import re
from typing import Any

import pytest

from msys_track import KeyRing, Rewriter, TrackingOptions
from msys_track.dispatch.copies import Copy
from msys_track.keys.link import open_link

KEYS = KeyRing.temporary()
HEAD = b"From: shop@example.com\r\nSubject: Sale\r\nContent-Type: text/html\r\n"
BODY = b"\r\n<a href='https://e.test/'>x</a>\r\n"
ON: dict[str, Any] = {
    "click_tracking": True,
    "click_tracking_scheme": "https",
    "tracking_domain": "t.test",
}
TO = ("ann@example.com", "bob@example.com")


def copies(message: bytes, **options: Any) -> tuple[Copy, ...]:
    engine = options.pop("engine", "native")
    rewriter = Rewriter(keys=KEYS, options=TrackingOptions(**ON | options), engine=engine)
    return tuple(rewriter.copies(message, TO))


def header(copy: Copy) -> bytes:
    return copy.message.partition(b"\r\n\r\n")[0] + b"\r\n"


def test_a_mail_brings_its_own_message_id() -> None:
    for copy in copies(HEAD + b"X-SP-Message-ID: 000443ee14578172be22\r\n" + BODY):
        assert copy.message_id == "000443ee14578172be22"
        assert b"X-SP-Message-ID: 000443ee14578172be22" in copy.message


@pytest.mark.parametrize(
    "field",
    [
        b"X-SP-Message-ID: \r\n",
        b"X-SP-Message-ID: a b\r\n",
        b"X-SP-Message-ID: " + b"a" * 65 + b"\r\n",
        b"X-SP-Message-ID: a\r\nX-SP-Message-ID: b\r\n",
    ],
)
def test_an_id_that_is_none_does_not_count(field: bytes) -> None:
    first, second = copies(HEAD + field + BODY)
    assert first.message_id != second.message_id
    assert all(re.fullmatch("[0-9a-f]{20}", each.message_id or "") for each in (first, second))


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_the_id_of_its_events_is_added_to_each_copy(engine: str) -> None:
    for copy in copies(HEAD + BODY, add_message_id=True, engine=engine):
        added = f"X-SP-Message-ID: {copy.message_id}\r\n".encode()
        assert header(copy) == HEAD + added


def test_without_tracking_each_copy_still_gets_an_id_of_its_own() -> None:
    found = copies(HEAD + BODY, add_message_id=True, click_tracking=False)
    fields = {re.findall(rb"X-SP-Message-ID: [0-9a-f]{20}\r\n", each.message)[0] for each in found}
    assert len(fields) == 2


@pytest.mark.parametrize("eol", [b"\r\n", b"\n"])
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_one_click_unsubscription_is_added_with_a_sealed_link_for_each_reader(
    engine: str, eol: bytes
) -> None:
    mail = (HEAD + BODY).replace(b"\r\n", eol)
    for copy in copies(mail, list_unsubscribe="one-click", engine=engine):
        lines = copy.message.partition(eol * 2)[0].split(eol)
        assert lines[-1] == b"List-Unsubscribe-Post: List-Unsubscribe=One-Click"
        url = re.fullmatch(rb"List-Unsubscribe: <(https://t\.test/u/[\w-]+)>", lines[-2])
        assert url is not None
        claims = open_link(url[1], KEYS)
        assert claims.kind == "list_unsubscribe"
        assert claims.engagement.recipient == copy.recipients[0]
        assert claims.engagement.message_id == copy.message_id


def test_a_mail_address_stands_before_the_link() -> None:
    found = copies(
        HEAD + BODY, list_unsubscribe="one-click", list_unsubscribe_mailto="leave@example.com"
    )
    for copy in found:
        wanted = f"<mailto:leave@example.com?subject=unsubscribe:{copy.message_id}>,\r\n <https://"
        assert wanted.encode() in copy.message


@pytest.mark.parametrize(
    ("field", "options"),
    [
        (b"List-Unsubscribe: <https://shop.test/leave>\r\n", {}),
        (b'X-MSYS-API: {"options": {"transactional": true}}\r\n', {}),
        (b"", {"click_tracking_scheme": "http"}),
        (b"", {"privacy": "aggregate"}),
        (b"DKIM-Signature: v=1; h=From:List-Unsubscribe; b=x\r\n", {}),
    ],
    ids=["has one", "transactional", "http", "aggregate", "signed"],
)
def test_where_it_may_not_be_nothing_is_added(field: bytes, options: dict[str, Any]) -> None:
    for copy in copies(HEAD + field + BODY, list_unsubscribe="one-click", **options):
        assert b"List-Unsubscribe-Post" not in copy.message


def test_it_stands_where_the_header_ended_also_behind_a_field_that_goes() -> None:
    for copy in copies(HEAD + b"X-MSYS-API: {}\r\n" + BODY, add_message_id=True):
        assert header(copy) == HEAD + f"X-SP-Message-ID: {copy.message_id}\r\n".encode()
