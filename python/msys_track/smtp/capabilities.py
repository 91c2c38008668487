"""What an upstream offers in its answer to EHLO, as far as we act on it or pass it on."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """The service extensions of one upstream; the defaults are those of a server without any."""

    pipelining: bool = False  # RFC 2920
    eight_bit_mime: bool = False  # RFC 6152
    smtp_utf8: bool = False  # RFC 6531
    size: int | None = None
    """Bytes of the largest message; 0: no fixed limit; None: SIZE is not offered (RFC 1870)."""

    @classmethod
    def parse(cls, ehlo_text: str) -> Self:
        """Read the text of a 250 answer to EHLO; what is not understood is not offered."""
        keywords = {}
        for line in ehlo_text.split("\n")[1:]:  # the first line is a greeting
            keyword, _, parameter = line.strip().partition(" ")
            keywords[keyword.upper()] = parameter.strip()
        return cls(
            pipelining="PIPELINING" in keywords,
            eight_bit_mime="8BITMIME" in keywords,
            smtp_utf8="SMTPUTF8" in keywords,
            size=_size(keywords.get("SIZE")),
        )


def _size(parameter: str | None) -> int | None:
    if parameter is None:
        return None
    # RFC 1870 section 4: the number may be absent; 20 digits are the most it may have.
    return int(parameter) if parameter.isdigit() and len(parameter) <= 20 else 0  # noqa: PLR2004
