"""What is wrong with a request, as SparkPost says it: a status and a list of errors."""

from collections.abc import Mapping
from typing import Any

from msys_track.errors import PicklableError


class RequestError(PicklableError):
    """A request that is not answered.

    Attributes:
        status: Of HTTP.
        headers: Of the answer, beside those that every answer has.
    """

    def __init__(
        self,
        status: int,
        message: str,
        description: str = "",
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{message}: {description}" if description else message)
        self.status = status
        self.headers = dict(headers or {})
        self._message = message
        self._description = description

    def as_json(self) -> dict[str, Any]:
        """Return the body: `{"errors": [{"message": …, "description": …}]}`."""
        error = {"message": self._message, "description": self._description}
        return {"errors": [{name: text for name, text in error.items() if text}]}


def refuse(description: str) -> RequestError:
    """Make the error of a parameter that is wrong; the text says which, and what is allowed."""
    return RequestError(400, "Invalid parameter", description)
