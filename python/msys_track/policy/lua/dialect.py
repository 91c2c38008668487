r"""Translates Momentum's Lua, a 5.1 with additions, to Lua 5.1.

In Momentum policies may write `a != b` and `!a`, `"\xa3"` and `"\u00a3"`, octal numbers, and
operators on bits. Every line keeps its number, so that errors name the right one.
"""

import re
from typing import Final

from msys_track.errors import PicklableError

MAX_NAMED_PARAMETERS: Final = 5
"""Of a function with `...`, `self` included. Lua 5.1 has no room for more if a call leaves them
out, and writes over memory of the process (CVE-2014-5461)."""

NOT_CODE: Final = (
    rb"(?P<comment>--\[(?P<comment_level>=*)\[.*?(?:\](?P=comment_level)\]|\Z)|--[^\n]*)"
    rb"|(?P<block>\[(?P<block_level>=*)\[.*?(?:\](?P=block_level)\]|\Z))"
    # One that is not closed ends with its line; to look for its end again would take the square.
    rb"|(?P<text>\"(?:[^\"\\\n]|\\.)*+\"?|'(?:[^'\\\n]|\\.)*+'?)"
)
"""A pattern of comments and strings, for `re.DOTALL`."""

_LEXEME: Final = re.compile(
    NOT_CODE + rb"|(?P<unequal>!=)"
    rb"|(?P<inverted>!)"
    rb"|(?P<octal>(?<![\w.])0[0-7]+(?![\w.]))"
    rb"|(?P<goto>\bgoto\s+[A-Za-z_]\w*)"
    rb"|(?P<attribute><\s*(?:const|close)\s*>)"
    rb"|(?P<foreign>//|::|<<|>>|\^\^|\\|~(?!=))"
    rb"|(?P<bits>[&|])",
    re.DOTALL,
)
_OPERAND: Final = rb"(?:[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)*|0[xX][0-9A-Fa-f]+|\d+)"
_BITS: Final = re.compile(rb"(?<![\w.])%b(?:\s*[&|]\s*%b)+(?![\w.])" % (_OPERAND, _OPERAND))
_BEFORE_BITS: Final = re.compile(rb"(?:[(,{\[]|(?<![=~<>!])=|\b(?:return|and|or))\s*\Z")
_AFTER_BITS: Final = re.compile(
    rb"[^\S\n]*(?:[),}\];\n]|\Z|(?:then|do|and|or|end)\b|--)|\s*(?:[)},\]])"
)
_ESCAPE: Final = re.compile(
    rb"\\(?:x(?P<byte>[0-9A-Fa-f]{2})|u(?P<four>[0-9A-Fa-f]{4})"
    rb"|u\{(?P<any>[0-9A-Fa-f]{1,6})\}|.)",
    re.DOTALL,
)
_NAME: Final = rb"[A-Za-z_\x80-\xff][\w\x80-\xff]*+"  # some locales have letters beyond ASCII
_VARIADIC: Final = re.compile(
    rb"\bfunction\b(?P<name>\s*+(?:%b(?:\s*+[.:]\s*+%b)*+\s*+)?+)"
    rb"\((?P<names>[^()]*,)\s*\.\.\." % (_NAME, _NAME)
)
_HINTS: Final = {
    "goto": "goto is not in Momentum's Lua, a 5.1",
    "attribute": "<const> and <close> are not in Momentum's Lua, a 5.1",
    "//": "// is not in Momentum's Lua, a 5.1; write math.floor(a / b)",
    "\\": r"\ can't be translated; write math.floor(a / b)",
    "::": "labels (::name::) are not in Momentum's Lua, a 5.1",
    "bits": "& and | are translated between names and whole numbers only, of one kind;"
    " put them in parentheses: (a & b)",
}
"""By the kind of a lexeme, or by a foreign one itself."""
_LINE_END: Final = re.compile(rb"\r\n|\n\r|\r")
"""What Lua takes for one line break too: it would end a comment that seems to go on."""
_MAX_CODE: Final = 0x10FFFF


