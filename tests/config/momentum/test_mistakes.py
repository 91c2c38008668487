"""Mistakes in `ecelerity.conf` that would otherwise change what is tracked in silence."""

from pathlib import Path

import pytest

from msys_track.config.checking import check_configuration

SMTPAPI = (
    "open_tracking", "click_tracking", "open_tracking_scheme", "click_tracking_scheme",
    "tracking_domain", "tracking_link_expiry", "campaign_id", "metadata", "tags",
)  # fmt: skip
BOOLEAN = "allowed: true or false"
STRINGS = "allowed: a JSON array of strings"
GLOBAL = "has no effect in the global scope"
IN_LISTENER = "has no effect in esmtp_listener"
PEER_AT_TOP = f"{GLOBAL}; Peer must stand in ESMTP_Listener or Listen"
LISTEN_AT_TOP = f"{GLOBAL}; Listen must stand in ESMTP_Listener"
TO_TOP = "must stand in the global scope or pathway_group"
TO_TRACKER = "it belongs in engagement_tracker"
MEANT_OPENS = "unknown; did you mean open_tracking_enabled?"
ON_ANOTHER = "a pathway can't be put on another one"
UNKNOWN = "unknown variable; did you mean smtpapi_open_tracking?"
NO_PATHWAY = 'there is no [pathway."zz"]'


def faults(folder: Path, text: str) -> list[str]:
    path = folder / "ecelerity.conf"
    path.write_text(f'Gateway="127.0.0.1" smtpapi {{}}\n{text}\n', encoding="utf-8")
    return [
        each.format_line(Path("x")).removeprefix("x:")
        for each in check_configuration(path).problems
    ]


@pytest.mark.parametrize(
    ("text", "wording"),
    [
        (
            "open_tracking_enabled = maybe\n open_tracking_enabled = true",
            [f'2: ESMTP_Listener.open_tracking_enabled: found "maybe", {BOOLEAN}'],
        ),
        (
            "open_tracking_enabled = maybe\n open_tracking_enabled = perhaps",
            [
                f'2: ESMTP_Listener.open_tracking_enabled: found "maybe", {BOOLEAN}',
                f'3: ESMTP_Listener.open_tracking_enabled: found "perhaps", {BOOLEAN}',
            ],
        ),
        ("Enable = 2\n Enabled = true", ['2: enable: found "2", allowed: true or false']),
        (
            'context = [\n smtpapi_tags = "1" ]\n context = [ x = "1" ]',
            [f'3: ESMTP_Listener.context.smtpapi_tags: found "1", {STRINGS}'],
        ),
        ("tracking_domain = a\n tracking_domain = b\n Enable = off\n Enable = on", []),
    ],
)
def test_a_wrong_value_is_told_although_a_later_one_overrides_it_and_a_good_one_is_not(
    tmp_path: Path, text: str, wording: list[str]
) -> None:
    assert faults(tmp_path, f"ESMTP_Listener {{ {text}\n}}") == wording


@pytest.mark.parametrize("beside", ["", ' smtpapi_click_tracking = "2"'])
def test_a_misspelt_variable_and_an_unknown_pathway_of_the_context_are_told(
    tmp_path: Path, beside: str
) -> None:
    context = f'context = [ smtpapi_open_trakcing = "1"\n pathway = "zz"{beside} ]'
    found = faults(tmp_path, f"ESMTP_Listener {{ {context}\n}}")
    assert f"2: ESMTP_Listener.context.smtpapi_open_trakcing: {UNKNOWN}" in found
    assert '3: ESMTP_Listener.context.pathway: there is no pathway "zz" { … }' in found
    assert len(found) == (3 if beside else 2)


def test_of_toml_they_are_told_too(tmp_path: Path) -> None:
    path = tmp_path / "msys-track.toml"
    path.write_text('[listener.context]\nsmtpapi_open_trakcing = "1"\npathway = "zz"\n')
    assert [problem.format_line(Path("x")) for problem in check_configuration(path).problems] == [
        f"x:2: listener.context.smtpapi_open_trakcing: {UNKNOWN}",
        f"x:3: listener.context.pathway: {NO_PATHWAY}",
    ]


def test_what_has_no_near_name_is_told_with_all_of_them(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, "pathway p { context = [ smtpapi_x = 1 Class = TXN ] }")
    known = ", ".join(f"smtpapi_{name}" for name in SMTPAPI)
    assert found == f'2: pathway "p".context.smtpapi_x: unknown variable; known: {known}'


def test_every_variable_of_the_module_is_known(tmp_path: Path) -> None:
    values = {"metadata": "{}", "tags": "[]", "tracking_domain": "a.example"}
    values |= dict.fromkeys(("open_tracking_scheme", "click_tracking_scheme"), "http")
    written = " ".join(f"smtpapi_{name} = '{values.get(name, '1')}'" for name in SMTPAPI)
    text = f"pathway zz {{ }} pathway p {{ context = [ pathway = zz {written} ] }}"
    assert faults(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "wording"),
    [
        # An option that is written as a stanza.
        ("Outlook_Links { }", "Outlook_Links: found a stanza, allowed: Outlook_Links = value"),
        ('context { x = "1" }', "context: found a stanza, allowed: context = value"),
        ("open_traking_enabled { }", f"open_traking_enabled: {MEANT_OPENS}"),
        ("max_metadata_len { }", f"max_metadata_len: {IN_LISTENER}; {TO_TRACKER}"),
        # A stanza in a place where it means nothing.
        ("pathway a { outlook_links = true }", f"pathway: {IN_LISTENER}; pathway {TO_TOP}"),
    ],
)
def test_what_can_not_stand_in_a_listener_is_a_fault(
    tmp_path: Path, text: str, wording: str
) -> None:
    assert faults(tmp_path, f"ESMTP_Listener {{ {text} }}") == [f"2: esmtp_listener.{wording}"]


@pytest.mark.parametrize(
    ("text", "wording"),
    [
        ("Peer ::1 { outlook_links = true }", [f"2: Peer: {PEER_AT_TOP}"]),
        ('Peer ::1 { pathway = "a" }', [f"2: Peer: {PEER_AT_TOP}"]),
        ("Listen :25 { Peer ::1 { context = [ ] } }", [f"2: Listen: {LISTEN_AT_TOP}"]),
        ('pathway "a" { pathway = "a" }', [f"2: pathway.pathway: {ON_ANOTHER}"]),
        (
            'pathway_group "g" { pathway = "a" pathway "a" { } }',
            [f"2: pathway_group.pathway: {ON_ANOTHER}"],
        ),
        # A stanza of ours without our options is Momentum's own.
        ('Control_Listener { Listen ":25" { } Peer "::1" { x = 1 } }', []),
        ('Peer "::1" { x = 1 }', []),
    ],
)
def test_a_misplaced_stanza_or_pathway_is_sent_to_its_place(
    tmp_path: Path, text: str, wording: list[str]
) -> None:
    assert faults(tmp_path, text) == wording
