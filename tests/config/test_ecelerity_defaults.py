"""What `ecelerity.conf` means where it is silent: Momentum's ways, not those of our own file."""

from pathlib import Path

import pytest

from msys_track.config.load import load
from msys_track.options.resolve import resolve


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ESMTP_Listener { Listen ":2525" { } }', True),
        ('ESMTP_Listener { click_tracking_text = false Listen ":2525" { } }', False),
    ],
)
def test_text_is_tracked_as_momentum_does(tmp_path: Path, text: str, *, expected: bool) -> None:
    path = tmp_path / "ecelerity.conf"
    path.write_text(f'smtpapi {{ }}\n{text}\nGateway = "127.0.0.1"\n')
    resolved = resolve(load(path).scopes.layers(None, None))
    assert resolved.click_tracking_text.value is expected


def test_text_is_not_tracked_by_our_own_file(tmp_path: Path) -> None:
    path = tmp_path / "msys-track.toml"
    path.write_text("[listener]\nclick_tracking_enabled = true\n")
    resolved = resolve(load(path).scopes.layers(None, None))
    assert resolved.click_tracking_text.value is False
