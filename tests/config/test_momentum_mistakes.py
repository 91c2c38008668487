"""Mistakes in `ecelerity.conf` that would otherwise change what is tracked in silence."""

from pathlib import Path

import pytest

from msys_track.config.checking import checked

BOOLEAN = "allowed: true or false, without quotes"


def faults(folder: Path, text: str) -> list[str]:
    path = folder / "ecelerity.conf"
    path.write_text(f'Gateway="127.0.0.1" smtpapi {{}}\n{text}\n', encoding="utf-8")
    return [problem.told(Path("x.conf")) for problem in checked(path).problems]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "open_tracking_enabled = maybe\n open_tracking_enabled = true",
            [f'x.conf:2: listener.open_tracking_enabled: found "maybe", {BOOLEAN}'],
        ),
        (
            "open_tracking_enabled = maybe\n open_tracking_enabled = perhaps",
            [
                f'x.conf:2: listener.open_tracking_enabled: found "maybe", {BOOLEAN}',
                f'x.conf:3: listener.open_tracking_enabled: found "perhaps", {BOOLEAN}',
            ],
        ),
        (
            "Enable = 2\n Enabled = true",
            ['x.conf:2: enable: found "2", allowed: true or false'],
        ),
        (
            'context = [\n smtpapi_open_tracking = "maybe" ]\n context = [ x = "1" ]',
            [
                (
                    'x.conf:3: listener.context.smtpapi_open_tracking: found "maybe", '
                    'allowed: "1", "0", "true" or "false"'
                ),
            ],
        ),
    ],
)
def test_a_wrong_value_is_told_although_a_later_one_overrides_it(
    tmp_path: Path, text: str, said: list[str]
) -> None:
    assert faults(tmp_path, f"ESMTP_Listener {{ {text}\n}}") == said


def test_a_good_value_may_be_overridden(tmp_path: Path) -> None:
    text = "tracking_domain = a\n tracking_domain = b\n Enable = off\n Enable = on"
    assert faults(tmp_path, f"ESMTP_Listener {{ {text}\n}}") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "ESMTP_Listener { Open_Tracking_Enabled { } }",
            (
                "x.conf:2: esmtp_listener.Open_Tracking_Enabled: found a stanza, "
                "allowed: Open_Tracking_Enabled = value"
            ),
        ),
        (
            'ESMTP_Listener { context { x = "1" } }',
            "x.conf:2: esmtp_listener.context: found a stanza, allowed: context = value",
        ),
        (
            "ESMTP_Listener { open_traking_enabled { } }",
            (
                "x.conf:2: esmtp_listener.open_traking_enabled: unknown; "
                "did you mean open_tracking_enabled?"
            ),
        ),
        (
            "tracking_domain { }",
            (
                "x.conf:2: tracking_domain: means nothing in the global scope; it belongs in "
                "ESMTP_Listener, Listen, Peer, pathway or pathway_group"
            ),
        ),
    ],
)
def test_an_option_written_as_a_stanza_is_a_fault(tmp_path: Path, text: str, said: str) -> None:
    assert faults(tmp_path, text) == [said]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('pathway "a" { pathway = "a" }', "pathway.pathway"),
        ('pathway_group "g" { pathway = "a" pathway "a" { } }', "pathway_group.pathway"),
    ],
)
def test_a_pathway_is_not_put_on_another_one(tmp_path: Path, text: str, key: str) -> None:
    assert faults(tmp_path, text) == [f"x.conf:2: {key}: a pathway can't be put on another one"]
