"""What tree construction says of text and foreign content."""

import pytest
from hypothesis import given
from tests.rewriting.reference.html.documents import TABLES, TREES, any_html

from msys_track.rewriting.reference.html.open_elements import Namespace
from msys_track.rewriting.reference.html.tokenizer import Tokenizer, TokenKind
from msys_track.rewriting.reference.html.tree import PlainTree, Tree, build_tree


def read_namespace(html: str) -> Namespace | None:
    """The namespace of the last `<x>` of a document; None where it is text."""
    raw = html.encode()
    tokenizer, tree, found = Tokenizer(raw), build_tree(raw), None
    while (token := tokenizer.read_token()) is not None:
        tree.read_text(raw[tokenizer.text_start : tokenizer.text_end])
        if token.kind is TokenKind.START_TAG:
            state = tree.read_start_tag(token)
            if token.name == b"x":
                found = tree.namespace
            if state is not None:
                tokenizer.read_text(state, token.name)
        elif token.kind is TokenKind.END_TAG:
            tree.read_end_tag(token)
        tokenizer.in_foreign_content = tree.in_foreign_content
    return found


@pytest.mark.parametrize(
    "html",
    [
        "<x>", "<svg/><x>", "<svg></svg><x>", "<svg><g></svg><x>", "<math><mi></math><x>",
        # 13.2.6.5: start tags that break out, and end tags that do
        "<svg><g><p><x>", "<svg><font face=a><x>", "<svg><font size><x>", "<svg></p><x>",
        "<svg></br><x>", "<math><mrow><table><td><x>", "<svg><mi><p><x>",
        # 13.2.6: HTML inside of integration points
        "<svg><desc><x>", "<svg><FOREIGNOBJECT><x>", "<svg><title><x>", "<math><mi><x>",
        "<math><mtext><p><x>", "<math><annotation-xml encoding='TEXT/html'><x>",
        "<math><annotation-xml encoding=application&#x2f;xhtml+xml><x>",
        # an end tag of HTML below closes what is foreign above it
        "<div><svg><g></div><x>", "<span><svg></span><x>", "<ul><li><svg></ul><x>",
        "<table><td><svg></td><x>", "<table><tr><td><svg><g></table><x>",
        "<h1><svg></h2><x>", "<a><svg></a><x>", "<table><caption><svg></caption><x>",
        "<b><p><svg></b><x>",
        # an HTML element that is left open keeps an end tag of SVG from its work
        "<svg><desc><p></svg><x>", "<svg><desc><b></desc><x>", "<svg><desc><li></desc></svg><x>",
        # a start tag of a table's part does the same
        "<table><td><svg><desc><td><x>", "<table><tr><svg><desc><tr><x>",
        "<table><colgroup><svg><desc></colgroup><x>",
        # raw text ends at its own end tag, which closes nothing else
        "<svg><title><title></title><x>", "<svg><title><style></style></title></svg><x>",
        "<select><svg></select><x>", "<select><svg><desc><select></select></svg><x>",
        "<svg><![CDATA[</svg>]]></svg><x>", "<svg><desc><![CDATA[<p>]]></desc></svg><x>",
        # a template keeps to itself
        "<template><svg></template><x>", "<template><td><svg></td><x>",
        "<template><svg></svg></template><style></style><x>",
        # a part of a table closes what it can't be in, foreign content too
        "<template><td><svg><desc><tr></desc><x>", "<template><tr><svg><desc><tbody></desc><x>",
        "<table><tbody><svg><desc><tfoot></desc><x>", "<table><svg><desc><col></desc><x>",
        "<table><svg><desc><table></table></desc><x>",
        # a form stays open that is in a template's form, and what is in a form that ended
        "<template><form><svg><desc><form></desc><x>", "<svg><desc><form><b></form></desc><x>",
        "<math><annotation-xml id=a encoding=text/html><x>",
        # only inside of a `ruby` ends a part of it where the next begins
        "<svg><desc><rt><rt></rt></desc><x>", "<svg><desc><ruby><desc><rt></desc></desc><x>",
    ],
)  # fmt: skip
def test_an_element_is_of_html(html: str) -> None:
    assert read_namespace(html) is Namespace.HTML


