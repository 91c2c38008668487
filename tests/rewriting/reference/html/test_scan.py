"""What of a document is a link, which attributes are ours, and where pixels go."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from tests.rewriting.reference.html.documents import TABLES, TREES, any_html

from msys_track.rewriting.reference.html.references import decode_references
from msys_track.rewriting.reference.html.scan import FoundHtml, Scanner, scan_html

A = "<a href=x>"


def decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def scan(html: str, *, url_text: bool = False) -> FoundHtml:
    return scan_html(html.encode(), decode=decode, url_text=url_text)


def values(html: str) -> list[str]:
    return [link.raw.decode() for link in scan(html).links]


@pytest.mark.parametrize(
    "html",
    [
        "<a href='x'>", '<A\fHREF\n=\r\n"x">', "<a/href=x>", "<a b=c=d href=x e>",
        "<area href=x>",
        "<a b='>' href=x>", '<a b"c href=x>', "<a href=x href=y>", "<a =href=y href=x>",
        f"<!---->{A}", f"<!-->{A}", f"<!--->{A}", f"<!-- --!>{A}", f"<!--a--b->-->{A}",
        f"<!doctype '>{A}", f"<?x>{A}", f"</>{A}", f"</ >{A}", f"<{A}", f"< a>{A}",
        f"<![CDATA[>{A}",
        f"<script></scriptx></script >{A}", f"<script><!--</script>{A}",
        f"<script><!--<script></script>--></script>{A}", f"<script><!--><script></script>{A}",
        f"<textarea></textareas></textarea/x>{A}", f"<title><!--</title>{A}", f"<svg><style>{A}",
        f"<svg><title><style></title></style></title></svg>{A}", f"<svg><![CDATA[{A}>]]>{A}",
        f"<svg><p><style>{A}</style>{A}", f"<math><mi><style></style></mi><style>{A}",
        f"<svg><script/>{A}", f"<style/></style>{A}",
        f"<noscript>{A}</noscript>", f"<select>{A}", f"<template>{A}", f"<svg>{A}",
        "<svg><a xlink:href=x>", "<svg><a xlink:href=y href=x>", "<svg><a href=x xlink:href=y>",
    ],
)  # fmt: skip
def test_one_link_is_seen(html: str) -> None:
    assert values(html) == ["x"]


@pytest.mark.parametrize(
    "html",
    [
        "<a href>", "<a href=>", "<a href='x", "<a href=x", "<a b='<a href=x>'>", "<abbr href=x>",
        "<!-- <a href=x>", "<!--!> <a href=x>", "<!---!> <a href=x>", "</a href=x>",
        "<a\0 href=x>",
        "<script><a href=x>", "<script><!--<script></script><a href=x>", "<plaintext><a href=x>",
        "<iframe><a href=x></iframe x='", "<svg><![CDATA[<a href=x>",
        "<!doctype <a href=x>", "<? <a href=x>", "</ <a href=x>",
        "<a xlink:href=x>", "<math><a xlink:href=x>", "<svg><desc><a xlink:href=x>",
        "<svg><use xlink:href=x>", "<svg><a href xlink:href=x>",
        "<link href=x><base href=x><form action=x><img src=x>", "<a-b href=x><a:b href=x>",
    ],
)  # fmt: skip
def test_no_link_is_seen(html: str) -> None:
    assert values(html) == []


def test_a_link_is_its_value_and_all_that_its_tag_says() -> None:
    html = "<p>é<A Class='b&amp;c'\tHREF=\"http://e.com/?ü\" class=d data-x>"
    (link,) = scan(html).links
    raw = html.encode()
    assert raw[link.start : link.end] == link.raw == "http://e.com/?ü".encode()
    assert link.attributes == {
        "class": b"b&amp;c", "href": link.raw, "data-x": b"",
    }  # fmt: skip
    assert link.where == "html"


@pytest.mark.parametrize(
    ("tag", "is_foldable"),
    [
        ("<a href=x>", True), ("<a\thref=x>", True), ("<a b='c'  href=x>", True),
        ("<a\nhref=x>", False), ("<a \r\nhref=x>", False), ("<a/href=x>", False),
        ("<a b='c'href=x>", False), ("<svg><a xlink:href=x>", True),
    ],
)  # fmt: skip
def test_a_line_may_be_folded_at_a_blank_right_before_the_name(
    tag: str, *, is_foldable: bool
) -> None:
    (link,) = scan(tag).links
    name = tag.index("xlink:href" if "xlink" in tag else "href")
    assert link.fold == (name - 1 if is_foldable else None)


def test_outlook_s_links_are_those_of_vml_and_of_conditional_comments() -> None:
    html = (
        "<a href=1><v:roundrect href='2'>"
        "<!--[if mso]><v:rect href='3'><A HREF=4><noscript><area href=5></noscript><![endif]-->"
        "<!--[if !mso]><!--><a href=6><!--<![endif]--><!--[if(mso)]><a href=7><![endif]--!>"
        "<!--[if\tmso]><!--[if x]><a href=no><![endif]--><a href=8><!--[if mso]><a href=9>"
    )
    found = [(link.raw.decode(), link.where) for link in scan(html).links]
    outlook = [("2", "outlook"), ("3", "outlook"), ("4", "outlook"), ("5", "outlook")]
    assert found == [
        ("1", "html"), *outlook, ("6", "html"), ("7", "outlook"), ("8", "html"), ("9", "outlook"),
    ]  # fmt: skip
    for link in scan(html).links:
        assert html[link.start : link.end].encode() == link.raw


@pytest.mark.parametrize(
    "html",
    [
        "<!-- [if mso]><a href=x><![endif]-->", "<!--[iffy]><a href=x>-->",
        "<!--[IF mso]><a href=x>-->",
        "<!--[if>--><!-- href -->", "<!--[if mso]>--><!--<a href=x>-->", "<!--[if mso <a href=x",
        "<script><!--[if mso]><a href=x><![endif]--></script>",
        "<!--[if mso]><a href='x<![endif]-->",
        "<!--[if mso]><!-- <a href=x><![endif]-->", "<!--[if mso]><style><a href=x></style>-->",
        "<V:rect href=x>", "<v:re-ct href=x>", "<vml href=x>", "<o:p href=x>",
    ],
)  # fmt: skip
def test_what_only_looks_like_outlook_s_is_left(html: str) -> None:
    assert values(html) == []


@pytest.mark.parametrize(
    ("html", "without"),
    [
        ("<a data-msys-linkname=x>", "<a>"),
        ("<a data-msys-linkname='x' href=y>", "<a href=y>"),
        ('<A href=y \n\tDATA-MSYS-Unsubscribe = "1"  >', "<A href=y  >"),
        ("<area data-msys-sublink data-msys-clicktrack=0 alt>", "<area alt>"),
        ("<a data-msys-linkname= >", "<a >"),
        ("<a data-msys-linkname = >", "<a >"),
        ('<a data-msys-linkname="">', "<a>"),
        ("<a href=x data-msys-linkname='y'class=z>", "<a href=x class=z>"),
        ('<a href=x data-msys-linkname="y"/>', "<a href=x />"),
        ('<a/data-msys-linkname="y"class=z>', "<a/class=z>"),
        ("<a data-msys-linkname=y data-msys-linkname=z>", "<a>"),
        ("<a data-msys-other=1 xdata-msys-linkname=2>",) * 2,
        ("<p data-msys-linkname=x>",) * 2,
        (
            "<!--[if mso]><v:rect data-msys-linkname=x href='y'><![endif]-->",
            "<!--[if mso]><v:rect href='y'><![endif]-->",
        ),
    ],
)
def test_our_attributes_go_with_the_white_space_before_them(html: str, without: str) -> None:
    bare = html
    for start, end, _ in reversed(scan(html).attributes):
        bare = bare[:start] + bare[end:]
    assert bare == without


@pytest.mark.parametrize(
    "html",
    [
        "<a href=x>http://e.com/</a>", "<a href=x> <b>HTTPS://</b>e.com<br></a>",
        "<a href=x>www.e.com",
        "<a href=x>&nbsp;&#104;ttp://e.com?a&ampb</a>", "<a href=x>www.<!-- x -->e<a href=y>z</a>",
        "<svg><desc><a href=x>http://e</a></desc></svg>",
        "<!--[if mso]><a href=x>http://e<![endif]-->",
        "<a href=x>http://e<style> </style></a>", "<a href=x>http://e <b",
        "<a href=x>http://e</></a>",
    ],
)  # fmt: skip
def test_a_link_s_text_is_itself_a_url(html: str) -> None:
    assert scan(html, url_text=True).links[0].url_text
    assert not scan(html).links[0].url_text


@pytest.mark.parametrize(
    "html",
    [
        "<a href=x>see http://e.com/</a>", "<a href=x>e.com</a>", "<a href=x></a>http://e.com",
        "<a href=x>http://e.com now</a>", "<area href=x>http://e.com/",
        "<v:rect href=x>http://e.com/",
        "<a href=x>http://e <", "<a href=x>http://e\xa0f</a>",
        "<svg><a xlink:href=x>http://e</a></svg>", "<math><a href=x>http://e</a></math>",
        "<a href=x><svg></svg>http://e</a>", "<a href=x>http://e<MATH/></a>",
        "<a href=x>http://e<plaintext></a>", "<a href=x>http://e<script></script></a>",
    ],
)  # fmt: skip
def test_a_link_s_text_is_no_url(html: str) -> None:
    assert not any(link.url_text for link in scan(html, url_text=True).links)


@pytest.mark.parametrize(
    "html",
    [
        "<body>x|</body></html>", "x|</body>y</body", "<html>x|</html>y", "x|", "|", "x<|",
        "x</>|",
        "<p title='</body>'>|", "x|</BODY\n>", "x|</body x='>'>tail", "x</bodyx>|",
        "<body>x</body></body>y|</body></html>", "<body>x|</body><!-- </body> --></html>",
        "<body>x|</body></html><script>'</body>'</script>", "x|</body></html></html>",
        "<!--[if mso]></body><![endif]-->x|</body>", "<html>x<!-- </body> -->|</html>",
        "<style></body></style>|", "x|</body><!-- ", "x|</html><title>",
    ],
)  # fmt: skip
def test_the_pixel_s_place_is_the_last_end_of_the_body(html: str) -> None:
    assert scan(html.replace("|", "")).pixel == html.index("|")


@pytest.mark.parametrize(
    "html",
    ["x<!-- ", "x</", "x<a ", "x<title>", "x<!", "x<p a='", "<plaintext>", "<svg><![CDATA["],
)
def test_a_document_that_ends_within_something_has_no_place(html: str) -> None:
    assert scan(html).pixel is None


@pytest.mark.parametrize(
    ("html", "at"),
    [
        ("<html><BODY\nclass='>'>|x<body>", 22),
        ("<!-- <body> --><script>'<body>'</script>", None),
        ("<bodyguard><body", None), ("<!--[if mso]><body href><![endif]-->", None),
    ],
)  # fmt: skip
def test_the_first_body_tag_has_the_pixel_at_the_top_behind_it(html: str, at: int | None) -> None:
    assert scan(html.replace("|", "")).initial_pixel == at


def test_the_standard_library_sees_the_same_links_where_html_is_good() -> None:
    found: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value or "" for name, value in attrs if (tag, name) == ("a", "href"))

    html = "<p>x<a href='http://e.com/?a&amp;b'>y</a><!-- <a href=z> --><a class=q href=w>v</a>"
    Parser().feed(html)
    assert [decode_references(value) for value in values(html)] == found


@given(any_html(TABLES, TREES))
def test_a_pixel_s_place_is_markup_and_changes_no_link(html: bytes) -> None:
    found = scan_html(html, decode=decode)
    if found.pixel is None:
        return
    pixel = b"\r\n<img src=x>\r\n"
    grown = html[: found.pixel] + pixel + html[found.pixel :]
    after = scan_html(grown, decode=decode)
    assert [link.raw for link in after.links][: len(found.links)] == [
        link.raw for link in found.links
    ]


@given(any_html())
def test_without_our_attributes_the_links_are_the_same(html: bytes) -> None:
    found, bare = scan_html(html, decode=decode), html
    for start, end, _ in sorted(found.attributes, reverse=True):
        bare = bare[:start] + bare[end:]
    after = scan_html(bare, decode=decode)
    assert after.attributes == ()
    assert [(link.raw, link.where) for link in after.links] == [
        (link.raw, link.where) for link in found.links
    ]


@given(any_html(TABLES))
def test_tags_that_are_passed_by_change_nothing(html: bytes) -> None:
    found = scan_html(html, decode=decode)
    scanner = Scanner(html, decode, reads_url_text=False, follows_all=True)
    assert scanner.read_document()
    assert found == FoundHtml(
        links=tuple(scanner.links),
        attributes=tuple(scanner.attributes),
        pixel=scanner.pixel,
        initial_pixel=scanner.initial_pixel,
    )
