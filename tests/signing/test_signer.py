"""What is signed verifies by dkimpy; what can't be signed goes out as it is, and is counted."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.captured_logs import capture_logs
from tests.shared_corpus import messages, needs_corpus
from tests.signing.conftest import KeyPair
from tests.thoroughness import examples, some_of

from msys_track.errors import SettingsError
from msys_track.metrics import Counters
from msys_track.signing.settings import DkimSettings
from msys_track.signing.signer import Signer
from msys_track.smtp import data

NOW = 1_700_000_000
MESSAGE = (
    b"From: Jo <jo@example.com>\r\nTo: al@example.org\r\n"
    b"Subject: folded\r\n  and   spaced \r\nX-Own: x\r\n"
    b"Content-Type: text/plain\r\n\r\n"
    b".a dot \r\n \r\n\ttab\t \r\nlast\r\n\r\n\r\n"
)


def make_signer(pair: KeyPair, counters: Counters | None = None, **fields: Any) -> Signer:
    domain = DkimSettings(selector="mail", private_key=pair.file, **fields)
    return Signer({"example.com": domain}, (counters or Counters()).add, clock=lambda: NOW)


@cache
def share_signer(pair: KeyPair) -> Signer:
    """One for all tests that count nothing: the library tests the primes of each key it reads."""
    return make_signer(pair)


def sign(signer: Signer, message: bytes) -> bytes:
    """Return the signed message, from the wire bytes that would be sent."""
    wire = data.stuff(message)
    signed = signer.sign(wire) + wire
    assert data.find_end_of_data(signed, 0) == len(signed) - 3
    return data.unstuff(signed[:-3])


def tags(message: bytes) -> dict[str, str]:
    found = re.match(rb"DKIM-Signature:((?:[^\r]|\r\n[ \t])*)\r\n", message)
    assert found is not None
    text = re.sub(r"\s+", "", found[1].decode())
    return dict(each.split("=", 1) for each in text.split(";"))


@pytest.mark.parametrize(
    "body",
    [
        MESSAGE.partition(b"\r\n\r\n")[2],
        b"",
        b"\r\n",
        b" \t\r\n\r\n",
        b"..\r\n.\r\n",
        b"no line break at its end" + b" x" * 30_000,
        b"8 bit: gr\xc3\xbcn \xff\r\n",
    ],
)
def test_another_implementation_verifies_what_we_sign(pair: KeyPair, body: bytes) -> None:
    message = MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body
    signed = sign(share_signer(pair), message)
    assert signed.endswith((message, message + b"\r\n"))
    assert pair.verifies(signed)


def test_what_was_changed_or_added_afterwards_does_not_verify(pair: KeyPair) -> None:
    signed = sign(share_signer(pair), MESSAGE)
    assert not pair.verifies(signed.replace(b"last", b"lost"))
    assert not pair.verifies(signed.replace(b"Subject: folded", b"Subject: forged"))
    assert not pair.verifies(signed.replace(b"X-Own", b"From: evil@example.net\r\nX-Own"))
    assert not pair.verifies(signed + b"more\r\n")
    assert pair.verifies(signed.replace(b"X-Own: x", b"X-Other: y"))


def test_the_tags_are_those_of_the_rfc_and_the_body_is_signed_whole(pair: KeyPair) -> None:
    signed = tags(sign(share_signer(pair), MESSAGE))
    assert signed["v"] == "1"
    assert signed["c"] == "relaxed/relaxed"
    assert (signed["d"], signed["s"], signed["t"]) == ("example.com", "mail", str(NOW))
    assert signed["h"] == "from:subject:to:content-type:from"
    assert not {"l", "x"} & set(signed)


def test_a_signature_may_have_an_end(pair: KeyPair) -> None:
    signer = make_signer(pair, valid_hours=2)
    signed = tags(sign(signer, MESSAGE))
    assert signed["x"] == str(NOW + 7200)


def test_no_line_of_a_signature_is_longer_than_78_characters(pair: KeyPair) -> None:
    names = [b"List-Unsubscribe-Post", b"List-Unsubscribe", b"References", b"In-Reply-To", b"Cc"]
    message = b"".join(name + b": x\r\n" for name in names * 6) + MESSAGE
    signed = sign(share_signer(pair), message)
    assert max(map(len, signed.split(b"From:")[0].split(b"\r\n"))) <= 78
    assert pair.verifies(signed)


@pytest.mark.parametrize(
    ("author", "is_signed"),
    [
        (b"jo@example.com", True),
        (b"jo@EXAMPLE.com", True),
        (b'"a@b.c, <x@y.z>" <jo@example.com>', True),
        (b"(a (nested) <x@y.z>) jo@example.com", True),
        (b"Jo\r\n <jo@example.com>, al@example.net", True),
        (b"jo@example.net", False),
        (b"jo@mail.example.com", False),
        (b"jo@badexample.com", False),
        (b"jo@com", False),
    ],
)
def test_the_domain_of_the_author_chooses_the_key(
    pair: KeyPair,
    author: bytes,
    is_signed: bool,  # noqa: FBT001 - a case
) -> None:
    counters = Counters()
    message = b"From: " + author + b"\r\n\r\nx\r\n"
    signed = sign(make_signer(pair, counters), message)
    assert (signed != message) == is_signed
    assert counters.snapshot() == {"dkim.signed" if is_signed else "dkim.unsigned": 1}
    assert not is_signed or pair.verifies(signed)


def test_a_domain_may_sign_for_those_below_it(pair: KeyPair) -> None:
    signer = make_signer(pair, covers_subdomains=True)
    message = b"From: jo@a.mail.example.com\r\n\r\nx\r\n"
    assert pair.verifies(sign(signer, message))


def test_an_internationalised_domain_is_known_by_its_ascii_form(pair: KeyPair) -> None:
    domain = DkimSettings(selector="mail", private_key=pair.file)
    signer = Signer({"xn--bcher-kva.example": domain}, Counters().add, clock=lambda: NOW)
    message = "From: jo@B\u00dcCHER.example\r\n\r\nx\r\n".encode()
    signed = sign(signer, message)
    assert pair.verifies(signed, "mail._domainkey.xn--bcher-kva.example.")


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"Subject: x\r\n\r\nx\r\n", "there are 0 From fields"),
        (b"From: a@example.com\r\nfrom: b@example.com\r\n\r\nx\r\n", "there are 2 From fields"),
        (b"From: nobody\r\n\r\nx\r\n", "From has no address"),
        (b"From: a@\xff.example\r\n\r\nx\r\n", "From has no domain"),
        ("From: a@\u2024.example\r\n\r\nx\r\n".encode(), "From has no domain"),
        (b"From: a@example.com\r\nno field\r\n\r\nx\r\n", "line 2 or one that continues it"),
        (b"From: a@example.com\r\n\r\nbare\nline\r\n", "a CR or LF stands alone"),
        (b"From: a@example.com\r\nX: a\rb\r\n\r\nx\r\n", "line 2 or one that continues it"),
        (b"", "there are 0 From fields"),
    ],
)
def test_mail_that_can_not_be_signed_goes_out_as_it_is(
    pair: KeyPair, message: bytes, why: str
) -> None:
    counters = Counters()
    with capture_logs() as logs:
        assert make_signer(pair, counters).sign(data.stuff(message)) == b""
    assert counters.snapshot() == {"dkim.failed": 1}
    assert [each["event"] for each in logs] == ["dkim.failed"]
    assert why in logs[0]["why"]


def test_a_defect_in_signing_costs_the_signature_alone(pair: KeyPair) -> None:
    def break_down() -> float:
        raise ZeroDivisionError

    counters = Counters()
    domain = DkimSettings(selector="mail", private_key=pair.file)
    signer = Signer({"example.com": domain}, counters.add, clock=break_down)
    with capture_logs() as logs:
        assert sign(signer, MESSAGE) == MESSAGE
    assert counters.snapshot() == {"dkim.failed": 1}
    assert [each["event"] for each in logs] == ["dkim.failed"]


def test_a_key_that_can_not_be_used_is_named_by_its_domain(tmp_path: Path) -> None:
    domain = DkimSettings(selector="mail", private_key=tmp_path / "none.pem")
    with pytest.raises(SettingsError, match=r'dkim\."example\.com"\.private_key: .*none\.pem: '):
        Signer({"example.com": domain}, Counters().add)


HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"Subject", b"TO", b"cc", b"X-A", b"List-Id", b"Sender", b"Reply-To"]),
        st.sampled_from([b"", b" ", b" \t "]),
        st.lists(
            st.sampled_from([b"a", b" ", b"\t", b":", b"\r\n ", b"\r\n\t", b";", b"b="]),
            max_size=6,
        ).map(b"".join),
    ),
    max_size=6,
)
BODIES = st.lists(
    st.sampled_from([b"\r\n", b" ", b"\t", b".", b"a", b"\xff", b"\r\n."]), max_size=10
).map(b"".join)


@given(headers=HEADERS, body=BODIES)
@settings(
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_whatever_a_mail_holds_its_signature_verifies(
    pair: KeyPair, headers: list[tuple[bytes, bytes, bytes]], body: bytes
) -> None:
    fields = b"".join(name + b":" + space + value + b"\r\n" for name, space, value in headers)
    message = fields + b"From: jo@example.com\r\n\r\n" + body
    signed = sign(share_signer(pair), message)
    assert signed.startswith(b"DKIM-Signature:")
    assert pair.verifies(signed)


def real_mails() -> Iterator[bytes]:
    """Real mails as a client sends them, every tenth, from an address that has a key."""
    for place, (_, message) in enumerate(messages()):
        if place % 10 == 0:
            lines = re.sub(rb"\r\n|\r|\n", b"\r\n", message)
            header, _, body = lines.partition(b"\r\n\r\n")
            kept = re.sub(
                rb"(?im)^(from|dkim-signature):(.|\r\n[ \t])*\r\n", b"", header + b"\r\n"
            )
            if re.fullmatch(rb"([!-9;-~]+[ \t]*:(.|\r\n[ \t])*\r\n)*", kept):
                yield b"From: jo@example.com\r\n" + kept + b"\r\n" + body


@needs_corpus
def test_real_mails_verify(pair: KeyPair) -> None:
    signer, seen = share_signer(pair), 0
    for message in some_of(real_mails(), 3):
        signed = sign(signer, message)
        assert pair.verifies(signed), message[:300]
        seen += 1
    assert seen > 10
