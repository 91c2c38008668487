"""Addresses of MAIL and RCPT: the plain ones without aiosmtpd's full parser, which costs 100 µs.

That parser reads all others. It was made for header fields, so this module puts right what it does
to a path that no header field would hold.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from msys_track.smtp.path import is_path

ParsedPath: TypeAlias = tuple[str | None, str | None]
"""Address and parameters as aiosmtpd wants them; None and None: malformed."""
Parser: TypeAlias = Callable[[str], ParsedPath]

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOT_ATOM: Final = rf"{_ATOM}(?:\.{_ATOM})*"
# A dot-atom on both sides of the @ (RFC 5321 section 4.1.2), then parameters: no quotes, comments,
# routes or address literals.
_PLAIN: Final = re.compile(rf"<({_DOT_ATOM}@{_DOT_ATOM})>(?: ([A-Za-z0-9][\x20-\x27\x2a-\x7e]*))?")

_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")

_NULL_PATH: Final = "<>"
_MALFORMED: Final[ParsedPath] = (None, None)

# What CPython's `email` raises at paths that it did not expect, such as a lone "<".
_PARSER_FAULTS: Final = (AttributeError, LookupError, RecursionError, TypeError, ValueError)


def split_argument(argument: str, parse: Parser) -> ParsedPath:
    """Split the argument of a command in address and parameters.

    Args:
        argument: What follows `FROM:` or `TO:`.
        parse: aiosmtpd's own parser.

    Returns:
        The address as it can stand between `<` and `>`, or `<>` for the null path.
    """
    plain = _PLAIN.fullmatch(argument)
    if plain is not None:
        return plain[1], plain[2] or ""
    # An encoded-word (RFC 2047) has no meaning in a path; the parser would decode it, and mail #
    # would go to an address that the client did not give.
    if "=?" in argument:
        return _MALFORMED
    try:
        path, parameters = parse(argument)
    except _PARSER_FAULTS:
        return _MALFORMED
    if path is None or parameters is None or not (path == _NULL_PATH or is_path(path)):
        return _MALFORMED
    # Parameters are ASCII (RFC 5321 section 4.1.2). aiosmtpd makes them upper case, where a
    # dotless i becomes an I, and splits at any space. U+FFFD stays what no parameter can have.
    return path, _NOT_ASCII.sub("\ufffd", parameters)
