"""What pages show and no command prints: it is as it is written, and as other files have it."""

import base64
import json
import re
import tomllib
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from tests.event_schema import SCHEMA, list_fields
from tests.shown import DOCS, read_blocks

from msys_track import Claims, Engagement, KeyRing
from msys_track.cli.logs import _ToStandardError
from msys_track.event_fields import make_hit
from msys_track.tracking.classify.classifier import Classifier
from msys_track.tracking.classify.settings import ClassificationSettings
from msys_track.tracking.classify.windows import Windows, read_link


def read_sample(page: str) -> dict[str, Any]:
    """Read the only JSON of a page."""
    [block] = [each for each in read_blocks(page) if each.language == "json"]
    sample: dict[str, Any] = json.loads(block.text.replace(",…", ""))
    return sample


def read_toml(page: str) -> dict[str, Any]:
    """Read the only TOML of a page."""
    [block] = [each for each in read_blocks(page) if each.language == "toml"]
    return tomllib.loads(block.text)


HIT: Final = read_sample("event-log.md")
ENGAGEMENT: Final = Engagement(
    message_id="0123456789abcdef0123",
    recipient="jo@example.com",
    injected_at=1_699_990_000,
    expires_at=1_731_526_000,
    customer_id=1,
    open_tracking=True,
    click_tracking=True,
)


def test_a_hit_of_the_page_is_one_that_the_tracker_writes() -> None:
    claims = Claims(
        kind="click",
        engagement=ENGAGEMENT,
        target="https://shop.example/",
        link_number=3,
        link_part="html",
    )
    described = make_hit(claims, 1_700_000_000_123, "192.0.2.7", "Mozilla/5.0 …", "de")
    written = {name: value for name, value in described.items() if value != []}
    assert {"id": HIT["id"], **written} == HIT


def test_the_class_that_the_page_shows_is_that_of_five_links_in_a_moment() -> None:
    settings = ClassificationSettings(burst_links=5)
    windows = Windows(settings)
    classifier = Classifier(settings, windows=windows)
    for number in range(1, 5):
        hit = {**HIT, "at": HIT["at"] + 200 * number, "link_number": number}
        windows.remember(hit["message_id"], hit["at"], read_link(hit), b"", is_machine=False)
    verdict = classifier.classify({**HIT, "at": HIT["at"] + 1_000, "link_number": 5})
    rules = [{"rule": each.rule, "evidence": each.evidence} for each in verdict.findings]
    assert {"class": verdict.reader_class, "rules": rules} == read_sample("classification.md")


def test_the_line_about_dropped_lines_is_the_log_s() -> None:
    sample = read_sample("operating.md")
    handler = _ToStandardError(is_terminal=False)
    written = json.loads(handler._make_report(sample["lines"]))  # noqa: SLF001
    handler.close()
    assert {**written, "timestamp": sample["timestamp"]} == sample
    assert len(written["timestamp"]) == len(sample["timestamp"])


def test_the_event_of_a_stream_has_fields_of_the_schema() -> None:
    sample = read_sample("streams.md")
    faults = [
        error.message
        for error in Draft202012Validator(SCHEMA).iter_errors(sample)
        if error.validator != "required"  # the sample is cut
    ]
    assert faults == []
    [(envelope, fields)] = sample["msys"].items()
    assert fields.keys() <= list_fields(envelope)


def test_the_keys_of_a_variable_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    page = DOCS / "configuration.md"
    [block] = [each for each in read_blocks(page) if each.language == "sh"]
    name, _, value = block.text.strip().partition("=")
    assert f'"env:{name}"' in page.read_text(encoding="utf-8")
    secret = base64.b64encode(bytes(32)).decode()
    monkeypatch.setenv(name, value.strip("'").replace("32 random bytes as base64", secret))
    keys = KeyRing.load(f"env:{name}")
    assert keys.open(keys.seal(Claims(kind="open", engagement=ENGAGEMENT))).kind == "open"


@pytest.mark.parametrize("page", ["how-to/exim.md", "how-to/postfix.md"])
def test_the_proxy_beside_a_mail_server_is_the_one_that_the_files_of_deploy_are_run_with(
    page: str,
) -> None:
    deployed = tomllib.loads((DOCS / "deploy" / "msys-track.toml").read_text(encoding="utf-8"))
    assert read_toml(page)["proxy"].items() <= deployed["proxy"].items()


def test_prometheus_asks_at_the_addresses_that_the_page_gives_to_figures() -> None:
    told = (DOCS / "deploy" / "monitoring" / "prometheus.yml").read_text(encoding="utf-8")
    addresses = list(read_toml("how-to/monitoring.md")["metrics"].values())
    assert re.findall(r'targets: \["(.*)"\]', told) == addresses
