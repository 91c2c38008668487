"""What the tracker did, in numbers: the only trace of requests that leave no event.

They are logged when it closes, as `tracker.closed`.
"""

from dataclasses import dataclass
from http import HTTPStatus


@dataclass(slots=True)
class Counters:
    """Counts since the start; plain integers, changed by one event loop only.

    Attributes:
        requests: Whole requests, whatever the answer.
        clicks: Redirects to a target, expired and HEAD included.
        opens: Pixels of an authentic link, expired and HEAD included.
        expired: Authentic links past their time: answered as ever, no event.
        invalid_tokens: Clicks and opens whose token is not ours, or is no longer what we sealed.
        not_found: Paths that are no tracked URL.
        refused_methods: Anything but GET and HEAD.
        bad_requests: Not HTTP, over a limit, or without a Host.
        timeouts: Requests that did not arrive in time.
        refused_connections: Connections over `max_connections`.
        failures: Defects of ours, with a traceback in the log: each cost a connection, an event,
            or a `Location` its exact form.
    """

    requests: int = 0
    clicks: int = 0
    opens: int = 0
    expired: int = 0
    invalid_tokens: int = 0
    not_found: int = 0
    refused_methods: int = 0
    bad_requests: int = 0
    timeouts: int = 0
    refused_connections: int = 0
    failures: int = 0

    def refuse(self, status: HTTPStatus) -> None:
        """Count a request, or a connection, that got no further than this status."""
        match status:
            case HTTPStatus.METHOD_NOT_ALLOWED:
                self.refused_methods += 1
            case HTTPStatus.REQUEST_TIMEOUT:
                self.timeouts += 1
            case HTTPStatus.SERVICE_UNAVAILABLE:
                self.refused_connections += 1
            case HTTPStatus.INTERNAL_SERVER_ERROR:
                self.failures += 1
            case _:
                self.bad_requests += 1
