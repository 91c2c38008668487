"""What `ecelerity.conf` means where it is silent: Momentum's ways, not those of our own file."""

from pathlib import Path

import pytest

from msys_track.config.checking import check_configuration
from msys_track.config.effective import Effective, ScopeSelector, find_options
from msys_track.config.load import load
from msys_track.options.resolve import resolve

LISTEN = 'Listen "127.0.0.1:2525" { } } smtpapi { } Gateway = "127.0.0.1"'


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("ecelerity.conf", f"ESMTP_Listener {{ {LISTEN}", True),
        ("ecelerity.conf", f"ESMTP_Listener {{ click_tracking_text = false {LISTEN}", False),
        ("msys-track.toml", "[listener]\nclick_tracking_enabled = true\n", False),
    ],
)
def test_text_is_tracked_as_momentum_does_but_not_by_our_own_file(
    tmp_path: Path, name: str, text: str, *, expected: bool
) -> None:
    (tmp_path / name).write_text(text)
    resolved = resolve(load(tmp_path / name).scopes.layers(None, None))
    assert resolved.click_tracking_text.value is expected


def test_the_source_of_momentums_default_is_no_line(tmp_path: Path) -> None:
    (tmp_path / "20x.conf").write_text('ESMTP_Listener { }\nGateway = "127.0.0.1"\n')
    (tmp_path / "ecelerity.conf").write_text('smtpapi { }\ninclude "20x.conf"\n')
    shown = find_options(load(tmp_path / "ecelerity.conf"), ScopeSelector())
    assert shown["click_tracking_text"] == Effective(
        value=True, source="listener (default of Momentum's configuration)"
    )


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder, option in (("d1", "outlook_links = off"), ("d2", "signed_mail = strip")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.conf").write_text(f"ESMTP_Listener {{ {option} }}\n")
    main = tmp_path / "ecelerity.conf"
    main.write_text('smtpapi { }\ninclude "d1/x.conf"\ninclude "d2/x.conf"\nGateway = "a"\n')
    checked = check_configuration(main)
    assert checked.configuration is not None
    shown = find_options(checked.configuration, ScopeSelector())
    assert shown["outlook_links"].source == "listener (d1/x.conf:1)"
    assert shown["signed_mail"].source == "listener (d2/x.conf:1)"
