"""The account of a run: what the client was promised against what the sink has.

Lost, crossed, broken, doubled and denied mails are faults. A double is none where nobody could
know better: the client saw no answer to a try, or was told that the upstream's was lost; or a
spool sent a copy again that the upstream never answered, or whose answer a worker could not note
since it was killed in that moment (RFC 1047). A reader whom the upstream has refused and a
report to the sender names (RFC 3464) has not lost the mail.
"""

import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.faults.mails import LINKS, Arrival, targets_of

from msys_track import InvalidTokenError, KeyRing

_UNKNOWN = "may have been accepted"
"""What an answer says that leaves open whether the upstream has the mail."""
_IN_PART = "copies relayed"
"""What a refusal says when some readers have the mail."""
_KEPT = re.compile(r"\bkept\b")
"""What an answer says when the spool has a part of the mail."""
_SERVED = re.compile(r"^554[ -]5\.3\.0 sent to (.*?)\r?$", re.MULTILINE)
"""The line of such a refusal that names them."""
_NOTE_SECONDS = 0.5
"""So long it takes at most on a busy machine until a worker has noted what the spool sent, and
until a sink answers a worker that is dead already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a sink has taken, and when its answer has left; None where none has."""

    arrival: Arrival
    answered_at: float | None = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """All that a sink has noted."""

    entries: tuple[Entry, ...]
    refused: frozenset[str] = frozenset()
    """Recipients that it has refused for good at least once."""


