"""`msys.pcre`: what Momentum's documents say of it, in linear time."""

from time import thread_time

import pytest
from tests.policy.policies import FILE, ask, set_by

from msys_track.errors import PolicyFailedError
from msys_track.policy import pcre


def value(expression: str) -> str:
    return set_by(f"msg:context_set(M, 'it', {expression})")["it"]


def failure(body: str) -> str:
    with pytest.raises(PolicyFailedError) as caught:
        ask(body)
    return str(caught.value)


def test_a_match_has_groups_by_number_and_name() -> None:
    ask(
        r"local m = msys.pcre.match('550 no such', '^(?P<code>[245]\\d{2})( x)?\\s(\\w+)')"
        " assert(m[0] == '550 no' and m[1] == '550' and m.code == '550' and m[2] == ''"
        " and m[3] == 'no' and m[4] == nil)"
    )


def test_no_match_is_nil_alone_and_a_bad_pattern_says_what_is_wrong() -> None:
    ask("assert(select('#', msys.pcre.match('a', 'b')) == 1)")
    ask(
        "local m, text, number = msys.pcre.match('a', '(b')"
        " assert(m == nil and text == 'unclosed group' and number == 1)"
    )


@pytest.mark.parametrize(
    ("pattern", "what"),
    [("a(?=b)", "look-ahead at offset 1"), (r"(a)\\1", "a back-reference at offset 3")],
)
def test_what_takes_more_than_linear_time_fails_by_name(pattern: str, what: str) -> None:
    text = failure(f"\nmsys.pcre.match('a', '{pattern}')")
    assert text.startswith(f"{FILE}:5: validate_data_spool_each_rcpt: msys.pcre.match: ")
    assert what in text


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (r"caf\195", "caf�"),
        (r"\255x\195\169", "�xé"),
        (r"\226\130", "��"),
        (r"\237\160\128", "���"),
        (r"\240\159\152\128\128", "😀�"),
    ],
    ids=["cut", "first", "cut twice", "surrogate", "one too many"],
)
def test_bytes_that_are_no_text_do_not_make_a_policy_fail(text: str, read: str) -> None:
    assert value(f"msys.pcre.match('{text}', '.*')[0]") == read
    assert value(f"(msg:header('X-A', '{text}') and msg:header('X-A')[1])") == read


def test_a_split_leaves_out_empty_pieces() -> None:
    assert value("table.concat(msys.pcre.split('jo@example.org', '@'), '|')") == "jo|example.org"
    assert value("table.concat(msys.pcre.split(',a,,b,', ','), '|')") == "a|b"
    assert value("table.concat(msys.pcre.split('añb', ''), '|')") == "a|ñ|b"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("'a1b22', '[0-9]+', '#'", "a#b#"),
        (r"'a1b22', '([a-z])(?P<n>\\d+)', '${n}$1\\2$0$7'", "1a1a122b22b22"),
        ("'a1b22', '[0-9]+', '#', 1", "a#b22"),
        ("'añ', '', '-'", "-a-ñ-"),
        ("'a1b22', '(?P<n>[0-9]+)', function(m) return '<' .. m.n .. '>' end", "a<1>b<22>"),
        ("'a1b22', '[0-9]+', function(m) end, 1", "a1b22"),
        ("'añ', '', function() return '-' end", "-a-ñ-"),
        ("12, 1, 3", "32"),
    ],
)
def test_replacing(arguments: str, text: str) -> None:
    assert value(f"msys.pcre.replace({arguments})") == text


def test_what_is_no_text_is_named() -> None:
    assert "msys.pcre.match: the subject must be a string" in failure("msys.pcre.match(nil, 'a')")


@pytest.mark.parametrize(
    ("subject", "pattern"),
    [
        ("a" * 30_000, "(a*)*b"),
        ("a" * 30_000, "(a|a)*$b"),
        ("x" * 30_000, "(x+x+)+y"),
        ("a" * 100_000, "(?:a?){30}a{30}b"),
    ],
)
def test_a_pattern_that_backtracks_elsewhere_takes_linear_time(subject: str, pattern: str) -> None:
    start = thread_time()
    assert pcre.match(subject, pattern) == ("none",)
    assert thread_time() - start < 2


def test_looking_for_all_matches_is_bounded() -> None:
    with pytest.raises(pcre.PatternLimitError, match="took longer than 1 s"):
        pcre.split("A" * 250_000, ".*[^A-Z]|[A-Z]", max_pieces=10)


def test_texts_are_bounded() -> None:
    with pytest.raises(pcre.PatternLimitError, match="at most 262144"):
        pcre.match("a" * ((256 << 10) + 1), "a")
    with pytest.raises(pcre.PatternLimitError, match="the result has more"):
        pcre.replace("a" * 100_000, "a", "b" * 100)
    with pytest.raises(pcre.PatternLimitError, match="4 pieces, at most 3"):
        pcre.split("a b c d", " ", max_pieces=3)
    with pytest.raises(pcre.PatternLimitError, match="too large"):
        pcre.match("a", "(a{1000}){1000}")
