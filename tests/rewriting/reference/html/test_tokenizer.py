"""Where tags, attributes and comments begin and end: one case for each state of the standard."""

from itertools import pairwise

import pytest
from hypothesis import given
from tests.rewriting.reference.html.documents import any_html

from msys_track.rewriting.reference.html.tokenizer import (
    TextState,
    Token,
    Tokenizer,
    TokenKind,
    is_self_closing,
    match_other_tags,
    read_attributes,
)


def read_tokens(html: bytes, *, in_foreign_content: bool = False) -> tuple[list[Token], bool]:
    """The tokens, and whether the document ends in markup."""
    tokenizer = Tokenizer(html)
    tokenizer.in_foreign_content = in_foreign_content
    tokens = []
    while (token := tokenizer.read_token()) is not None:
        tokens.append(token)
    return tokens, tokenizer.ends_in_markup


def spelled(html: str) -> list[str]:
    """Each token as it stands in the document."""
    raw = html.encode()
    return [raw[token.start : token.end].decode() for token in read_tokens(raw)[0]]


@pytest.mark.parametrize(
    ("html", "tokens"),
    [
        ("x<p>y</p >z", ["<p>", "</p >"]),
        ("<", []), ("< p>", []), ("<3<p>", ["<p>"]), ("<<p>", ["<p>"]), ("a<b", []),
        ("</>x<p>", ["<p>"]), ("</", []), ("</ p><p>", ["</ p>", "<p>"]),
        ("<p<q>", ["<p<q>"]), ("<p/q>", ["<p/q>"]), ("<p\0>", ["<p\0>"]),
        ("<P\fX=Y>", ["<P\fX=Y>"]),
        ("<!doctype html PUBLIC '>'><p>", ["<!doctype html PUBLIC '>", "<p>"]),
        ("<?xml version='1.0'?><p>", ["<?xml version='1.0'?>", "<p>"]),
        ("<![CDATA[<p>]]>", ["<![CDATA[<p>"]), ("<!x <p>", ["<!x <p>"]),
        ("<!-><p>", ["<!->", "<p>"]),
        ("<!--><p>-->", ["<!-->", "<p>"]), ("<!---><p>-->", ["<!--->", "<p>"]),
        ("<!----><p>", ["<!---->", "<p>"]), ("<!-----><p>", ["<!----->", "<p>"]),
        ("<!----!><p>", ["<!----!>", "<p>"]), ("<!---!><p>-->", ["<!---!><p>-->"]),
        ("<!--!><p>-->", ["<!--!><p>-->"]), ("<!-- --!><p>", ["<!-- --!>", "<p>"]),
        ("<!-- --!-><p>-->", ["<!-- --!-><p>-->"]), ("<!-- -- ><p>-->", ["<!-- -- ><p>-->"]),
        ("<!--<!--><p>", ["<!--<!-->", "<p>"]), ("<!--<!-- --><p>", ["<!--<!-- -->", "<p>"]),
        ("<!-- <p>", ["<!-- <p>"]), ("<!-- -", ["<!-- -"]), ("<!", ["<!"]), ("<!-", ["<!-"]),
        ("<p a='>'>", ["<p a='>'>"]), ('<p a=">">', ['<p a=">">']), ("<p a=b'>c'>", ["<p a=b'>"]),
        ("<p a='b", []), ("<p a=", []), ("<p a", []), ("<p ", []), ("<p/", []), ("</p ", []),
        ("<p a=<q>", ["<p a=<q>"]), ("<p '>'>", ["<p '>"]), ('<p a""b=">">', ['<p a""b=">">']),
        ("<p a='x'b>", ["<p a='x'b>"]), ("<p a = \n'>' >", ["<p a = \n'>' >"]),
        ("<p =a='>'>", ["<p =a='>'>"]), ("<p =='>'>", ["<p =='>'>"]), ("<p a==='>", ["<p a==='>"]),
        ("</p a='>'>", ["</p a='>'>"]),
    ],
)  # fmt: skip
def test_markup_begins_and_ends_where_the_standard_says(html: str, tokens: list[str]) -> None:
    assert spelled(html) == tokens


@pytest.mark.parametrize(
    ("tag", "attributes"),
    [
        ("<p>", []),
        ("<p a>", [("a", None)]), ("<p a=>", [("a", None)]), ("<p a=''>", [("a", "")]),
        ("<p A='1' b=\"2\" c=3>", [("a", "1"), ("b", "2"), ("c", "3")]),
        ("<p a=1 a=2>", [("a", "1"), ("a", "2")]),
        ("<p\n a\t=\f'x'/b>", [("a", "x"), ("b", None)]),
        ("<p/a=1/>", [("a", "1/")]), ("<p a='1'/>", [("a", "1")]), ("<p a=b=c>", [("a", "b=c")]),
        ("<p =a=b>", [("=a", "b")]), ("<p = =b>", [("=", "b")]), ("<p '\"<>", [("'\"<", None)]),
        ("<p a=\"'\" b='\"'>", [("a", "'"), ("b", '"')]), ("<p a=`b'c>", [("a", "`b'c")]),
        ("<p a='1'b='2'>", [("a", "1"), ("b", "2")]), ("<p a / = b>", [("a", None), ("=", None),
        ("b", None)]),
    ],
)  # fmt: skip
def test_attributes_are_read_as_they_stand(
    tag: str, attributes: list[tuple[str, str | None]]
) -> None:
    html = tag.encode()
    tokens, _ = read_tokens(html)
    assert [
        (each.name.decode(), None if each.value is None else html[slice(*each.value)].decode())
        for each in read_attributes(html, tokens[0])
    ] == attributes


