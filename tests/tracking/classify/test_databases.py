"""Databases of MaxMind's form: whose an address is, and where."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.recording.conftest import record, write_hits
from tests.recording.hits import make_hit, make_hit_line
from tests.tracking.classify.mmdb import write_database

from msys_track.errors import SettingsError
from msys_track.events import ReaderClass
from msys_track.tracking.classify.classifier import Classifier
from msys_track.tracking.classify.networks import Networks

AT = 1_764_000_000_000
MICROSOFT = {
    "autonomous_system_number": 8075,
    "autonomous_system_organization": "MICROSOFT-CORP-MSN-AS-BLOCK",
}
PLACE = {
    "city": {"names": {"en": "Columbia"}},
    "country": {"iso_code": "US"},
    "location": {"latitude": 39.1749, "longitude": -76.8375},
    "postal": {"code": "21046"},
    "subdivisions": [{"iso_code": "MD"}],
}


@pytest.fixture
def systems(tmp_path: Path) -> Path:
    path = tmp_path / "asn.mmdb"
    write_database(
        path,
        "GeoLite2-ASN",
        {"40.94.0.0/16": MICROSOFT, "91.220.42.0/24": {"autonomous_system_number": 34440}},
    )
    return path


def test_microsofts_clicks_are_safe_links_and_its_pixels_readers_of_outlook_com(
    systems: Path,
) -> None:
    classifier = Classifier(networks=Networks(asn_database=systems))

    def classify(kind: str, address: str, seconds: int = 60) -> tuple[str, str]:
        hit = make_hit(at=AT, kind=kind, address=address, injected_at=AT // 1000 - seconds)
        verdict = classifier.classify(hit)
        return verdict.reader_class, verdict.findings[0].evidence if verdict.findings else ""

    assert classify("click", "40.94.1.2") == ("scanner", "AS8075 Microsoft, Safe Links")
    assert classify("open", "40.94.1.2") == ("proxy", "AS8075")
    assert classify("open", "40.94.1.2", 5) == ("prefetch", "AS8075, 5.0 s after injection")
    assert classify("click", "91.220.42.9") == ("scanner", "AS34440 Mimecast")
    assert classify("open", "91.220.42.9") == ("human", "")
    assert classify("click", "203.0.113.9") == ("human", "")


def test_a_line_for_a_system_takes_the_place_of_what_is_known_of_it(
    systems: Path, tmp_path: Path
) -> None:
    lines = tmp_path / "networks.txt"
    lines.write_text("AS8075 both human our own cloud\n")
    classifier = Classifier(networks=Networks((lines,), asn_database=systems))
    verdict = classifier.classify(make_hit(at=AT, address="40.94.1.2"))
    assert verdict.reader_class is ReaderClass.HUMAN


def test_an_event_says_where_its_address_is(tmp_path: Path) -> None:
    city = tmp_path / "city.mmdb"
    write_database(city, "GeoLite2-City", {"192.0.2.0/24": PLACE, "2001:db8::/32": {}})
    lines = [
        make_hit_line(address=address, kind=kind, message_id=f"{number}")
        for number, (address, kind) in enumerate(
            [
                ("192.0.2.1", "click"),
                ("203.0.113.1", "click"),
                ("2001:db8::1", "click"),
                ("192.0.2.1", "link_unsubscribe"),
            ]
        )
    ]
    write_hits(tmp_path, lines)
    assert [each.get("geo_ip") for each in record(tmp_path, geo_ip=city)] == [
        {
            "country": "US",
            "region": "MD",
            "city": "Columbia",
            "latitude": 39.1749,
            "longitude": -76.8375,
            "zip": "21046",
            "postal_code": "21046",
        },
        None,
        None,
        None,
    ]


@pytest.mark.parametrize("byte", [0x00, 0x20, 0xE1, 0xFF])
def test_a_damaged_record_says_nothing_of_an_address(tmp_path: Path, byte: int) -> None:
    city = tmp_path / "city.mmdb"
    write_database(city, "GeoLite2-City", {"192.0.2.0/24": PLACE})
    content = bytearray(city.read_bytes())
    begin = content.index(b"\0" * 16) + 16  # the data stand behind the tree and 16 zeros
    end = content.index(b"\xab\xcd\xefMaxMind.com")
    content[begin:end] = bytes([byte]) * (end - begin)
    city.write_bytes(content)
    assert not Networks(geo_ip=city).look_up("192.0.2.7").geo_ip


def test_a_record_of_another_form_says_what_it_says_in_ours(tmp_path: Path) -> None:
    city = tmp_path / "city.mmdb"
    flat = {"country": "DE", "city": "Berlin", "postal": "10115", "subdivisions": ["BE"]}
    write_database(city, "ipinfo standard_location.mmdb", {"192.0.2.0/24": flat})
    assert not Networks(geo_ip=city).look_up("192.0.2.7").geo_ip


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "city.mmdb"
    with pytest.raises(SettingsError, match=r"city\.mmdb: can't be read: "):
        Networks(geo_ip=path)
    path.write_text("hello")
    with pytest.raises(SettingsError, match=r"city\.mmdb: not a database of MaxMind's form"):
        Networks(geo_ip=path)


def test_without_the_package_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['maxminddb'] = None\n"
        "from pathlib import Path\n"
        "from msys_track.tracking.classify.networks import Networks\n"
        "Networks(geo_ip=Path('x.mmdb'))\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert "x.mmdb: a database of MaxMind's form needs the extra [geo]: pip" in done.stderr
