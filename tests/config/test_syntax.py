import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.config.lines import key_lines
from msys_track.config.syntax import parsed


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
    ("text", "line"),
    [
        ("a = 1\n[b\nc = 2\n", 2),
        ('a = 1\nb = """\nc = 2\n', 3),
        ("a = 1\n[b]\n[b]\n", 3),
        ("a = 1\njust words\nb = 2\n", 2),
        ("a = 1\nb = [1,\nc = 2\n", 3),
    ],
)
def test_a_fault_that_moves_the_meaning_of_what_follows_ends_the_reading(
    text: str, line: int
) -> None:
    assert [number for number, _ in places(text)] == [line]


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
