"""Why something can't be changed, as an exception."""

from msys_track.errors import PicklableError
from msys_track.reasons import Reason


class LeftAloneError(PicklableError):
    """A part that stays as it is."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason
