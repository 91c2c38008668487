"""A kept copy: what one transaction of the upstream sends, and what has come of it so far."""

import json
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, TypeAlias

from msys_track.smtp.path import Recipient

State: TypeAlias = Literal["waiting", "failed"]
"""failed: given up, until the report to its sender is in the spool."""

COLUMNS: Final = (
    "id, mail, number, envelope_id, sender, mail_parameters, recipients, body, size, is_seven_bit,"
    " kept_at, kept_uptime, due_uptime, attempts, answer, state, is_delay_reported, claimed_by"
)
"""Of the table `copies`, in the order of `KeptCopy.of_row`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCopy:
    """A row of the spool without its bytes."""

    id: int
    mail: str
    """The queue id, which all copies of one mail have."""
    number: int
    envelope_id: str
    """The name that the log has for the mail."""
    sender: str
    mail_parameters: tuple[str, ...]
    recipients: tuple[Recipient, ...]
    body: int
    size: int
    """Bytes before stuffing."""
    is_seven_bit: bool
    kept_at: float
    """Unix time, for people; the clock may have jumped since."""
    kept_uptime: float
    due_uptime: float
    attempts: int
    answer: str
    """The last one: code and text."""
    state: State
    is_delay_reported: bool
    claimed_by: str | None
    """The worker that is sending it."""

    @classmethod
    def of_row(cls, row: Any) -> Self:
        """Read a row of `COLUMNS`."""
        names = COLUMNS.split(", ")
        values = dict(zip(names, row, strict=True))
        values["mail_parameters"] = tuple(json.loads(values["mail_parameters"]))
        values["recipients"] = read_recipients(values["recipients"])
        values["is_seven_bit"] = bool(values["is_seven_bit"])
        values["is_delay_reported"] = bool(values["is_delay_reported"])
        return cls(**values)

    @property
    def name(self) -> str:
        """What people name it by."""
        return f"{self.mail}.{self.number}"

    @property
    def is_report(self) -> bool:
        """Whether it came with the null reverse-path: no report is sent about it."""
        return not self.sender


def write_recipients(recipients: tuple[Recipient, ...]) -> str:
    """Write recipients as the column has them."""
    return json.dumps([[each.path, each.parameters] for each in recipients])


def read_recipients(text: str) -> tuple[Recipient, ...]:
    """Read recipients from the column."""
    return tuple(
        Recipient(path=path, parameters=tuple(parameters)) for path, parameters in json.loads(text)
    )
