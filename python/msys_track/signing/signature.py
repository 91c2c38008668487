"""One DKIM signature (RFC 6376): relaxed/relaxed, over the whole body."""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msys_track.signing.header import Field
from msys_track.signing.private_key import PrivateKey

SIGNED_FIELDS: Final = (
    b"from", b"reply-to", b"sender", b"subject", b"date", b"message-id", b"to", b"cc",
    b"resent-date", b"resent-from", b"resent-sender", b"resent-to", b"resent-cc",
    b"resent-message-id", b"in-reply-to", b"references",
    b"list-id", b"list-help", b"list-unsubscribe", b"list-unsubscribe-post", b"list-subscribe",
    b"list-post", b"list-owner", b"list-archive",
    b"mime-version", b"content-type", b"content-transfer-encoding",
)  # fmt: skip
"""Those of RFC 6376 section 5.4.1 and RFC 8058 section 4, and what says how the body reads."""

_LINE: Final = 74


def write_signature(  # noqa: PLR0913 - the tags of a signature
    fields: Sequence[Field],
    body: bytes,
    *,
    key: PrivateKey,
    domain: str,
    selector: str,
    time: int,
    expires: int | None,
) -> bytes:
    """Write the header field `DKIM-Signature`, its line break included.

    From is named once more than it is there, so that no second one can be added.

    Args:
        fields: All of the header.
        body: In relaxed form.
        key: Signs.
        domain: The signer's, `d=`.
        selector: Where its public key is, `s=`.
        time: Unix time of the signature.
        expires: Unix time after which it is not valid.
    """
    by_name: defaultdict[bytes, list[Field]] = defaultdict(list)
    for field in fields:
        by_name[field.name].append(field)
    # Of several the last is meant first (RFC 6376 section 5.4.2).
    signed = [field for name in SIGNED_FIELDS for field in reversed(by_name[name])]
    names = [field.name for field in signed] + [b"from"]
    body_hash = base64.b64encode(hashlib.sha256(body).digest())
    dates = f"t={time}" if expires is None else f"t={time}; x={expires}"
    unsigned = b"".join(
        [
            f" v=1; a={key.algorithm}; c=relaxed/relaxed;\r\n\td={domain};\r\n\t".encode("ascii"),
            f"s={selector}; {dates};\r\n\t".encode("ascii"),
            b"h=",
            b"\r\n\t".join(_fold_names(names)),
            b";\r\n\tbh=" + body_hash + b";\r\n\tb=",
        ]
    )
    own = Field(b"dkim-signature", unsigned)
    canonical = b"".join(field.relax() + b"\r\n" for field in signed) + own.relax()
    value = base64.b64encode(key.sign(canonical))
    folded = b"\r\n\t".join(value[at : at + _LINE] for at in range(0, len(value), _LINE))
    return b"DKIM-Signature:" + unsigned + folded + b"\r\n"


def _fold_names(names: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a list with colons between its names."""
    line = b""
    for name in names:
        if line and len(line) + len(name) > _LINE:
            yield line + b":"
            line = name
        else:
            line = line + b":" + name if line else name
    yield line
