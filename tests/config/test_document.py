from pathlib import Path

from msys_track.config.document import Document, Place, write_path

PLACES = {("proxy",): 4, ("proxy", "listen"): 5, ("listener", "never_wrap", 1): 9}


def test_what_has_no_place_of_its_own_has_that_of_the_table_around_it() -> None:
    file = Path("msys-track.toml")
    places = {key: Place(file, line) for key, line in PLACES.items()}
    document = Document(path=file, members={}, places=places)
    assert document.place(("proxy", "listen")) == Place(file, 5)
    assert document.place(("proxy", "context", "inner")) == Place(file, 4)
    assert document.place(("listener", "never_wrap", 1)) == Place(file, 9)
    assert document.place(("missing",)) == Place(file, 1)


def test_a_place_is_written_as_editors_open_it() -> None:
    place = Place(Path("/etc/msys-track/conf.d/x.conf"), 14)
    assert place.format_from(Path("/etc/msys-track")) == "conf.d/x.conf:14"
    assert place.format_from(Path("/etc/msys-track/conf.d")) == "x.conf:14"
    assert place.format_from(Path("/opt")) == "/etc/msys-track/conf.d/x.conf:14"


def test_a_key_is_bare_where_toml_lets_it_be() -> None:
    assert write_path(("a-b", "10", "\xb2", "\u0663", "ü", "a b")) == (
        'a-b.10."\xb2"."\u0663"."ü"."a b"'
    )


def test_a_key_is_on_one_line_whatever_is_in_it() -> None:
    assert write_path(("a\nb", 'c"d', "\\")) == r'''"a\nb"."c\"d"."\\"'''
    assert write_path(("a", 0, "b")) == "a[0].b"
