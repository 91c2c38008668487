"""The mails of the tour are what their expectations say, before anything is sent."""

import email
import email.policy
from importlib import resources

import pytest

from msys_track.demo.catalogue import MAILS, NEWSLETTER, Mail
from msys_track.testing.mail_reader import LinkPlace, read_mail


@pytest.mark.parametrize("mail", MAILS, ids=lambda mail: mail.file)
def test_a_mail_has_the_links_that_are_expected_of_it(mail: Mail) -> None:
    found = [(link.place, link.href) for link in read_mail(mail.message()).links]
    assert found == [(link.place, link.href) for link in mail.links]


@pytest.mark.parametrize("mail", MAILS, ids=lambda mail: mail.file)
def test_a_mail_is_one_that_mail_programs_understand(mail: Mail) -> None:
    parsed = email.message_from_bytes(mail.message(), policy=email.policy.default)
    assert [part.defects for part in parsed.walk()] == [[]] * len(list(parsed.walk()))
    assert {"from", "to", "subject", "date", "message-id"} <= {name.lower() for name in parsed}
    assert mail.sender in str(parsed["from"])
    for recipient in mail.recipients:
        assert recipient in f"{parsed['to']} {parsed['cc']}"


def test_every_file_is_a_mail_of_the_tour() -> None:
    folder = resources.files("msys_track.demo") / "mails"
    assert {file.name for file in folder.iterdir()} == {mail.file for mail in MAILS}


def test_the_mails_are_of_different_shapes() -> None:
    encodings, charsets = set(), set()
    for mail in MAILS:
        for part in email.message_from_bytes(mail.message()).walk():
            encodings.add(part.get("Content-Transfer-Encoding"))
            charsets.add(part.get_content_charset())
    assert {"quoted-printable", "base64", "7bit", "8bit"} <= encodings
    assert {"utf-8", "us-ascii", "windows-1252"} <= charsets
    assert {len(mail.recipients) for mail in MAILS} == {1, 2, 3}
    assert {mail.is_tracked for mail in MAILS} == {True, False}


def test_the_button_for_outlook_is_in_the_newsletter() -> None:
    assert [link.place for link in NEWSLETTER.links].count(LinkPlace.OUTLOOK) == 1
