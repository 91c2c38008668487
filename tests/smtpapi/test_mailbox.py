from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.smtpapi.mailbox import Mailbox, parse_mailboxes, write_continuation, write_field

# Spaces other than the plain one confuse the standard library's parser, not ours.
names = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"], include_characters=" "),
    min_size=1,
    max_size=120,
)
addresses = st.from_regex(r"[a-z0-9.]{1,30}@[a-z]{1,20}\.example", fullmatch=True).filter(
    lambda text: ".." not in text and not text.startswith(".") and ".@" not in text
)
mailboxes = st.builds(Mailbox, addresses, st.none() | names)


def read_back(header: bytes) -> list[tuple[str, str]]:
    """Read a field as mail clients do: words beside each other are one (RFC 2047 section 6.2)."""
    value = message_from_bytes(header + b"\r\n")["cc"]
    boxes = getaddresses(["".join(value.splitlines())])
    return [(str(make_header(decode_header(name))), address) for name, address in boxes]


def test_each_mailbox_has_its_line_and_the_first_stands_after_the_colon() -> None:
    boxes = [Mailbox("a@b.test"), Mailbox("c@d.test", "Ann Lee"), Mailbox("e@f.test", 'O"Neil, X')]
    assert write_field("Cc", boxes, b"\r\n") == (
        b'Cc: a@b.test,\r\n Ann Lee <c@d.test>,\r\n "O\\"Neil, X" <e@f.test>\r\n'
    )


def test_a_name_that_is_not_ascii_is_written_in_encoded_words() -> None:
    written = write_field("Cc", [Mailbox("a@b.test", "Jürgen Groß")], b"\n")
    assert written == b"Cc: =?utf-8?q?J=C3=BCrgen_Gro=C3=9F?= <a@b.test>\n"


def test_a_field_that_has_mailboxes_is_continued() -> None:
    assert write_continuation([Mailbox("a@b.test"), Mailbox("c@d.test")], b"\n") == (
        b",\n a@b.test,\n c@d.test"
    )


def test_a_domain_beyond_ascii_becomes_its_a_label() -> None:
    assert parse_mailboxes("cc", ["post@bücher.example"])[0].email == "post@xn--bcher-kva.example"


def test_a_local_part_beyond_ascii_is_written_as_it_is() -> None:
    (box,) = parse_mailboxes("cc", [{"email": "jö@bücher.example", "name": "Jö"}])
    assert box.email == "jö@xn--bcher-kva.example"
    written = write_field("Cc", [box], b"\r\n")
    assert written == "Cc: =?utf-8?q?J=C3=B6?= <jö@xn--bcher-kva.example>\r\n".encode()


def test_a_domain_s_two_forms_are_one() -> None:
    identity = Mailbox("a@xn--bcher-kva.example").identity
    assert Mailbox("a@BÜCHER.example").identity == Mailbox("a@bücher.example").identity == identity


def test_domains_have_no_case_but_local_parts_do() -> None:
    assert Mailbox("Jo@EXAMPLE.test").identity == Mailbox("Jo@example.TEST").identity
    assert Mailbox("jo@example.test").identity != Mailbox("Jo@example.test").identity


@pytest.mark.parametrize(
    "address", ['"a b"@c.test', "a@[192.0.2.1]", "a+b@c-d.test", "x'y@z.test"]
)
def test_every_form_of_address_is_taken(address: str) -> None:
    assert parse_mailboxes("bcc", [address]) == (Mailbox(address),)


@given(st.lists(mailboxes, min_size=1, max_size=5))
def test_what_is_written_is_read_back_by_the_standard_library(boxes: list[Mailbox]) -> None:
    written = write_field("Cc", boxes, b"\r\n")
    lines = written.split(b"\r\n")
    assert all(line.startswith(b" ") for line in lines[1:-1])
    assert max(map(len, lines)) <= 998
    assert b"\r" not in written.replace(b"\r\n", b"")
    expected = [(" ".join((box.name or "").split()), box.email) for box in boxes]
    found = [(" ".join(name.split()), email) for name, email in read_back(written)]
    assert found == expected
