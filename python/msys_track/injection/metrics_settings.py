"""Settings of the endpoints that show a server's figures; every default is stated here."""

from dataclasses import dataclass
from typing import Annotated

from msys_track.settings.addresses import LISTEN
from msys_track.settings.key import Key, check_settings
from msys_track.smtp.address import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """Where a server's figures and its health can be read over HTTP.

    Raises:
        SettingsError: a value that is no address.
    """

    listen_host: Annotated[
        str | None,
        Key(
            LISTEN,
            "where the proxy, or a tracker whose file has no `[proxy]`, answers `/metrics`, "
            "`/healthz` and `/readyz` over HTTP, to everybody who reaches it",
            name="listen",
            fields=("listen_host", "listen_port"),
            example="127.0.0.1:9464",
            unset="nowhere",
        ),
    ] = None
    listen_port: int | None = None
    tracker_listen_host: Annotated[
        str | None,
        Key(
            LISTEN,
            "where the tracker answers the same",
            name="tracker_listen",
            fields=("tracker_listen_host", "tracker_listen_port"),
            example="127.0.0.1:9465",
            unset="nowhere; `listen` where there is no `[proxy]`",
        ),
    ] = None
    tracker_listen_port: int | None = None
    report_listen_host: Annotated[
        str | None,
        Key(
            LISTEN,
            "where the report answers the same",
            name="report_listen",
            fields=("report_listen_host", "report_listen_port"),
            example="127.0.0.1:9466",
            unset="nowhere",
        ),
    ] = None
    report_listen_port: int | None = None

    def __post_init__(self) -> None:
        check_settings(self, "metrics: ")

    @property
    def listen(self) -> Address | None:
        """The address; None: nothing is shown."""
        if self.listen_host is None or self.listen_port is None:
            return None
        return Address(self.listen_host, self.listen_port)

    @property
    def tracker_listen(self) -> Address | None:
        """The tracker's address, beside a proxy; None: nothing is shown."""
        if self.tracker_listen_host is None or self.tracker_listen_port is None:
            return None
        return Address(self.tracker_listen_host, self.tracker_listen_port)

    @property
    def report_listen(self) -> Address | None:
        """The report's address; None: nothing is shown."""
        if self.report_listen_host is None or self.report_listen_port is None:
            return None
        return Address(self.report_listen_host, self.report_listen_port)
