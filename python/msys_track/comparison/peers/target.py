"""Which links peers wrap, where their own documentation leaves it to the programmer.

The judge has a rule of its own (`hrefs.py`), so that a mistake in one of them shows.
"""

import re
from typing import Final

# URL Standard, section 4.4: blanks around a URL are dropped, tabs and line breaks inside it too.
_AROUND: Final = "".join(map(chr, range(0x21)))
_INSIDE: Final = re.compile(r"[\t\r\n]")


def leads_to_http(href: str) -> bool:
    """Tell whether a browser takes the value of an `href` for an absolute http or https URL.

    Args:
        href: without character references.
    """
    return _INSIDE.sub("", href.strip(_AROUND))[:8].lower().startswith(("http://", "https://"))
