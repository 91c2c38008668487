"""Strange HTML for the tests of the reference engine."""

from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

MARKUP: Final = (
    "<a href=http://e.com/>", "<a href='http://e.com/?a&amp;b' ", '<A HREF="http://e.com/">',
    "</a>",
    "<area href=http://e.com/", '<v:rect href="http://e.com/">', " href=http://e.com/", "<p ",
    "<p title=",
    "<!--[if mso]>", "<!--[if !mso]><!-->", "<![endif]-->", "<!--", "-->", "--", ">", "<", "</",
    "'", '"',
    "/", " ", "x", "=", "\t", "\0", "é", "!", "?", "<!doctype html>", "<script>", "</script>",
    "<style>",
    "</style>", "<title>", "</title>", "<textarea>", "</textarea", "<xmp>",
    " data-msys-linkname=x",
    "data-msys-clicktrack='0'", "<noscript>", "</noscript>", "<b>", "</b>", "<div>", "</div>",
    "<body>", "</body>", "</html>", "<![CDATA[", "]]>",
)  # fmt: skip

TABLES: Final = (
    "<table>", "</table>", "<td>", "</td>", "<tr>", "</tr>", "<tbody>", "</tbody>", "<caption>",
    "<th>",
    "<div style='display:none'>", "<td style=display:none>", "<tr style='d&#105;splay:none'>",
    "<p style=' Display : none'>", "<p>", "</p>", "<li style=display:none>", "<li>", "<select>",
    "</select>",
    "<input>", "<b style=display:none>", "<td title='&amp;'>", "display:none",
)  # fmt: skip

TREES: Final = (
    "<svg>", "</svg>", "<svg/>", "<desc>", "</desc>", "<foreignObject>", "</foreignObject>",
    "<g>", "</g>",
    "<math>", "</math>", "<mi>", "</mi>", "<annotation-xml encoding='text/html'>",
    "</annotation-xml>",
    "<font color=x>", "</br>", "<template>", "</template>", "<col>", "<frameset>", "<noframes>",
    "<a xlink:href='http://e.com/' />", "<form>", "</form>", "<h1>", "</h1>", "<button>",
)  # fmt: skip

FOREIGN: Final = (
    "<svg><a href=http://e.com/>x</a></svg>",
    "<svg><a xlink:href='http://e.com/'/></svg>",
    "<svg><style><a href=http://e.com/></a></style><title>x</title></svg>",
    "<a href='http://e.com/'>x</a>",
    "<svg><desc><p><style><a href=http://e.com/></style></p></desc><g/></svg>",
    "<math><mi><b>x</b></mi></math>",
    "<svg><![CDATA[<a href=http://e.com/>]]></svg>",
    "<svg><foreignObject><div>x</div></foreignObject></svg>",
    "<svg><g>",
    "<p><style></style></p>",
    "<math><annotation-xml encoding='text/html'><p>x</p></annotation-xml></math>",
    "<math><mrow><title>x</title></mrow></math>",
    "<font color=x>",
    "<table><td><svg></svg></table>",
    "</body>",
    "<!--[if mso]><a href=http://e.com/>x</a><![endif]-->",
    "<title><svg></title>",
    "<img>",
)
"""Foreign content as it should be, and some that a start tag of HTML ends."""


def any_html(*more: tuple[str, ...]) -> SearchStrategy[bytes]:
    """Markup of every kind in any order; `more` are kinds that most tests can do without."""
    pieces = st.sampled_from(MARKUP + sum(more, ()))
    return st.lists(pieces, max_size=24).map(lambda chosen: "".join(chosen).encode())
