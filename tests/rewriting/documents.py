"""HTML documents for tests: a few that mean something, and pieces that make strange ones."""

from typing import Final

LINKS: Final = 14
"""How many of `NEWSLETTER`'s hrefs can be wrapped."""

NEWSLETTER: Final = """\
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1">
<html xmlns="http://www.w3.org/1999/xhtml"><head><title>Grüße <a href="http://e.com/title"></title>
<base href="http://e.com/base/"><link href="http://e.com/style.css" rel=stylesheet>
<style>a[href="http://e.com/"] { color: #ÄÖÜ } /* <a href="http://e.com/css"> */</style></head>
<body background="http://e.com/bg.png"><!-- <a href="http://e.com/comment"> </body> -->
<!--[if mso]><v:roundrect href="http://e.com/vml"><a href="http://e.com/mso">x</a><![endif]-->
<!--[if !mso]><!--><a href="http://e.com/live">1</a><!--<![endif]-->
<p>Trailing blanks  \t
<A  HREF = 'http://e.com/?a=1&amp;b=2&copy=3'	class=x
   >2</A><a href=http://e.com/unquoted/>3</a><a href="
   http://e.com/a b  ">4</a>
<a title=">" href="http://e.com/title">5</a><a href='http://e.com/?q="é"'>6</a>
<a href="HTTPS://E.com/%zz#frag#ment">7</a><a href="http://e.com/{{x}}?%%y%%=*|z|*">8</a>
<map><area shape=rect href="https://e.com/area"></map><a href="https://bücher.example/ü?ü#ü">10</a>
<a href="http://e.com/?a=&b=&"
data-msys-linkname="näme &amp; co">11</a><a href="&#x68;ttp&colon;//e.com/">12</a>
<a href="mailto:a@b.c">m</a><a href="tel:+1">t</a><a href="#top">f</a><a href="">e</a><a href>n</a>
<a href="http://">h</a><a data-msys-clicktrack="0" href="http://e.com/optout">o</a>
<a href="http://e.com/one" href="http://e.com/two">13</a>
<svg><a href="http://e.com/svg">14</a><title>t</title></svg>
<script>document.write("<a href='http://e.com/js'></body>")</script>
.
..dots
--outer-- no boundary, ==equals==, =3D, =, http://e.com/text and a very long line that goes on
From the start of a line</p></body>
</html>
"""

DOCUMENTS: Final = {
    "newsletter": NEWSLETTER,
    "fragment": "<p>no body, <a href='http://e.com/'>one link</a>, and no line break at its end",
    "no links": "<html><body>\n\n<p>nothing but a place for a pixel\n</body></html>\n",
    "no place": "<a href='http://e.com/'>x</a><!-- a comment that never ends </body>",
    "several ends": (
        "<body>a</body><a href='http://e.com/'>x</a></body></html><!-- </body> -->"
        "<p title='</body>'><script>'</body>'</script><style></body></style>\n"
    ),
    "one line": "<body>" + "<a href='http://e.com/'>x</a> <b>text</b> " * 20 + "</body>",
    "URLs with SVG": (
        "<svg><a href='http://e.com/1'></style><![CDATA[<a>]]></svg>http://e.com/1</a>"
        "<a href='http://e.com/2'><svg><title>a b</title></svg>http://e.com/2</a>"
        "<svg><desc><a href='http://e.com/3'>http://e.com/3</a></desc></svg>\n"
    ),
    "non-ASCII": "<body>日本語 é € <a href='http://e.com/é?日本=語'>日本語</a></body>\n" * 3,
    "empty": "",
}

PIECES: Final = (
    '<a href="http://e.com/?a=1&amp;b=2">', "<a href='http://e.com/?q=é'>",
    "<A HREF=http://e.com/x>", "<a href=http://e.com/x/>", '<a\n href\n=\n"http://e.\ncom/a b">',
    '<a href=" http://e.com/ ">', '<a href="&#x68;ttp://e.com/&times=3&lt;x&times;">',
    '<a href="http://e.com/{{x}}?%%y%%={z}">', '<area shape=rect href="https://e.com/area">',
    '<a href="mailto:a@b.c">', '<a href="#x">', '<a href="">', "<a href>", '<a href="http://">',
    '<a data-msys-clicktrack="0" href="http://e.com/no">',
    '<a data-msys-linkname="näme" href="http://e.com/named">',
    '<a href="http://one/" href="http://two/">', '<base href="http://base/">',
    '<link href="http://e.com/l">', "<a href='http://e.com/it\"s'>",
    '<a/href="http://e.com/slash"/>', '<a x=y"z href="http://e.com/z">',
    '</a href="http://e.com/">', "<a", "<a href", "<a href=", '<a href=">', "</a>",
    "<body>", "</body>", "</BODY >", "</body", "</body/x='>'>", "<html>", "</html>",
    "<!--", "-->", "<!-->", "<!--->", "--!>", "<!-- </body> -->", "<!doctype html>", "<!", "<?",
    '<!--[if mso]><a href="http://e.com/"><![endif]-->', "<![CDATA[", "]]>",
    "<script>", "<script><!--<script>", "</script>", "<style>", "</style>", "<textarea>",
    "</textarea>", "<title>", "</title>", "<plaintext>", "<xmp>",
    "</xmp>", "<iframe>", "</iframe>",
    "<svg><a href='http://e.com/svg'>x</a><title><a href='http://e.com/t'></a></title></svg>",
    "<svg><style><a href='http://e.com/s'></style><![CDATA[<a href='http://e.com/c'>]]></svg>",
    "<math><mi>x</mi><a href='http://e.com/m'></a></math>",
    "<svg><title>a b</title></svg>http://e.com/no-link",
    "<svg><a href='http://e.com/u'><style>a b</style>http://e.com/u</a><![CDATA[>]]></svg>",
    "<p title='</body>'>", '<p title=">" x>', "<p>", "</p>", "</", "</>", "</ a>", "<", ">", "&",
    '"', "'", "=", "==", "=3D", "=\n", "=20", "= ", " ", "  ", "\t", "\n", "\r\n", "\r\n\r\n",
    "--outer", "--outer--", "--inner", ".", "..", "é", "€", "漢", "\xa0", "text ",
    "x" * 30, "y" * 75, "z" * 400, "<p>" + "word " * 40, "http://e.com/no-link",
)  # fmt: skip
