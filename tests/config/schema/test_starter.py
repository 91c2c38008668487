"""The file to begin with is good as it is, and with every comment that shows a key taken off."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from msys_track.config.checking import check_configuration
from msys_track.config.schema.starter import starter
from msys_track.config.schema.tables import FAMILIES, NESTED, TABLES, TOP
from msys_track.policy.loading import PolicySettings
from msys_track.settings.key import list_keys
from msys_track.tracking.classify.settings import ClassificationSettings
from msys_track.tracking.settings import TrackerSettings

UNCOMMENTED = re.sub(r"(?m)^#(?! )", "", starter())
ONE_UPSTREAM = 'upstream = "127.0.0.1:25"\n'
# Users are of no use without a way of logging in.
WHOLE = (
    UNCOMMENTED.replace(ONE_UPSTREAM, "")
    .replace('auth = "none"', 'auth = "basic"')
    .replace('sasl = "none"', 'sasl = "plain"')
)


def test_as_it_is_it_sets_what_must_be_set_and_nothing_else() -> None:
    assert tomllib.loads(starter()) == {
        "keys": "keys.toml",
        "listener": {},
        "engagement_tracker": {},
        "policy": {},
        "proxy": {"upstream": "127.0.0.1:25"},
        "spool": {},
        "metrics": {},
        "tracker": {"store": "events.sqlite"},
        "events": {},
        "classification": {},
        "store": {},
        "report": {},
        "kept_mail": {},
    }


def test_it_shows_every_key_of_every_table() -> None:
    shown = tomllib.loads(UNCOMMENTED)
    assert set(shown) == {*TOP, *TABLES, *FAMILIES, *NESTED}
    assert {table: set(shown[table]) for table in TABLES} == {
        table: set(keys) for table, keys in TABLES.items()
    }
    for name, family in FAMILIES.items():
        (member,) = shown[name].values()
        assert set(member) == set(family.keys)


@pytest.mark.parametrize(
    "text",
    [starter(), WHOLE],
    ids=["as it is", "uncommented, but for what does not go together"],
)
def test_it_passes_the_check(folder: Path, text: str) -> None:
    path = folder / "msys-track.toml"
    path.write_text(text, encoding="utf-8")
    examples = [key.example for key in list_keys(ClassificationSettings).values()]
    for file in ("redirects.txt", "withdrawn.txt", "api-keys.toml", *examples):
        if isinstance(file, str):
            (folder / file).touch(0o600)
    checked = check_configuration(path)
    assert [problem.format_line(path) for problem in checked.problems] == []
    read = checked.configuration
    assert read is not None
    assert read.policy == PolicySettings()
    assert read.tracker is not None
    # What has no default is shown by an example.
    defaults = replace(
        read.tracker,
        tls_certificate=None,
        tls_key=None,
        redirects=None,
        withdrawn=None,
        expired_url=None,
    )
    assert defaults == TrackerSettings(store=folder / "events.sqlite")


def test_its_lines_fit_a_terminal() -> None:
    assert max(map(len, starter().splitlines())) < 100
