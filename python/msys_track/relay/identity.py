"""Who this proxy is, and which proxies mail comes from: what finds a loop before there is a mail.

A proxy tells each upstream that is a proxy of ours its own id and those that it was told itself,
before EHLO, which an upstream may not answer before it has asked its own. An upstream whose mark
is that of one of them would send mail back.

Connections are kept and shared by all clients, so that what is told on one can't be about the
client of one mail. So ids are of the whole proxy, for as long as a session stays open that told
them. For one upstream that is exact: all mail goes there, and would come back. Where there are
several, mail of other clients might not come back; so that is a reason to take another one, or to
try later, and no refusal for good.

Workers have one id in common, but each knows only what its own sessions were told. That is enough:
the worker that was told is the one that sends on what comes over this connection.
"""

import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.relay.connection import ConnectionFailedError
from msys_track.smtp.proxies import make_mark

log = event_logger(__name__)

# Who sends us more than this names none of ours; what is beyond is ended by Received fields.
_MOST_IDS: Final = 256


class RoutingLoopError(ConnectionFailedError):
    """The upstream is this proxy, or sends its mail here."""


class Identity:
    """A proxy among others; its workers have copies.

    Attributes:
        mark: What its greeting shows.
    """

    def __init__(self, counters: Counters | None = None) -> None:
        """Make a new one; `counters` count the connections that a loop ended."""
        self._id = secrets.token_hex(16)
        self._counters = counters or Counters()
        self.mark = make_mark(self._id)
        self._told: Counter[str] = Counter()  # by id: how many sessions told it
        self._marks: set[str] = set()  # of these ids
        self._logged: set[str] = set()

    @property
    def ids(self) -> Sequence[str]:
        """What upstreams are told: its own id, and those of the proxies that mail comes from."""
        return [self._id, *(each for each in self._told if each != self._id)]

    def note(self, ids: Iterable[str], told: set[str]) -> None:
        """Note what a session is told, also in `told`, all that it was told so far."""
        for each in set(ids) - told:
            if each in self._told or len(self._told) < _MOST_IDS:
                self._told[each] += 1
                self._marks.add(make_mark(each))
                told.add(each)

    def forget(self, told: set[str]) -> None:
        """Forget what a session was told: it has ended."""
        while told:
            each = told.pop()
            self._told[each] -= 1
            if not self._told[each]:
                del self._told[each]
                self._marks.discard(make_mark(each))

    def leads_back(self, mark: str | None) -> bool:
        """Whether mail to the upstream with this mark would come back."""
        return mark is not None and (mark == self.mark or mark in self._marks)

    def check(self, mark: str | None, upstream: str) -> None:
        """Refuse an upstream whose mark says that mail would come back.

        Raises:
            RoutingLoopError: it would.
        """
        if not self.leads_back(mark):
            return
        self._counters.add("upstreams.loops")
        if upstream not in self._logged:  # every mail finds it again
            self._logged.add(upstream)
            log.error(
                "upstream.loop",
                upstream=upstream,
                is_itself=mark == self.mark,
                hint="it sends mail back to this proxy; name the server that is to take the mail",
            )
        raise RoutingLoopError("mail to it would come back")