class ForbiddenSourceError(PicklableError, ValueError):
    """The source has what Lua 5.1 can't run as it is meant; `line` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


def translate_source(source: bytes) -> bytes:
    """Return the source for Lua 5.1, with the same lines, each ended by a line feed.

    Raises:
        ForbiddenSourceError: syntax of a later Lua; an operator on bits that can't be translated;
            a function that Lua 5.1 can't call safely.
    """
    source = _LINE_END.sub(b"\n", source.removeprefix(b"\xef\xbb\xbf"))
    if source.startswith(b"#"):
        source = b"--" + source
    bare = _LEXEME.sub(_blank_text, source)
    _check_parameters(bare)
    pieces, done = [], 0
    chains = [chain for chain in _BITS.finditer(bare) if _is_bounded(bare, chain)]
    for chain in chains:
        operators = set(re.findall(rb"[&|]", chain[0]))
        if len(operators) > 1:
            raise _forbid(source, chain.start(), _HINTS["bits"])
        name = b"_bits_and" if operators == {b"&"} else b"_bits_or"
        operands = re.sub(rb"[&|]", b",", source[chain.start() : chain.end()])
        pieces += [_translate(source, done, chain.start()), name, b"(", operands, b")"]
        done = chain.end()
    return b"".join([*pieces, _translate(source, done, len(source))])


def _translate(source: bytes, start: int, end: int) -> bytes:
    def replace_lexeme(lexeme: re.Match[bytes]) -> bytes:
        written, kind = lexeme[0], lexeme.lastgroup or ""
        match kind:
            case "comment" | "block":
                return written
            case "text":
                return _ESCAPE.sub(_translate_escape, written)
            case "unequal":
                return b"~="
            case "inverted":
                return b" not "
            case "octal":
                return b"%d" % int(written, 8)
        foreign = written.decode() if kind == "foreign" else kind
        hint = _HINTS.get(foreign, f"{foreign} can't be translated to Lua 5.1")
        raise _forbid(source, start + lexeme.start(), hint)

    return _LEXEME.sub(replace_lexeme, source[start:end])


def _translate_escape(escape: re.Match[bytes]) -> bytes:
    if escape["byte"]:
        return b"\\%03d" % int(escape["byte"], 16)
    code = int(escape["four"] or escape["any"] or b"0", 16)
    if not (escape["four"] or escape["any"]) or code > _MAX_CODE:
        return escape[0]
    return b"".join(b"\\%03d" % octet for octet in chr(code).encode(errors="replace"))


def _blank_text(lexeme: re.Match[bytes]) -> bytes:
    """Replace what is not code by as many characters that are none of its syntax."""
    if lexeme["comment"]:
        return re.sub(rb"[^\n]", b" ", lexeme[0])
    if lexeme["text"] or lexeme["block"]:
        return re.sub(rb"[^\n]", b'"', lexeme[0])
    return lexeme[0]


def _is_bounded(bare: bytes, chain: re.Match[bytes]) -> bool:
    """Return whether no operator beside the chain could bind its operands first."""
    before = bare[max(0, chain.start() - 200) : chain.start()]
    return bool(_BEFORE_BITS.search(before) and _AFTER_BITS.match(bare, chain.end()))


def _check_parameters(bare: bytes) -> None:
    for function in _VARIADIC.finditer(bare):
        count = function["names"].count(b",") + function["name"].count(b":")
        if count > MAX_NAMED_PARAMETERS:
            raise _forbid(
                bare,
                function.start(),
                f"a function with ... has {count} named parameters, at most"
                f" {MAX_NAMED_PARAMETERS} are safe in Lua 5.1: take the others from ...",
            )


def _forbid(source: bytes, at: int, what: str) -> ForbiddenSourceError:
    return ForbiddenSourceError(source.count(b"\n", 0, at) + 1, what)
