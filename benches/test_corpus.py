"""What benches/corpus/README.md says of the inputs."""

import json
import re
from pathlib import Path

import pytest
from benches.corpus import newsletter
from benches.smtp import mail

README = Path(__file__).parent / "corpus" / "README.md"
ROW = re.compile(r"\| `newsletter\.html\((\d+)\)` \| ([\d,]+) \| (\d+) \|")


@pytest.mark.parametrize(("kilobytes", "size", "links"), ROW.findall(README.read_text()))
def test_a_newsletter_has_the_size_and_links_it_is_said_to_have(
    kilobytes: str, size: str, links: str
) -> None:
    html = newsletter.html(int(kilobytes))
    assert f"{len(html):,}" == size
    assert newsletter.links(html) == int(links)
    assert html == newsletter.html(int(kilobytes))


def test_a_newsletter_is_as_it_is_described() -> None:
    html = newsletter.html(80)
    assert html.count(b"\n") == html.count(b"\r\n") > 1_000
    targets = re.findall(rb'<a href="([^"]*)"', html)
    assert all(160 <= len(target) <= 180 for target in targets)
    sections = html.count(b"<strong>")
    comments = re.findall(rb"<!--.*?-->", html, re.DOTALL)
    assert len(comments) == 5 * sections
    assert not any(b"<a " in comment for comment in comments)
    assert len(json.dumps(newsletter.METADATA, separators=(",", ":"))) == 200


def test_the_mail_of_the_smtp_bench_is_as_it_is_described() -> None:
    message = mail.message()
    assert f"{len(message):,}" in README.read_text()
    assert message.count(b"<a href=") == mail.LINKS == 12
    assert b"\n." not in message
