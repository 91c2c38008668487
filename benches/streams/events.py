"""Events as the recorder writes them, about 700 bytes each; and logs that are full of them."""

from pathlib import Path
from typing import Final

from msys_track.eventlog.writer import LogWriter

_READERS: Final = 50_000
"""Messages that the events belong to, so that each has several."""
_BATCH: Final = 5_000
_EVENT: Final = (
    b'{"msys":{"track_event":{"type":"click","event_id":"01900000-%04x-7000-8000-%012x",'
    b'"timestamp":"1712345678","message_id":"%04x%016x","transmission_id":"65832150921904138",'
    b'"customer_id":"1","campaign_id":"spring sale","rcpt_to":"reader.%d@example.com",'
    b'"raw_rcpt_to":"reader.%d@example.com","rcpt_meta":{"customer":"C%d"},"rcpt_tags":["sale"],'
    b'"recipient_domain":"example.com","injection_time":"2024-04-05T19:34:00.000Z",'
    b'"open_tracking":true,"click_tracking":true,"transactional":"0","delv_method":"esmtp",'
    b'"ip_address":"192.0.2.1","user_agent":"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS '
    b'X) AppleWebKit/605.1.15","target_link_url":"https://shop.example.com/sale?item=%d",'
    b'"target_link_name":"Raw URL","x_msys_track":{"class":"human","first":{"message":true}}}}}'
)


def make_events(tracker: int, count: int) -> list[bytes]:
    """Make the events of one tracker; ids differ between trackers."""
    return [
        _EVENT % (
            tracker, number, tracker, number % _READERS,
            *(number % _READERS,) * 3, number % 10,
        )
        for number in range(count)
    ]  # fmt: skip


def write_log(folder: Path, events: list[bytes]) -> None:
    """Write an event log as a recorder leaves it."""
    with LogWriter(folder / "events") as writer:
        for start in range(0, len(events), _BATCH):
            writer.append(events[start : start + _BATCH])
