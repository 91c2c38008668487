import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.config.toml.lines import key_lines
from msys_track.config.toml.syntax import parsed


def places(text: str) -> list[tuple[int, str]]:
    return [(problem.line, problem.key) for problem in parsed(text).problems]


def test_good_toml_has_no_problems() -> None:
    assert parsed('a = 1\r\n[b]\r\nc = "x"\r\n').members == {"a": 1, "b": {"c": "x"}}


def test_broken_lines_are_left_out_and_the_rest_is_read() -> None:
    text = 'a = mail.test\n[b]\nc = "open\nd = 2\nd = 3\ne =\n'
    read = parsed(text)
    assert read.members == {"b": {"d": 2}}
    assert places(text) == [(1, "a"), (3, "c"), (5, "d"), (6, "e")]
    assert "needs quotes" in read.problems[0].text
    assert "quote is missing" in read.problems[1].text
    assert "second time" in read.problems[2].text


def test_the_rest_of_a_broken_value_is_not_a_problem_of_its_own() -> None:
    assert places('a = [ 1, oops\n"x",\n]\n') == [(1, "a")]


@pytest.mark.parametrize(
    ("text", "lines", "members"),
    [
        ("a = 1\n[b\nc = 2\n", [2], {"a": 1, "b": {"c": 2}}),
        ('[b."x:1]\nc = 2\n', [1], {"b": {"x:1": {"c": 2}}}),
        ("[b.x:1]\nc = 2\n", [1], {"b": {"x:1": {"c": 2}}}),
        ("a = 1\nb]\nc = 2\n", [2], {"a": 1, "b": {"c": 2}}),
        ("a = 1\n[b]\nc = 2\n[d]\n[b]\ne = 3\n", [5], {"a": 1, "b": {"c": 2, "e": 3}, "d": {}}),
        ("[b]\nc = 2\n[b]\nc = 3\n", [3, 4], {"b": {"c": 2}}),
        ("a = 1\njust words\nb = 2\n", [2], {"a": 1, "b": 2}),
        ('a = 1\nb = """\nc = 2\n', [2], {"a": 1, "c": 2}),
        ("a = 1\nb = [1,\nc = 2\n", [2], {"a": 1, "c": 2}),
        ("a = 1\nb = [\n 1,\n[c]\nd = 2\n", [2], {"a": 1, "c": {"d": 2}}),
        ("b = [\n 1,\n x,\n 3,\n]\nc = 2\n", [3], None),
        ("b = [\n 1\n 2,\n]\nc = 2\n", [2], {"b": [1, 2], "c": 2}),
        ("b = [1 2]\nc = 2\n", [1], {"c": 2}),
        ("b = [1,\n 2 3]\nc = 2\n", [2], {"b": [1, 2, 3], "c": 2}),
        ("b = [\n1,\n]\nb = [\n2,\n]\nc = 2\n", [4], {"b": [1], "c": 2}),
        ("a = 1\n[[b]]\n[b]\nc = 1\n[d]\n", [3], {"a": 1, "b": [{"c": 1}], "d": {}}),
        ("a = 1\n[?]\nb = 2\n[c]\nd = 3\n", [2], None),
    ],
)
def test_around_a_fault_the_rest_is_read(
    text: str, lines: list[int], members: dict[str, object] | None
) -> None:
    read = parsed(text)
    assert [problem.line for problem in read.problems] == lines
    assert members is None or read.members == members


def test_a_table_that_stands_there_twice_keeps_the_lines_of_its_keys() -> None:
    read = parsed("[a]\nb = 1\n[c]\nd = 2\n[a]\ne = 3\n")
    lines = {path: read.numbers[line - 1] for path, line in key_lines(read.text).items()}
    assert lines == {("a",): 1, ("a", "b"): 2, ("a", "e"): 6, ("c",): 3, ("c", "d"): 4}
    assert read.problems[0].text.endswith("[a] begins in line 1 too; keep one")


def test_what_could_not_be_read_is_known_by_name() -> None:
    text = 'keys = "x\n[proxy]\nupstream = mta\nlisten "a"\n"?" = \n'
    assert parsed(text).unread == {
        ("keys",),
        ("proxy", "upstream"),
        ("proxy", "listen"),
        ("proxy", "?"),
    }


def test_what_would_overflow_the_parser_is_a_problem_with_its_line() -> None:
    assert places("a = 1\nb = " + "[" * 50_000 + "\n") == [(2, "b")]
    assert places("a = 1\nb = " + "9" * 5_000 + "\n") == [(2, "b")]


def test_a_file_that_is_something_else_gives_a_bounded_answer() -> None:
    assert 0 < len(parsed("x = ?\n" * 1_000).problems) <= 100


toml_like = st.text(st.sampled_from("ab.=[]{}\"'\\#\n ,1"), max_size=80)


@given(toml_like)
def test_any_text_is_read_and_every_key_of_it_has_a_line(text: str) -> None:
    read = parsed(text)
    lines = key_lines(read.text)
    last = read.text.count("\n") + 1
    assert all(1 <= line <= last for line in lines.values())
    tops = {path[0] for path in lines if path}
    assert tops == set(read.members)