def test_an_attribute_ends_behind_all_that_is_its_own() -> None:
    html = b"<p a b = 'x' c=y/ d= >"
    ends = [each.end for each in read_attributes(html, read_tokens(html)[0][0])]
    assert [html[:end] for end in ends] == [
        b"<p a", b"<p a b = 'x'", b"<p a b = 'x' c=y/", b"<p a b = 'x' c=y/ d=",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("tag", "closes"),
    [
        (b"<g/>", True), (b"<g />", True), (b"<g a='b'/>", True), (b"<g a/>", True),
        (b"<g a=/>", False), (b"<g>", False), (b"<g a=b/>", False), (b"<g/ >", False),
    ],
)  # fmt: skip
def test_a_slash_of_a_value_closes_no_tag(tag: bytes, *, closes: bool) -> None:
    assert is_self_closing(tag, read_tokens(tag)[0][0]) is closes


def test_a_cdata_section_is_text_in_foreign_content_only() -> None:
    html = b"<![CDATA[<p>]]]><q>]]><b>"
    names = [token.name for token in read_tokens(html, in_foreign_content=True)[0]]
    assert names == [b"q", b"b"]
    assert [token.name for token in read_tokens(html)[0]] == [b"", b"q", b"b"]


@pytest.mark.parametrize(
    ("name", "state", "text"),
    [
        ("title", TextState.RAW, "<a></titlex></title\t|"),
        ("style", TextState.RAW, "<!--</STYLE/|"),
        ("textarea", TextState.RAW, "</text</textarea|"), ("xmp", TextState.RAW, "</ xmp></xmp|"),
        ("script", TextState.SCRIPT, "<script></script|"),
        ("script", TextState.SCRIPT, "</scriptx></script|"),
        ("script", TextState.SCRIPT, "<!--</script|"),
        ("script", TextState.SCRIPT, "<!--<script></script></script|"),
        ("script", TextState.SCRIPT, "<!--<script></script>--></script|"),
        ("script", TextState.SCRIPT, "<!--<script>--></script|"),
        ("script", TextState.SCRIPT, "<!--><script></script|"),
        ("script", TextState.SCRIPT, "<!---><script></script|"),
        ("script", TextState.SCRIPT, "<!--<scriptx></script|"),
        ("script", TextState.SCRIPT, "<!--<script></scriptx></script></script|"),
        ("script", TextState.SCRIPT, "<!--<SCRIPT/></Script\n></SCRIPT|"),
        ("script", TextState.SCRIPT, "<!--<script><!--></script|"),
        ("script", TextState.SCRIPT, "<!-<script></script|"),
        ("script", TextState.SCRIPT, "<!--<script-->-- ></script|"),
    ],
)  # fmt: skip
def test_text_ends_at_the_end_tag_that_alone_can_end_it(
    name: str, state: TextState, text: str
) -> None:
    before, _, after = text.rpartition("</")
    html = f"{before}</{after.replace('|', '>')}<b>".encode()
    tokenizer = Tokenizer(html)
    tokenizer.read_text(state, name.encode())
    end = tokenizer.read_token()
    assert end is not None
    assert (end.kind, end.start) == (TokenKind.END_TAG, len(before))


@pytest.mark.parametrize(
    ("name", "state", "text"),
    [
        ("plaintext", TextState.PLAIN, "</plaintext><p>"), ("title", TextState.RAW, "</title"),
        ("script", TextState.SCRIPT, "<!--<script></script>"),
        ("style", TextState.RAW, "</style x='"),
        ("title", TextState.RAW, ""),
    ],
)  # fmt: skip
def test_text_that_nothing_ends_goes_on_to_the_end(name: str, state: TextState, text: str) -> None:
    tokenizer = Tokenizer(text.encode())
    tokenizer.read_text(state, name.encode())
    assert tokenizer.read_token() is None
    assert not tokenizer.ends_in_markup


@pytest.mark.parametrize("html", ["", "x", "<", "x<", "<p>", "</>", "<!-->", "a&", "<p>x</p>"])
def test_a_document_ends_in_markup(html: str) -> None:
    assert read_tokens(html.encode())[1]


@pytest.mark.parametrize(
    "html", ["<p", "</", "</p", "<!", "<?", "<!--", "<!-- --", "<p a='", "<p a=b", "</ ", "<!x"]
)
def test_a_document_ends_within_something(html: str) -> None:
    assert not read_tokens(html.encode())[1]


@given(any_html())
def test_tokens_are_in_order_and_each_is_markup(html: bytes) -> None:
    tokens, _ = read_tokens(html)
    assert all(before.end <= after.start for before, after in pairwise(tokens))
    for token in tokens:
        assert html[token.start : token.start + 1] == b"<"
        if token.kind is not TokenKind.COMMENT:
            assert html[token.end - 1 : token.end] == b">"
        for each in read_attributes(html, token):
            assert token.start < each.name_start < each.end < token.end


@given(any_html())
def test_what_is_passed_by_holds_no_tag_that_was_asked_for(html: bytes) -> None:
    names = {b"a", b"style", b"script", b"title"}
    pattern = match_other_tags(names)
    tokenizer = Tokenizer(html)
    tokenizer.pass_by(pattern, len(html))
    passed = [token for token in read_tokens(html)[0] if token.start < tokenizer.position]
    assert not names & {token.name for token in passed}
    assert all(token.end <= tokenizer.position for token in passed)
