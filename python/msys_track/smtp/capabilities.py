"""What an upstream offers in its answer to EHLO, if we act on it or pass it on."""

import re
from dataclasses import dataclass, fields
from typing import Final, Self

_SIZE: Final = re.compile("[0-9]{1,20}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """The service extensions of one upstream; by default none."""

    pipelining: bool = False  # RFC 2920
    eight_bit_mime: bool = False  # RFC 6152
    smtp_utf8: bool = False  # RFC 6531
    dsn: bool = False  # RFC 3461
    enhanced_status_codes: bool = False  # RFC 2034
    size: int | None = None
    """Bytes of the largest message; 0: no fixed limit; None: SIZE is not offered (RFC 1870)."""
    start_tls: bool = False  # RFC 3207
    auth_mechanisms: frozenset[str] = frozenset()
    """In upper case (RFC 4954)."""

    @classmethod
    def parse(cls, ehlo_text: str) -> Self:
        """Parse the text of a 250 answer to EHLO; unknown keywords are ignored."""
        keywords = {}
        for line in ehlo_text.split("\n")[1:]:  # the first line is a greeting
            keyword, _, parameter = line.strip().partition(" ")
            keywords[keyword.upper()] = parameter.strip()
        size = None
        if "SIZE" in keywords:
            # RFC 1870 section 4: the number may be absent, and has at most 20 digits.
            size = int(keywords["SIZE"]) if _SIZE.fullmatch(keywords["SIZE"]) else 0
        return cls(
            pipelining="PIPELINING" in keywords,
            eight_bit_mime="8BITMIME" in keywords,
            smtp_utf8="SMTPUTF8" in keywords,
            dsn="DSN" in keywords,
            enhanced_status_codes="ENHANCEDSTATUSCODES" in keywords,
            size=size,
            start_tls="STARTTLS" in keywords,
            auth_mechanisms=frozenset(keywords.get("AUTH", "").upper().split()),
        )

    def intersect(self, other: "Capabilities") -> "Capabilities":
        """Return what both offer, with the lower limit of size."""
        both = {
            field.name: getattr(self, field.name) & getattr(other, field.name)
            for field in fields(self)
            if field.name != "size"
        }
        limits = (self.size, other.size)
        size = None if None in limits else min(filter(None, limits), default=0)
        return Capabilities(size=size, **both)