@dataclass(slots=True, kw_only=True)
class Sent:
    """One mail in the client's log."""

    recipients: tuple[str, ...]
    tries: list["Try"] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Accepted, or refused for good: not to be sent again."""
        return any(each.answer[:1] in ("2", "5") for each in self.tries)

    @property
    def is_denied(self) -> bool:
        """Refused for good, as if nobody had it."""
        last = self.tries[-1] if self.tries else None
        return (
            last is not None
            and last.answer.startswith("5")
            and _IN_PART not in last.answer
            and not any(map(self.count_unknown, self.recipients))
        )

    @property
    def promised(self) -> set[str]:
        """Readers that an answer said would have the mail, or have it."""
        accepted = (each.accepted for each in self.tries if each.answer.startswith("2"))
        served = (
            found[1].split(", ")
            for each in self.tries
            if (found := _SERVED.search(each.answer)) is not None
        )
        return {to for group in (*accepted, *served) for to in group}

    @property
    def may_be_kept(self) -> bool:
        """Whether the spool may have sent copies of it."""
        return any(not each.answer or _KEPT.search(each.answer) for each in self.tries)

    def count_unknown(self, recipient: str) -> int:
        """Count the tries after which nobody could know whether this reader has the mail."""
        return sum(
            each.reached_the_dot
            and recipient in each.accepted
            and (not each.answer or _UNKNOWN in each.answer)
            for each in self.tries
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One transaction; `answer` is that to the data, or what ended it before: empty if none came.

    `accepted` are the recipients that got 250.
    """

    accepted: tuple[str, ...]
    answer: str
    reached_the_dot: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A run in figures; the faults name mail and recipient."""

    sent: int
    accepted: int
    refused: int
    given_up: int
    """Never accepted, never refused for good; the client has them still."""
    arrived: int
    """Copies in the sink."""
    reported: int
    """Readers whom the upstream has refused and a report names to the sender."""
    repeated: int
    """Copies more than one, where nobody could know."""
    unnoted: int
    """Those of them that a spool sent again, as the worker that had sent them was killed."""
    lost: tuple[str, ...]
    crossed: tuple[str, ...]
    broken: tuple[str, ...]
    doubled: tuple[str, ...]
    denied: tuple[str, ...]

    @property
    def faults(self) -> Mapping[str, Sequence[str]]:
        found = {
            "lost": self.lost,
            "crossed": self.crossed,
            "broken": self.broken,
            "doubled": self.doubled,
            "denied": self.denied,
        }
        return {kind: mails for kind, mails in found.items() if mails}

    def __str__(self) -> str:
        counts = {
            name: len(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }
        return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def draw_account(
    sent: Mapping[str, Sent],
    journal: Journal,
    keys: KeyRing,
    *,
    has_spool: bool,
    kills: Sequence[float] = (),
) -> Account:
    """Compare the client's log with the sink's journal.

    Args:
        sent: The client's log, by mail.
        journal: The sink's.
        keys: They open the links.
        has_spool: Then the proxy itself sends a copy again of whose answer it knows nothing.
        kills: When a worker was killed, in seconds of the clock of the journal.
    """
    copies: Counter[tuple[str, str]] = Counter()
    answered: Counter[tuple[str, str]] = Counter()
    unnoted: Counter[tuple[str, str]] = Counter()
    reported: set[tuple[str, str]] = set()
    crossed, broken = [], []
    for entry in journal.entries:
        arrival = entry.arrival
        name = f"{arrival.mail_id} to {', '.join(arrival.recipients)}"
        known = sent.get(arrival.mail_id)
        readers = set(known.recipients) if known is not None else set()
        if arrival.reported:
            if not set(arrival.reported) <= readers:
                crossed.append(f"{name}: a report about {', '.join(arrival.reported)}")
            # Nobody else is given up here: a report must not pass for the copy of a lost mail.
            given_up = journal.refused.intersection(arrival.reported)
            reported.update((arrival.mail_id, to) for to in given_up)
            continue
        names = [(arrival.mail_id, to) for to in arrival.recipients]
        copies.update(names)
        answered.update(names if entry.answered_at is not None or not has_spool else ())
        if has_spool and known is not None and known.may_be_kept:
            unnoted.update(names if _is_unnoted(entry, kills) else ())
        if not set(arrival.recipients) <= readers:
            crossed.append(name)
        elif not arrival.is_whole:
            broken.append(name)
        else:
            crossed += [f"{name}: {why}" for why in _find_crossings(arrival, keys)]
    lost, doubled, repeated, sent_again = [], [], 0, 0
    for mail_id, mail in sent.items():
        lost += [
            f"{mail_id} to {to}"
            for to in sorted(mail.promised)
            if not copies[mail_id, to] and (mail_id, to) not in reported
        ]
        for to in mail.recipients:
            surplus = answered[mail_id, to] - 1 - mail.count_unknown(to)
            if surplus > unnoted[mail_id, to]:
                doubled.append(f"{mail_id} to {to}: {answered[mail_id, to]} copies, {mail.tries}")
            else:
                repeated += max(0, copies[mail_id, to] - 1)
                sent_again += max(0, surplus)
    denied = [
        f"{mail_id}: {mail.tries[-1].answer}"
        for mail_id, mail in sent.items()
        if mail.is_denied and any(copies[mail_id, to] for to in mail.recipients)
    ]
    answers = [{each.answer[:1] for each in mail.tries} for mail in sent.values()]
    return Account(
        sent=len(sent),
        accepted=sum("2" in each for each in answers),
        refused=sum("5" in each and "2" not in each for each in answers),
        given_up=sum(not mail.is_over for mail in sent.values()),
        arrived=copies.total(),
        reported=len(reported),
        repeated=repeated,
        unnoted=sent_again,
        lost=tuple(lost),
        crossed=tuple(crossed),
        broken=tuple(broken),
        doubled=tuple(doubled),
        denied=tuple(denied),
    )


def read_journal(file: Path) -> Journal:
    """Read a sink's journal; a line that a killed sink left unfinished was never answered."""
    arrivals: dict[str, Arrival] = {}
    answered: dict[str, float] = {}
    refused: set[str] = set()
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            fields = json.loads(line)
        except json.JSONDecodeError:
            continue
        if "answered" in fields:
            answered[fields["answered"]] = fields["at"]
            continue
        if "refused" in fields:
            refused.add(fields["refused"])
            continue
        arrivals[fields["key"]] = Arrival(
            mail_id=fields["mail_id"],
            recipients=tuple(fields["recipients"]),
            paths=tuple(fields["paths"]),
            is_whole=fields["is_whole"],
            reported=tuple(fields["reported"]),
        )
    entries = (
        Entry(arrival=arrival, answered_at=answered.get(key)) for key, arrival in arrivals.items()
    )
    return Journal(entries=tuple(entries), refused=frozenset(refused))


def _is_unnoted(entry: Entry, kills: Sequence[float]) -> bool:
    """Whether a worker was killed about the moment in which this copy was answered."""
    at = entry.answered_at
    if at is None:
        return False
    following = bisect_left(kills, at - _NOTE_SECONDS)
    return following < len(kills) and kills[following] <= at + _NOTE_SECONDS


def _find_crossings(arrival: Arrival, keys: KeyRing) -> Iterator[str]:
    """Compare each link of a copy with the mail and the reader that it went to."""
    try:
        claims = [keys.open(path) for path in arrival.paths]
    except InvalidTokenError as error:
        yield str(error)
        return
    targets = [each.target for each in claims if each.kind == "click"]
    if targets != targets_of(arrival.mail_id):
        yield f"links lead to {targets}"
    if len(claims) <= LINKS:
        yield "no pixel"
    readers = {each.engagement.recipient for each in claims}
    if readers != set(arrival.recipients):
        yield f"links are those of {readers}"
