"""Syntax: every form of the grammar, faults with their lines, includes, and hostile bytes."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.thoroughness import examples

from msys_track.config.momentum.files import DEFAULT_SEARCH_PATH, Tree, parse, search_path
from msys_track.config.momentum.names import read_text
from msys_track.config.momentum.stanzas import Array, Dictionary, Item, Option
from msys_track.config.problems import ConfigurationError
from msys_track.errors import SettingsError

SAMPLES = Path(__file__).parent / "ecelerity"

# A tree without its places: ("=", name, value) or ("{", name, instances, body).
Plain: TypeAlias = "tuple[object, ...]"
D: Plain = ("=", "d", "1")


def plain(body: Sequence[Item]) -> list[Plain]:
    return [
        ("=", item.name, read_text(item.value))
        if isinstance(item, Option)
        else ("{", item.name, list(item.instances), plain(item.body))
        for item in body
    ]


def write(folder: Path, text: str | bytes, name: str = "ecelerity.conf") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def parse_text(folder: Path, text: str | bytes) -> Tree:
    return parse(write(folder, text), search_path=())


def body(folder: Path, text: str | bytes) -> list[Plain]:
    tree = parse_text(folder, text)
    assert tree.problems == ()
    return plain(tree.body)


def faults(folder: Path, text: str | bytes) -> list[tuple[int, str]]:
    return [(problem.line, problem.text) for problem in parse_text(folder, text).problems]


# Forms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1", [("=", "a", "1")]),
        ("Idle_Time=300", [("=", "idle_time", "300")]),
        ("a\n=\n1\nb = 2", [("=", "a", "1"), ("=", "b", "2")]),
        ("a = 127.0.0.1:8162 b = __h__", [("=", "a", "127.0.0.1:8162"), ("=", "b", "__h__")]),
        ("a = 1 # b = 2\n#c = 3", [("=", "a", "1")]),
        ("a = 1#b", [("=", "a", "1")]),
        ("/* a = 1\n /* b = 2 */ c = 3", [("=", "c", "3")]),
        ("a/* */= /**/1/***/b = 2", [("=", "a", "1"), ("=", "b", "2")]),
        ("a = /var/log/x.ec", [("=", "a", "/var/log/x.ec")]),
        ("a = ''", [("=", "a", "")]),
        ("a = 'it \"is\" \\n'", [("=", "a", 'it "is" \\n')]),
        (r'a = "\r\n\t\"\\\a\0\x41\101"', [("=", "a", '\r\n\t"\\\a\0AA')]),
        (r'a = "^.*@fbl\.example\.com$"', [("=", "a", r"^.*@fbl\.example\.com$")]),
        (r'a = "\xc3\xa9é"', [("=", "a", "éé")]),
        ('a = "one \\\ntwo"', [("=", "a", "one two")]),
        ('a = "SELECT *\n  FROM t"\nb = 1', [("=", "a", "SELECT *\n  FROM t"), ("=", "b", "1")]),
        ('a = "Größe\nMaß = "\nb = 1', [("=", "a", "Größe\nMaß = "), ("=", "b", "1")]),
        ('a = "# no /* comment */"', [("=", "a", "# no /* comment */")]),
        ("a = ()", [("=", "a", [])]),
        ("map [ a = 1 ] d = 1", [("=", "map", {"a": "1"}), D]),
        ("list ( a b ) d = 1", [("=", "list", ["a", "b"]), D]),
        ("S = { d = 1 }", [("{", "s", [], [D])]),
        ('S "x" = { d = 1 } d = 1', [("{", "s", ["x"], [D]), D]),
        ("S = {\n d = 1 }", [("{", "s", [], [D])]),
        (
            r"Domain /^(a|b)[0-9]+\.x=\/\.com$/ { d = 1 } d = 1",
            [("{", "domain", [r"/^(a|b)[0-9]+\.x=\/\.com$/"], [D]), D],
        ),
        ("Domain /# 'a\"/ { d = 1 }", [("{", "domain", ["/# 'a\"/"], [D])]),
        ("Listen /run/x { } d = 1", [("{", "listen", ["/run/x"], []), D]),
        ("S /* c */ { d = 1 }", [("{", "s", [], [D])]),
        ('a = ( "b" c "10.0.0.0/8" ::1 )', [("=", "a", ["b", "c", "10.0.0.0/8", "::1"])]),
        ('a = ("b", c,d, "e,f")', [("=", "a", ["b", "c", "d", "e,f"])]),
        ("a = b,c", [("=", "a", "b,c")]),
        ("a = (\n  b # first\n  c\n)", [("=", "a", ["b", "c"])]),
        ("a = ( (b) [c = d] )", [("=", "a", [["b"], {"c": "d"}])]),
        ("a = []", [("=", "a", {})]),
        ('a = [ u = "x:" Key = v, "k 2" = 3 ]', [("=", "a", {"u": "x:", "Key": "v", "k 2": "3"})]),
        ("a = [\n 0.0.1.0 = (x)\n]", [("=", "a", {"0.0.1.0": ["x"]})]),
        ("smtpapi { }", [("{", "smtpapi", [], [])]),
        ("ESMTP_Listener{}", [("{", "esmtp_listener", [], [])]),
        ('Listen ":25" {}', [("{", "listen", [":25"], [])]),
        ('Listen":25"{}', [("{", "listen", [":25"], [])]),
        ("d x.com { a = 1 b = 2 }", [("{", "d", ["x.com"], [("=", "a", "1"), ("=", "b", "2")])]),
        ("Logger logging/x x\n{\n}", [("{", "logger", ["logging/x", "x"], [])]),
        ('a "b"\n"c"\n{ }', [("{", "a", ["b", "c"], [])]),
        ("a { b { c = 1 } }", [("{", "a", [], [("{", "b", [], [("=", "c", "1")])])]),
        ("include = 1", [("=", "include", "1")]),
        ("\ufeffa = 1\r\nb = 2\r\n", [("=", "a", "1"), ("=", "b", "2")]),
        (b"# caf\xe9\na = 1 /* \xe9 */", [("=", "a", "1")]),
        ("", []),
    ],
)  # fmt: skip
def test_every_form_is_read(tmp_path: Path, text: str | bytes, expected: list[Plain]) -> None:
    assert body(tmp_path, text) == expected


def test_everything_knows_its_line(tmp_path: Path) -> None:
    text = '# 1\na = (\n  b\n  c )\nd "e"\n{\n  f = [\n    g = h ] /*\n */ i =\n  j\n}\n'
    array, stanza = parse_text(tmp_path, text).body
    assert isinstance(array, Option)
    assert isinstance(array.value, Array)
    assert not isinstance(stanza, Option)
    dictionary, last = stanza.body
    assert isinstance(dictionary, Option)
    assert isinstance(dictionary.value, Dictionary)
    found = (array, *array.value.values, stanza, dictionary, *dictionary.value.options, last)
    assert [each.place.line for each in found] == [2, 3, 4, 5, 7, 8, 9]


def test_names_keep_how_they_are_written(tmp_path: Path) -> None:
    (stanza,) = parse_text(tmp_path, "ESMTP_Listener { Idle_Time = 1 }").body
    assert (stanza.written, stanza.name) == ("ESMTP_Listener", "esmtp_listener")


# Faults


def test_all_faults_of_a_file_are_told_in_one_reading() -> None:
    tree = parse(SAMPLES / "faulty.conf", search_path=())
    wording = str(ConfigurationError(Path("faulty.conf"), tree.problems))
    assert wording == (SAMPLES / "faulty.txt").read_text(encoding="utf-8").rstrip("\n")
    # Around them the rest is still read.
    listener, *_, last = tree.body
    assert not isinstance(listener, Option)
    assert [item.name for item in listener.body if isinstance(item, Option)] == [
        "tracking_domain", "click_tracking_scheme", "smtp_extensions", "open_tracking_scheme",
        "tracking_link_expiry", "context",
    ]  # fmt: skip
    assert plain([last]) == [("{", "pathway", ["last"], [("=", "open_tracking_enabled", "on")])]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a {\n b {\n }\n", (1, "a { … is not closed: } is missing")),
        (
            "a {\n  b {\n    c = 1\n}\nd { }\n",
            (1, "a { … is not closed: } is missing, perhaps before line 4"),
        ),
        ("/* a\n", (1, "a comment is not closed: /* begins here and */ is missing")),
        ("a = 1;\n; = 2\na b;\n", (3, "found a b;, allowed: a = value, or a { … }")),
        ("a = [ b = 1\n}", (1, "[ is not closed: found } in line 2, allowed: name = value and ]")),
        ("a = ( b", (1, "( is not closed: found the end of the file, allowed: values and )")),
        ("a = \x01b", (1, "found U+0001 (a control character), allowed only in quotes")),
        ("a\u00a0= 1", (1, "found U+00A0 (no-break space), allowed only in quotes")),
        (b"a = caf\xe9", (1, "found the byte 0xE9, which is not UTF-8")),
        (b'a = "caf\xe9"', (1, "found a text that is not UTF-8")),
        ('a = "\\xe9"', (1, "found a text that is not UTF-8")),
        ('"a" { }', (1, 'found "a" where an option or a stanza begins')),
        ("{ a = 1 }", (1, "found {, allowed: an option, a stanza or an include")),
        ("a = = 1", (1, "found = after a =, allowed: a value, ( … ) or [ … ]")),
        ("a =", (1, "found the end of the file after a =, allowed: a value, ( … ) or [ … ]")),
        ("include { }", (1, 'include names no file, allowed: include "file or folder"')),
        ("a { " * 60, (1, "nested deeper than 50 levels; what follows was not read")),
        ("a = " + "(" * 60, (1, "nested deeper than 50 levels; what follows was not read")),
        ("a = " + "[b=" * 60, (1, "nested deeper than 50 levels; what follows was not read")),
    ],
)
def test_a_fault_is_told_at_its_line_with_what_is_allowed(
    tmp_path: Path, text: str | bytes, expected: tuple[int, str]
) -> None:
    assert faults(tmp_path, text)[0] == expected


@pytest.mark.parametrize(
    ("text", "word", "last"),
    [
        ('a = "open\nb = "c"\nd = 1\n', "quote is missing", D),
        ('a = "open\nb = ""\nd = 1\n', "quote is missing", D),
        ("a = 'open\nb = 'c'\nd = 1\n", "quote is missing", D),
        ('a = "open\nd = 1\n', "quote is missing", D),
        ('e { a = "open\n}\nb = "c d"\nd = 1\n', "quote is missing", D),
        ('a = ( b c\nL ":25" {\n  d = 1\n}\n', "( is not closed", ("{", "l", [":25"], [D])),
    ],
)
def test_what_is_not_closed_swallows_one_line_only(
    tmp_path: Path, text: str, word: str, last: Plain
) -> None:
    tree = parse_text(tmp_path, text)
    assert [problem.line for problem in tree.problems] == [1]
    assert word in tree.problems[0].text
    assert plain(tree.body)[-1] == last


def test_a_file_that_is_something_else_gives_a_bounded_answer(tmp_path: Path) -> None:
    assert len(faults(tmp_path, "is no option\n" * 500)) == 100


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"ecelerity\.conf: can't be read: No such file"):
        parse(tmp_path / "ecelerity.conf")


# Includes


def test_an_include_stands_for_what_its_file_says(tmp_path: Path) -> None:
    write(tmp_path, "b = 1\nc { }", "inner.conf")
    for word in ("include", "readonly_include", "INCLUDE"):
        assert body(tmp_path, f'a {{ {word} "inner.conf" d = 1 }}') == [
            ("{", "a", [], [("=", "b", "1"), ("{", "c", [], []), ("=", "d", "1")])
        ]
    assert body(tmp_path, "include inner.conf") == [("=", "b", "1"), ("{", "c", [], [])]
    assert body(tmp_path, f"include 'file://{tmp_path}/inner.conf'")[0] == ("=", "b", "1")


def test_a_folder_is_its_files_in_order_without_hidden_ones_and_folders(tmp_path: Path) -> None:
    for name in ("b.conf", "a", "C.conf", ".hidden", "sub/z.conf"):
        write(tmp_path, f"x = {name}", f"conf.d/{name}")
    os.mkfifo(tmp_path / "conf.d" / "pipe")
    read_names = [item[2] for item in body(tmp_path, 'include "conf.d"')]
    assert read_names == ["C.conf", "a", "b.conf"]


def test_the_including_files_folder_comes_first_then_the_main_files_then_the_path(
    tmp_path: Path,
) -> None:
    main = write(tmp_path / "main", 'include "sub/one.conf"')
    write(tmp_path / "main", 'include "x" include "y" include "z"', "sub/one.conf")
    for folder, names in (("main/sub", "x"), ("main", "xy"), ("path", "xyz")):
        for name in names:
            write(tmp_path / folder, f"from = {folder}", name)
    tree = parse(main, search_path=(tmp_path / "path",))
    assert [item[2] for item in plain(tree.body)] == ["main/sub", "main", "path"]


def test_the_search_path_is_that_of_the_environment_or_momentums() -> None:
    conf = DEFAULT_SEARCH_PATH[0] / "conf"
    around = [conf / "global", conf / "mta1", conf / "default"]
    for unset in {}, {"EC_CONF_SEARCH_PATH": ""}:
        assert search_path({"NODENAME": "mta1", **unset}) == (conf.parent, *around)
    assert search_path({"EC_CONF_SEARCH_PATH": "/a:/b"}) == (Path("/a"), Path("/b"))


def test_a_folder_of_the_search_path_is_named_after_this_machine() -> None:
    host = socket.gethostname()
    names = dict.fromkeys((host, host.partition(".")[0]))
    found = search_path({"EC_CONF_SEARCH_PATH": "/a/{NODENAME}:/b"})
    assert found == (*(Path("/a", name) for name in names), Path("/b"))


def test_a_missing_include_is_told_where_it_stands(tmp_path: Path) -> None:
    write(tmp_path, '\ninclude "b.conf"', "a.conf")
    (problem,) = parse_text(tmp_path, 'include "a.conf"\nx = 1').problems
    assert (problem.file, problem.line) == (tmp_path / "a.conf", 2)
    assert problem.text == f'include "b.conf": there is no such file in {tmp_path}'
    assert faults(tmp_path, 'include ""\ninclude "a\\0b"\n')[1][0] == 2


@pytest.mark.parametrize("name", ["ecelerity.conf", "./ecelerity.conf", "link.conf", "conf.d"])
def test_includes_in_a_circle_are_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "link.conf").symlink_to("ecelerity.conf")
    write(tmp_path, 'include "../ecelerity.conf"', "conf.d/x.conf")
    (problem,) = parse_text(tmp_path, f'a = 1\ninclude "{name}"').problems
    assert "circle" in problem.text


def test_a_file_may_be_included_twice_and_tells_its_faults_once(tmp_path: Path) -> None:
    write(tmp_path, "b = 1\n}", "twice.conf")
    tree = parse_text(tmp_path, 'a { include "twice.conf" }\ninclude "twice.conf"')
    assert len(tree.problems) == 1
    assert plain(tree.body) == [("{", "a", [], [("=", "b", "1")]), ("=", "b", "1")]


def test_a_fault_in_an_included_file_does_not_reach_beyond_it(tmp_path: Path) -> None:
    write(tmp_path, 'b { c = "1', "inner.conf")
    tree = parse_text(tmp_path, 'a { include "inner.conf" d = 1 }\ne = 1')
    assert {problem.file for problem in tree.problems} == {tmp_path / "inner.conf"}
    assert plain(tree.body)[1] == ("=", "e", "1")


@pytest.mark.parametrize(
    ("levels", "text", "wording"),
    [
        (20, 'include "{0}"\ninclude "{0}"', "too much is included"),
        (200, 'a {{ include "{0}" }}', "nested deeper"),
    ],
)
def test_includes_that_multiply_and_a_long_chain_come_to_an_end(
    tmp_path: Path, levels: int, text: str, wording: str
) -> None:
    for level in range(levels):
        write(tmp_path, text.format(level + 1), str(level))
    write(tmp_path, "a = 1", str(levels))
    problems = parse_text(tmp_path, 'include "0"').problems
    assert any(wording in problem.text for problem in problems)


def test_saved_online_changes_come_last_wherever_they_are_named(tmp_path: Path) -> None:
    text = 'Local_Changes_File = "local.conf"\na = 1'
    assert body(tmp_path, text)[-1] == ("=", "a", "1")  # it is made by the first change
    write(tmp_path, "a = 2", "local.conf")
    assert body(tmp_path, text)[-1] == ("=", "a", "2")


# Laws

names = st.text("abc_XYZ.09-", min_size=1, max_size=8).filter(
    lambda name: name.lower() not in ("include", "readonly_include")
)
words = st.text("ab1.:_/-@%$é", min_size=1, max_size=8).filter(lambda word: "/*" not in word)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = words.map(lambda word: (word, word)) | texts.map(lambda text: (quote(text), text))
gaps = st.sampled_from([" ", "\n", "\t", "\r\n", " # } { ( ' \"\n", "/* = */", "/*\n*/"])


def quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\r", "\\r").replace("\n", "\\n") + '"'


@st.composite
def written_values(draw: st.DrawFn, depth: int = 0) -> tuple[str, object]:
    kind = draw(st.sampled_from("ttad" if depth < 2 else "t"))
    if kind == "t":
        return draw(scalars)
    gap = draw(gaps)
    inner = draw(st.lists(written_values(depth=depth + 1), max_size=3))
    if kind == "a":
        return f"({gap}{gap.join(text for text, _ in inner)}{gap})", [each for _, each in inner]
    keys = [f"k{number}" for number, _ in enumerate(inner)]
    pairs = gap.join(f"{key}{gap}={gap}{text}" for key, (text, _) in zip(keys, inner, strict=True))
    return f"[{gap}{pairs}{gap}]", {key: each for key, (_, each) in zip(keys, inner, strict=True)}


@st.composite
def written_bodies(draw: st.DrawFn, depth: int = 0) -> tuple[str, list[Plain]]:
    gap = draw(gaps)
    text = ""
    items: list[Plain] = []
    for _ in range(draw(st.integers(0, 3))):
        name = draw(names)
        if depth < 3 and draw(st.booleans()):
            instances = draw(st.lists(scalars, max_size=2))
            inner, content = draw(written_bodies(depth=depth + 1))
            # An instance on a line of its own would read as an option that lacks its value.
            heads = " ".join(text for text, _ in instances)
            text += f"{name} {heads}{gap}{{{gap}{inner}{gap}}}{gap}"
            items.append(("{", name.lower(), [each for _, each in instances], content))
        else:
            written, content_value = draw(written_values())
            text += f"{name}{gap}={gap}{written}{gap}"
            items.append(("=", name.lower(), content_value))
    return text, items


@given(written_bodies())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, written: tuple[str, list[Plain]]
) -> None:
    text, expected = written
    assert body(tmp_path_factory.mktemp("law"), text) == expected


sample_bytes = [path.read_bytes() for path in sorted(SAMPLES.rglob("*.conf"))]
edits = st.lists(
    st.tuples(
        st.integers(0, 4000),
        st.integers(0, 30),
        st.sampled_from(
            [b"", b'"', b"'", b"{", b"}", b"(", b")", b"[", b"]", b"=", b"#", b"/*", b"*/", b"\\",
             b"\n", b"\0", b"\xff", b"\xc2\xa0", b"include ", b'include "ecelerity.conf"', b","]
        ),
    ),
    min_size=1,
    max_size=6,
)  # fmt: skip


@settings(max_examples=examples(2_000), deadline=None)
@given(st.sampled_from(sample_bytes), edits)
def test_whatever_the_bytes_the_answer_is_a_tree_and_faults_with_lines(
    tmp_path_factory: pytest.TempPathFactory, sample: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    for at, removed, inserted in changes:
        place = at % (len(sample) + 1)
        sample = sample[:place] + inserted + sample[place + removed :]
    tree = parse_text(tmp_path_factory.getbasetemp(), sample)
    last = sample.count(b"\n") + 1
    # An include may name a folder of this machine, whose files have lines of their own.
    assert all(1 <= problem.line <= last for problem in tree.problems if problem.file is None)
    assert all("\n" not in problem.text for problem in tree.problems)


@settings(max_examples=examples(500))
@given(st.binary(max_size=60) | st.text("a=\"'{}()[]\\#/*,\n \r", max_size=60).map(str.encode))
def test_any_bytes_do_not_raise(tmp_path_factory: pytest.TempPathFactory, octets: bytes) -> None:
    parse_text(tmp_path_factory.getbasetemp(), octets)
