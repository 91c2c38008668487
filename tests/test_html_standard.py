"""The oracle's tokenizer against the HTML Standard's own rules, and the standard library's."""

from html.parser import HTMLParser

import pytest
from tests import html_standard

from msys_track.testing.href import attribute_value

A = "<a href=x>"


def values(html: str) -> list[str]:
    return [html[start:end] for (start, end), _ in html_standard.links(html)]


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
    ],
)  # fmt: skip
def test_no_link_is_seen(html: str) -> None:
    assert values(html) == []


@pytest.mark.parametrize(
    ("html", "place"),
    [
        ("<body>x|</body></html>", True), ("x|</body>y</body", True), ("<html>x|</html>y", True),
        ("x|", True), ("|", True), ("x<|", True), ("x</>|", True), ("x<!-- ", False),
        ("x</", False),
        ("x<a ", False), ("x<title>", False), ("x<!", False), ("<p title='</body>'>|", True),
    ],
)  # fmt: skip
def test_the_pixel_s_place_is_seen(html: str, *, place: bool) -> None:
    source = html.replace("|", "")
    expected = html.index("|") if place else None
    assert html_standard.parse_document(source).pixel_place(len(source)) == expected


def test_the_standard_library_sees_the_same_links_where_html_is_good() -> None:
    found: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value or "" for name, value in attrs if (tag, name) == ("a", "href"))

    html = "<p>x<a href='http://e.com/?a&amp;b'>y</a><!-- <a href=z> --><a class=q href=w>v</a>"
    Parser().feed(html)
    assert [attribute_value(value) for value in values(html)] == found