@pytest.mark.parametrize(
    "html",
    [
        "<svg><x>", "<svg><style><x>", "<svg><script/><x>", "<svg><title></title><x>",
        "<svg><font><x>", "<svg><g></x></g><x>", "<svg><g x=y/></g><x>", "<p><svg></body><x>",
        "<svg><desc></desc><x>", "<svg><desc><p></p></desc><x>", "<svg><desc></svg><svg><x>",
        "<math><annotation-xml><svg><x>", "<div><svg><desc></div></desc><x>",
        "<table><svg><x>", "<svg><td><x>", "<form><svg></form><x>", "<svg></noscript><x>",
        "<svg><desc><title></title></desc><x>", "<svg><desc><![CDATA[</desc>]]></desc><x>",
        "<noscript><svg><x>", "<template><svg><x>", "<svg></template><x>",
        # what HTML ignores leaves nothing open
        "<svg><desc><td></desc><x>", "<svg><desc></td></desc><x>", "<svg><desc></h1></desc><x>",
        "<form><svg><desc><form></desc><x>", "<svg><desc><select><select></desc><x>",
        # what the next start tag or an end tag closes is open no more
        "<svg><desc><li><li></li></desc><x>",
        "<svg><desc><ruby><rb><rt></ruby></desc><x>",
        "<svg><desc><select><option><optgroup></select></desc><x>",
        "<svg><desc><form></form></desc><x>", "<svg><desc><form><p></form></desc><x>",
        "<svg><desc><form><b></form></b></desc><x>",
        "<svg><desc><div><form><b></form></div></desc><x>",
    ],
)  # fmt: skip
def test_an_element_is_of_svg(html: str) -> None:
    assert read_namespace(html) is Namespace.SVG


@pytest.mark.parametrize(
    "html",
    [
        "<math><x>", "<math><annotation-xml><x>", "<math><annotation-xml encoding=text/plain><x>",
        "<math><mi><mglyph><x>", "<math><mi><p></p></mi><x>", "<svg><desc><math><x>",
    ],
)  # fmt: skip
def test_an_element_is_of_mathml(html: str) -> None:
    assert read_namespace(html) is Namespace.MATHML


@pytest.mark.parametrize(
    "html",
    [
        "<title><x>", "<svg><desc><style><x>", "<svg><p><style><x>", "<math><mi><style></mi><x>",
        "<svg><foreignObject><textarea></foreignObject><x>", "<plaintext></plaintext><x>",
        "<svg><![CDATA[<x>", "<select><xmp><x>", "<table><style><x>", "<template><style><x>",
        "<table><textarea><x>", "<noscript><iframe><x>", "<frameset><noframes><x>",
    ],
)  # fmt: skip
def test_what_only_looks_like_an_element_is_text(html: str) -> None:
    assert read_namespace(html) is None


@pytest.mark.parametrize(
    "html",
    [
        "<frameset><style><x>", "<head><title>t</title></head><frameset><textarea><x>",
        "<!doctype html> <frameset></frameset><xmp><x>", "<p></p><frameset><script><x>",
        "<template><col><style><x>", "<template><col><textarea></template><x>",
        "\0<frameset><style><x>",
    ],
)  # fmt: skip
def test_a_tag_that_is_ignored_begins_no_text(html: str) -> None:
    assert read_namespace(html) is Namespace.HTML


@pytest.mark.parametrize(
    "html",
    [
        "x<frameset><style><x>", "<br><frameset><style><x>", "<input><frameset><style><x>",
        "<template><frameset><style><x>", "<head><template></template><p><frameset><style><x>",
        "<svg>x</svg><frameset><style><x>",
    ],
)  # fmt: skip
def test_a_document_with_content_becomes_no_frameset(html: str) -> None:
    assert read_namespace(html) is None


def test_only_documents_that_need_it_get_a_stack() -> None:
    assert isinstance(build_tree(b"<p><svgx><maths><style></style>"), PlainTree)
    for html in (b"<svg>", b"<MATH\n>", b"<p/><template x>", b"<frameset/>"):
        assert isinstance(build_tree(html), Tree)


@given(any_html(TABLES, TREES))
def test_any_order_of_tags_is_read(html: bytes) -> None:
    read_namespace(html.decode())


def test_depth_is_no_matter() -> None:
    deep = "<svg><desc>" * 4_000 + "<table><td>" * 4_000 + "</td></table>" * 4_000
    assert read_namespace(deep + "<x>") is Namespace.HTML
    assert read_namespace(deep + "</desc></svg>" * 4_000 + "<style><x>") is None
