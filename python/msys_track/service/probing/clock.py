"""Is the clock right? Links end by it, events are ordered by it, mail is dated by it."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from msys_track.service.probing.finding import Finding, approve, blame
from msys_track.service.probing.network import HttpAnswer

_WHAT: Final = "clock"
_ADVICE: Final = "let NTP set it: timedatectl set-ntp true"
# The headers' own resolution is a second; a reader's answer may be some on its way.
_MOST_SECONDS: Final = 30
_PROGRAM_MADE: Final = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def judge_clock(answers: Sequence[tuple[str, HttpAnswer]], newest_event: float | None) -> Finding:
    """Compare this machine's clock with what servers say, and with the newest event.

    Args:
        answers: What was answered, and by which host.
        newest_event: Its time, Unix seconds; None without one.
    """
    now = time.time()
    here = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if now < _PROGRAM_MADE:
        return blame(_WHAT, f"says {here}, when this program did not exist yet", _ADVICE)
    errors = {
        host: error
        for host, answer in answers
        if (error := answer.clock_error_seconds) is not None
    }
    host, error = max(errors.items(), key=lambda each: abs(each[1]), default=("", 0.0))
    if abs(error) > _MOST_SECONDS:
        way = "behind" if error > 0 else "ahead of"
        text = f"says {here}, which is {abs(error):,.0f} s {way} that of {host}"
        return blame(_WHAT, text, f"{_ADVICE}; do so there too")
    if newest_event is not None and newest_event - now > _MOST_SECONDS:
        text = f"says {here}; the newest event is {newest_event - now:,.0f} s later"
        return blame(_WHAT, text, f"it was set back, or was ahead; {_ADVICE}")
    if errors:
        return approve(_WHAT, f"agrees with that of {', '.join(sorted(errors))}")
    return approve(_WHAT, f"says {here}; no server answered that it could be compared with")
