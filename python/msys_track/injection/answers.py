"""What the proxy itself says of a message's copies, in the reply to DATA."""

import re
from collections.abc import Sequence
from typing import Final

from msys_track.errors import UpstreamError
from msys_track.injection.record import SERVED, SentCopy, find_queue_id
from msys_track.smtp.reply import Reply

CLIENT_GONE: Final = Reply(451, "4.4.2 The client closed the connection")

# Of addresses and queue ids in one reply.
_MAX_NAMED: Final = 20

_ENHANCED: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3} ")


def write_answer(sent: Sequence[SentCopy]) -> Reply:
    """Say what came of copies that are all relayed, kept or reported."""
    count = sum(each.outcome == "relayed" for each in sent)
    text = f"2.0.0 Ok: {count} copies relayed" if count != 1 else "2.0.0 Ok: 1 copy relayed"
    for outcome in ("kept", "reported"):
        count = sum(each.outcome == outcome for each in sent)
        if count:
            text += f", {count} {outcome}"
    found = (each.queue_id or find_queue_id(each.reply.text) for each in sent)
    ids = list(dict.fromkeys(each for each in found if each is not None))
    return Reply(250, f"{text}: {_join(ids)}" if ids else text)


def name_recipient(error: UpstreamError, readers: int) -> str:
    """Return a refusal's text with the address that it is about, where it could be another's."""
    if error.recipient is None or readers == 1 or error.recipient in error.text:
        return error.text
    enhanced = _ENHANCED.match(error.text)
    start = enhanced[0] if enhanced is not None else ""
    return f"{start}<{error.recipient}>: {error.text.removeprefix(start)}"


def write_final_answer(sent: Sequence[SentCopy], unserved: Sequence[SentCopy]) -> Reply:
    """Say who was served; to repeat the mail to all would serve them twice."""
    served = [to for each in sent if each.outcome in SERVED for to in each.recipients]
    lines = [
        f"{len(sent) - len(unserved)} of {len(sent)} copies relayed; do not send it to all again",
        *(
            f"not sent to {_join(each.recipients)}: {each.reply.code} {each.reply.text}"
            for each in unserved[:_MAX_NAMED]
        ),
        *([f"and {len(unserved) - _MAX_NAMED} more"] if len(unserved) > _MAX_NAMED else []),
        f"sent to {_join(served)}",
    ]
    texts = (f"5.3.0 {line}".replace("\n", " ") for line in lines)
    return Reply(554, "\n".join(texts))


def _join(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more
