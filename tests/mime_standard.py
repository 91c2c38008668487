"""Where the HTML of a message is, by RFC 5322, RFC 2045, RFC 2046 and the standard library.

A second opinion for the oracle: positions come from regular expressions over the raw bytes,
parameters of fields from `email`, transfer encodings from `base64` and a substitution.
"""

import base64
import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.utils import collapse_rfc2231_value

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:((?:[^\n]*(?:\n|\Z))(?:[ \t][^\n]*(?:\n|\Z))*)")
_BEFORE_FIELDS = re.compile(rb"(?:\xef\xbb\xbf)?(?:>?From [^\n]*(?:\n|\Z)(?:\xef\xbb\xbf)?)?")
_BLANK = re.compile(rb"\r?\n")
_NEVER_ENTERED = re.compile(
    r"multipart/(signed|encrypted|report)|application/(x-)?pkcs7-mime|message/.*"
)
_MIME = ("content-type", "content-disposition", "content-transfer-encoding")
_SIGNED = frozenset({"dkim-signature", "arc-seal"})
_MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part with text that tracking is for."""

    start: int
    end: int
    kind: str
    encoding: str
    charset: str | None
    """As declared, without quotes."""
    is_file: bool
    """It has a name, and is no alternative to another part."""

    @property
    def is_readable(self) -> bool:
        """Whether its bytes can be decoded, so that markup can be found."""
        known = self.encoding in ("7bit", "8bit", "binary", "quoted-printable", "base64")
        return known and codec(self.charset) is not None


Tree = Leaf | tuple[str, list["Tree"]] | None


def html_leaves(message: bytes) -> list[tuple[Leaf, bool]]:
    """Find the HTML parts that may be changed, and whether each is the first of what is shown."""
    before = _BEFORE_FIELDS.match(message)
    start = before.end() if before else 0
    fields, body = _section(message, start, len(message))
    if fields is None or body is None or _SIGNED & {name for name, _ in fields}:
        return []
    tree = _tree(message, fields, body, len(message), depth=0)
    has_body = any(not leaf.is_file for leaf in _walk(tree))
    found: list[tuple[Leaf, bool]] = []

    def visit(tree: Tree, *, is_later: bool) -> bool:
        if isinstance(tree, Leaf):
            if tree.kind != "text/html" or (has_body and tree.is_file):
                return is_later
            found.append((tree, not is_later))
            return True
        for kind, children in () if tree is None else (tree,):
            after = is_later
            for child in children:
                shown = visit(child, is_later=is_later if kind == "alternative" else after)
                after = after or shown
            return after
        return is_later

    visit(tree, is_later=False)
    return found


def _walk(tree: Tree) -> Iterator[Leaf]:
    if isinstance(tree, Leaf):
        yield tree
    elif tree is not None:
        for child in tree[1]:
            yield from _walk(child)


Fields = list[tuple[str, str]]


def _section(message: bytes, start: int, end: int) -> tuple[Fields | None, int | None]:
    """The fields of a header section, None if a line is not one; where its body starts, if it has
    one."""
    fields: Fields | None = []
    at = start
    while at < end:
        if blank := _BLANK.match(message, at, end):
            return fields, blank.end()
        line = _FIELD.match(message, at, end)
        if line is None:
            fields = None
            newline = message.find(b"\n", at, end)
            at = end if newline < 0 else newline + 1
            continue
        if fields is not None:
            value = re.sub(rb"[\r\n]", b"", line[2])
            fields.append((line[1].decode("ascii").lower(), value.decode("utf-8", "replace")))
        at = line.end()
    return fields, None


def _tree(  # noqa: C901, PLR0913 - an entity is a section and a range
    message: bytes,
    fields: Fields,
    start: int,
    end: int,
    *,
    depth: int,
    default: str = "text/plain",
    standing: str = "body",
) -> Tree:
    header = Message()
    for name, value in reversed(fields):
        if name in _MIME:
            del header[name]
            header[name] = _without_comments(value).strip()
    header.set_default_type(default)
    kind = header.get_content_type()
    if _NEVER_ENTERED.fullmatch(kind) or _is_ambiguous(fields, header):
        return None
    if kind.startswith("multipart/"):
        boundary = header.get_boundary()
        if not boundary or depth >= _MAX_DEPTH:
            return None
        inner = "message/rfc822" if kind == "multipart/digest" else "text/plain"
        entities = []
        for first, last in _parts(message, start, end, boundary.rstrip()):
            part, body = _section(message, first, last)
            entities.append((part, body, last))
        root = _find_root(header, [part for part, _, _ in entities])
        children: list[Tree] = []
        for number, (part, body, last) in enumerate(entities):
            own = "alternative" if kind == "multipart/alternative" else "body"
            if kind == "multipart/related":
                own = standing if number == root else "aside"
            own = "aside" if standing == "aside" else own
            if part is not None and body is not None:
                child = _tree(
                    message, part, body, last, depth=depth + 1, default=inner, standing=own
                )
                children.append(child)
        return kind.removeprefix("multipart/"), children
    shown = header.get_content_disposition() in (None, "inline")
    if kind not in ("text/html", "text/plain") or not shown or standing == "aside":
        return None
    encoding = str(header.get("content-transfer-encoding", "")).lower() or "7bit"
    charset = header.get_param("charset", "")
    name = charset if isinstance(charset, str) else charset[2]
    is_file = standing == "body" and bool((header.get_filename() or "").strip())
    return Leaf(start, end, kind, encoding, name.strip("' ") or None, is_file)


def _is_ambiguous(fields: Fields, header: Message) -> bool:
    for wanted in _MIME:
        if len({value.strip().lower() for name, value in fields if name == wanted}) > 1:
            return True
    parameters = header.get_params([])
    values = [(name.lower(), collapse_rfc2231_value(value)) for name, value in parameters]
    charsets = {value.lower() for name, value in values if name == "charset"}
    return max(len(charsets), len({value for name, value in values if name == "boundary"})) > 1


def _find_root(header: Message, parts: list[Fields | None]) -> int:
    start = str(header.get_param("start", "")).strip().strip("<>")
    ids = [dict(reversed(fields or [])).get("content-id", "").strip() for fields in parts]
    named = [number for number, each in enumerate(ids) if start and each.strip("<>") == start]
    return named[0] if named else 0


def _parts(message: bytes, start: int, end: int, boundary: str) -> Iterator[tuple[int, int]]:
    delimiter = re.compile(
        rb"(?:\A|(?<=\n))--" + re.escape(boundary.encode("utf-8")) + rb"(--)?[ \t\r]*(?:\n|\Z)"
    )
    first: int | None = None
    for line in delimiter.finditer(message[:end], start):
        if first is not None:
            yield first, first + len(re.sub(rb"\r?\n\Z", b"", message[first : line.start()]))
        first = line.end()
        if line[1]:
            return
    if first is not None:
        yield first, end


def _without_comments(value: str) -> str:
    pieces, depth = [], 0
    for piece in re.findall(r'"(?:[^"\\]|\\.)*"?|\\.|[()]|[^"()\\]+|.', value, re.DOTALL):
        depth += piece == "("
        if depth == 0:
            pieces.append(piece)
        depth -= piece == ")" and depth > 0
    return "".join(pieces)


_ESCAPE = re.compile(rb"=(?:([0-9A-Fa-f]{2})|[ \t]*(?:\r?\n|\Z))")
BASE64 = re.compile(rb"([A-Za-z0-9+/]*)(={0,2})")
_LABELS = {
    "iso-8859-1": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "big5": "big5hkscs",
}
_PYTHON_S_OWN = frozenset({"utf-8-sig", "mbcs", "idna", "punycode"})
_NO_SUPERSET_OF_ASCII = re.compile(r"utf-(16|32|7).*|iso2022.*|hz|cp037|.*ebcdic.*")


def decode_transfer(encoding: str, raw: bytes) -> str | None:
    """Undo a transfer encoding, None where the text has not that form; a character is a byte."""
    if encoding == "quoted-printable":
        raw = _ESCAPE.sub(lambda each: bytes.fromhex((each[1] or b"").decode("ascii")), raw)
    elif encoding == "base64":
        characters = BASE64.fullmatch(b"".join(raw.split()))
        missing = -len(characters[1]) % 4 if characters else 3
        if characters is None or missing == 3 or len(characters[2]) > missing:
            return None
        raw = base64.b64decode(characters[1] + b"=" * missing, validate=True)
    return raw.decode("latin-1")


def codec(charset: str | None) -> str | None:
    """A Python codec for a charset's name; UTF-8 stands for none declared."""
    if charset is None or charset.lower() == "us-ascii":
        return "utf-8"
    if charset.lower() in _PYTHON_S_OWN:
        return None
    try:
        name = codecs.lookup(_LABELS.get(charset.lower(), charset)).name
    except (LookupError, ValueError):
        return None
    name = _LABELS.get({"iso8859-1": "iso-8859-1", "ascii": "iso-8859-1"}.get(name, name), name)
    return None if _NO_SUPERSET_OF_ASCII.fullmatch(name) else name


def text(charset: str | None, raw: str) -> str:
    """Read bytes of a part, a character each, as a browser would."""
    octets = raw.encode("latin-1")
    name = codec(charset)
    assert name is not None
    if charset is not None and charset.lower() != "us-ascii":
        return octets.decode(name, "replace")
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("cp1252", "replace")
