"""What was sent, opened, clicked and unsubscribed from, of the counts that a store keeps."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from msys_track.sinks.store.reading import Store
from msys_track.sinks.store.rows import ACTIONS, READERS, UNKNOWN

By: TypeAlias = Literal["campaign", "day", "hour"]

_Kind: TypeAlias = tuple[Any, str, str]
"""Key, action, reader."""

KINDS: Final = ("people", "machines", UNKNOWN)
_KEYS: Final = {"campaign": "campaign_id", "day": "hour / 24", "hour": "hour"}
_SECONDS_AN_HOUR: Final = 3_600
# Two pixels tell of one look at a mail, but where the mail was cut off only the upper one does.
_UPPER: Final = frozenset({"initial_open", "amp_initial_open"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Deeds:
    """How often readers did one thing.

    Attributes:
        events: How often, by the kind of reader.
        messages: With how many messages for the first time, by the kind of reader.
        all_messages: With how many messages for the first time, whoever it was.
    """

    events: Mapping[str, int]
    messages: Mapping[str, int]
    all_messages: int

    @property
    def all_events(self) -> int:
        """How often, whoever it was."""
        return sum(self.events.values())

    def as_json(self) -> dict[str, dict[str, int]]:
        """Return the members of a JSON object."""
        return {
            "total": {"all": self.all_events, **self.events},
            "unique": {"all": self.all_messages, **self.messages},
        }


_NONE: Final = Deeds(
    events=dict.fromkeys(KINDS, 0), messages=dict.fromkeys(KINDS, 0), all_messages=0
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What happened to the mail of a campaign, or in an hour or a day.

    Attributes:
        key: The campaign, or the Unix seconds at which the time begins.
        sent: Copies that an upstream took.
        rejected: Mails and recipients that policy refused.
    """

    key: str | int
    sent: int = 0
    rejected: int = 0
    opened: Deeds = _NONE
    clicked: Deeds = _NONE
    unsubscribed: Deeds = _NONE

    @property
    def events(self) -> int:
        """How much happened, of all that is counted here."""
        deeds = (self.opened, self.clicked, self.unsubscribed)
        return self.sent + self.rejected + sum(each.all_events for each in deeds)


def read_stats(
    store: Store,
    *,
    by: By = "campaign",
    campaign: str | None = None,
    since: int | None = None,
    until: int | None = None,
) -> list[Stats]:
    """Read the counts of a store, in the order of their keys.

    Args:
        store: It is read.
        by: What there is one result for each of.
        campaign: Only this one; mail without a campaign has an empty one.
        since: Unix seconds; from the hour on that this is in.
        until: Unix seconds; as far as the hour that this is in.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    known = [
        ("campaign_id = ?", campaign),
        ("hour >= ?", None if since is None else since // _SECONDS_AN_HOUR),
        ("hour < ?", None if until is None else -(-until // _SECONDS_AN_HOUR)),
    ]
    condition = " AND ".join(text for text, value in known if value is not None) or "true"
    values = [value for _, value in known if value is not None]
    counted = store.select(
        f"SELECT {_KEYS[by]}, type, class, sum(events) FROM counts WHERE {condition}"  # noqa: S608
        " GROUP BY 1, 2, 3",
        *values,
    )
    first_seen = store.select(
        f"SELECT {_KEYS[by]}, action, reader, sum(messages), sum(new_messages)"  # noqa: S608
        f" FROM uniques WHERE {condition} GROUP BY 1, 2, 3",
        *values,
    )
    return make_stats(counted, first_seen, _SECONDS_AN_HOUR * (24 if by == "day" else 1))


def make_stats(
    counted: Iterable[tuple[Any, bytes, bytes, int]],
    first_seen: Iterable[tuple[Any, bytes, bytes, int, int]],
    seconds: int = 1,
) -> list[Stats]:
    """Make statistics of the rows of a store's counts, in the order of their keys.

    Args:
        counted: Key, type, class and events.
        first_seen: Key, action, kind of reader, messages of that kind and messages of all.
        seconds: What a key that is a number is multiplied by.
    """
    lower, upper = Counter[_Kind](), Counter[_Kind]()
    for key, type_, class_, count in counted:
        name, reader = type_.decode(), READERS.get(class_.decode(), UNKNOWN)
        (upper if name in _UPPER else lower)[key, ACTIONS.get(name, ""), reader] += count
    messages, all_messages = Counter[_Kind](), Counter[tuple[Any, str]]()
    for key, action_name, reader_name, count, new in first_seen:
        messages[key, action_name.decode(), reader_name.decode()] += count
        all_messages[key, action_name.decode()] += new

    def collect(key: Any, action: str) -> Deeds:
        kinds = {reader: (key, action, reader) for reader in KINDS}
        return Deeds(
            events={
                reader: max(lower[kind], upper[kind], messages[kind])
                for reader, kind in kinds.items()
            },
            messages={reader: messages[kind] for reader, kind in kinds.items()},
            all_messages=all_messages[key, action],
        )

    return [
        Stats(
            key=key.decode("utf-8", "replace") if isinstance(key, bytes) else key * seconds,
            # Not by message: copies of mail with privacy `aggregate` have one id.
            sent=sum(collect(key, "sent").events.values()),
            rejected=sum(collect(key, "rejected").events.values()),
            opened=collect(key, "open"),
            clicked=collect(key, "click"),
            unsubscribed=collect(key, "unsubscribe"),
        )
        for key in sorted({key for key, action, _ in (lower | upper) if action})
    ]
