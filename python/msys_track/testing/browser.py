"""A browser that follows no redirect: targets are on the internet, and the demo stays at home."""

import http.client
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

USER_AGENT: Final = "Mozilla/5.0 (msys-track demo)"

_TIMEOUT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserResponse:
    """An answer of the tracker."""

    status: int
    """0 where there was no answer."""
    location: str | None
    media_type: str | None
    body: bytes

    @property
    def is_gif(self) -> bool:
        """Whether it is what an image program takes for a GIF."""
        return (
            self.status == http.HTTPStatus.OK
            and self.media_type == "image/gif"
            and self.body.startswith(b"GIF89a")
        )


class Browser:
    """Fetches what lies below one origin, the tracker's, and nothing else."""

    def __init__(self, host: str, port: int) -> None:
        self.origin = f"http://{host}:{port}"
        self._host = host
        self._port = port

    def fetch(self, urls: Iterable[str], *, method: str = "GET") -> list[BrowserResponse]:
        """Fetch URLs one after another on one connection; blocks.

        Raises:
            ValueError: a URL that leads anywhere else.
        """
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        try:
            return [self._fetch(connection, method, url) for url in urls]
        finally:
            connection.close()

    def _fetch(
        self, connection: http.client.HTTPConnection, method: str, url: str
    ) -> BrowserResponse:
        path = url.removeprefix(self.origin)
        if path == url or not path.startswith("/"):
            raise ValueError(f"{url}: not below {self.origin}; the demo does not go there")
        try:
            connection.request(method, path, headers={"User-Agent": USER_AGENT})
            response = connection.getresponse()
            return BrowserResponse(
                status=response.status,
                location=response.getheader("Location"),
                media_type=response.getheader("Content-Type"),
                body=response.read(),
            )
        except (OSError, http.client.HTTPException):
            connection.close()  # else the next request would meet half an answer
            return BrowserResponse(status=0, location=None, media_type=None, body=b"")
