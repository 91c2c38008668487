"""docs/smtp.md and docs/relay.md say what is answered, overridden and set; here they are held to
it."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import msys_track
from msys_track.injection.settings import ProxySettings
from msys_track.relay.settings import UpstreamSettings

ROOT = Path(__file__).parents[2]
PAGES = [(ROOT / "docs" / name).read_text() for name in ("smtp.md", "relay.md", "access.md")]
PAGE = "".join(PAGES)
SOURCES = [
    path
    for room in ("injection", "relay", "smtp")
    for path in sorted((Path(msys_track.__file__).parent / room).rglob("*.py"))
]
REPLY = re.compile(r"(?:\d{3} )?[245]\.\d\.\d+ (.+)", re.DOTALL)
# No client gets these: the relay's guards, whose causes MAIL and RCPT refuse, and one for a client
# that is gone.
UNHEARD = (
    "An address has characters",
    "A parameter of",
    "The client closed the connection",
)
NOT_LIMITS = {
    "workers",
    "worker_timeout_seconds",
    "listen_host",
    "listen_port",
    "more_listens",
    "is_tls_only",
    "access",
    "hostname",
    "host",
    "port",
    "protocol",
    "ehlo_name",
    # What chooses an upstream stands in the tables of several, without `upstream_`.
    "priority",
    "weight",
    "next_on_4xx",
    "tls",
    "tls_verify",
    "tls_name",
    "tls_ca_file",
    "tls_fingerprints",
    "user",
    "password",
}


def texts() -> Iterator[str]:
    """How the text of each reply of ours begins."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                reply = REPLY.fullmatch(node.value)
                if reply is not None:
                    yield reply[1].split(": ")[0].strip()


def test_every_reply_of_ours_is_in_the_page() -> None:
    said = {text for text in texts() if not text.startswith(("Error:", *UNHEARD))}
    assert len(said) > 15
    assert {text for text in said if text not in PAGE} == set()


def test_every_reply_in_the_page_is_one_of_ours() -> None:
    source = "".join(path.read_text() for path in SOURCES)
    promised = re.findall(r"`\d{3} [245]\.\d\.\d+ ([^`]+)`", PAGE)
    assert len(promised) > 15
    for text in promised:
        if "queued as" in text or text == "…":
            continue
        for part in re.split(r"…|, ", text):
            words = re.sub(r"\d+ cop(?:y|ies)|\d+|RCPT", "@", part.strip(" :;"))
            pattern = re.escape(words).replace("@", ".+?")
            assert re.search(pattern, source), text


@pytest.mark.parametrize(
    ("settings", "prefix"), [(ProxySettings, ""), (UpstreamSettings, "upstream_")]
)
def test_every_limit_is_in_the_page(settings: type, prefix: str) -> None:
    names = {field.name for field in fields(settings)} - NOT_LIMITS
    assert {name for name in names if f"`{prefix}{name}`" not in PAGE} == set()


def test_each_page_is_one_that_is_read() -> None:
    assert max(len(page.splitlines()) for page in PAGES) <= 220
