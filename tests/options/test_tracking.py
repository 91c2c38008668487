import pytest

from msys_track.errors import SettingsError
from msys_track.options.tracking import TrackingOptions

NO_DOMAINS = (
    "",
    "http://click.example.com",
    "click.example.com/",
    "click.example.com/f",
    "click.example.com:",
    "click.example.com:0",
    "click.example.com:65536",
    "click.example.com:123456",
    "click.example.com:8o80",
    "click..example.com",
    "-click.example.com",
    "click example.com",
    "user@click.example.com",
    "bücher.example",
    "[::1",
    "[1:2]",
    "click.example.com\n",
    "a" * 64,
    ".".join(["a" * 63] * 4),
    'x"onload="',
    "click.example.com:٨٠",
)


@pytest.mark.parametrize(
    "domain",
    [
        "localhost:8080",
        "click.example.com",
        "192.0.2.7:80",
        "[2001:db8::7]:8443",
        "[::1]",
        "my_host.example",
        "xn--bcher-kva.example:65535",
        ".".join(["a" * 63] * 3),
    ],
)
def test_a_host_with_or_without_port_is_a_tracking_domain(domain: str) -> None:
    assert TrackingOptions(tracking_domain=domain).tracking_domain == domain


@pytest.mark.parametrize(
    "wrong",
    [
        {"open_tracking": "true"},
        {"click_tracking": 1},
        {"click_tracking_scheme": "ftp"},
        *({"tracking_domain": domain} for domain in NO_DOMAINS),
        {"tracking_domain": 7},
        {"tracking_link_expiry_seconds": 0},
        {"tracking_link_expiry_seconds": -1},
        {"tracking_link_expiry_seconds": 2**32},
        {"tracking_link_expiry_seconds": True},
        {"tracking_link_expiry_seconds": 1.5},
        {"click_tracking_include_metadata": "no"},
        {"max_metadata_bytes": -1},
        {"max_metadata_bytes": 65_536},
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(wrong: dict[str, object]) -> None:
    (name,) = wrong
    with pytest.raises(SettingsError, match=rf"^{name}: found .*, allowed: "):
        TrackingOptions(**wrong)  # type: ignore[arg-type]


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        TrackingOptions(tracking_domain="/", tracking_link_expiry_seconds=0)
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "tracking_domain",
        "tracking_link_expiry_seconds",
    ]
