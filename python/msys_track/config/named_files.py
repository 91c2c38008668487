"""Finds what is wrong with the files and folders that keys name, as far as one server needs them.

Each server may run as a user who can't see the files of the others.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from stat import S_ISDIR, S_ISREG
from typing import Final, Literal, TypeAlias

from msys_track.config.document import Document, KeyPath
from msys_track.config.schema.tables import Key, TopLevel
from msys_track.errors import describe_os_error
from msys_track.eventlog.settings import EventsSettings
from msys_track.kept_mail.settings import KeptMailSettings
from msys_track.report.settings import ReportSettings
from msys_track.settings.kinds import write_found
from msys_track.settings.secrets import SECRET
from msys_track.sinks.file import FileSettings
from msys_track.sinks.kafka.settings import KafkaSettings
from msys_track.sinks.rabbitmq.settings import RabbitmqSettings
from msys_track.sinks.webhook.settings import WebhookSettings
from msys_track.spool.settings import SpoolSettings
from msys_track.tracking.classify.settings import ClassificationSettings
from msys_track.tracking.settings import TrackerSettings
from msys_track.tracking.tenants import TenantSettings

Server: TypeAlias = Literal["proxy", "tracker", "report"]

# The server that uses the files of these settings; it is the proxy for all others.
_USED_BY: Final[Mapping[type, Server]] = {
    TrackerSettings: "tracker",
    TenantSettings: "tracker",
    EventsSettings: "tracker",
    ClassificationSettings: "tracker",
    FileSettings: "tracker",
    ReportSettings: "report",
}
# The server makes these.
_FILES_TO_MAKE: Final = (TrackerSettings, FileSettings, ReportSettings)
_FOLDERS_TO_MAKE: Final = (SpoolSettings, EventsSettings, KeptMailSettings)
_SINKS: Final = (WebhookSettings, KafkaSettings, RabbitmqSettings)
_USERS: Final = ("auth_users", "users")


class NamedFiles:
    """The files that a document names, in its folder.

    Args:
        document: names them.
        server: the one that is to start; None: all of them.
    """

    __slots__ = ("_folder", "_made_at_start", "_server", "has_sinks")

    def __init__(self, document: Document, server: Server | None) -> None:
        self._folder = document.path.parent
        self._made_at_start = document.made_at_start
        self._server = server
        events = document.members.get("events")
        logs_mail = isinstance(events, dict) and events.get("injection") is True
        self.has_sinks = server in (None, "tracker") or (server == "proxy" and logs_mail)
        """Whether the server sends events to sinks, and so needs what they need."""

    def find_fault(self, path: KeyPath, key: Key, name: Path) -> str | None:
        """Say what is wrong with what a key names; None if nothing is, or nobody needs it now."""
        settings = key.settings
        is_of_sinks = settings in _SINKS or key.fields == ("webhooks_json",)
        if not (self.has_sinks if is_of_sinks else self._is_needed(settings)):
            return None
        if key.kind is SECRET or settings is TenantSettings:
            is_there = os.access(self._folder / name, os.F_OK)
            # It may be the secret itself, which must not be shown.
            return None if is_there else f"no file has this name; allowed: {SECRET.allowed}"
        is_folder = settings in _FOLDERS_TO_MAKE and not is_of_sinks
        # Of a report, only the store is made, by a tracker that may start later.
        is_read = settings is ReportSettings and key.fields != ("store",)
        if is_folder or (settings in _FILES_TO_MAKE and not is_read):
            return self._judge_file_to_make(name, is_folder=is_folder)
        hint = ""
        if settings is TopLevel:
            hint = f": msys-track keys new {quote(str(self._folder / name))}"
        elif key.fields[0] in _USERS:
            hint = f": msys-track users add {quote(str(self._folder / name))} NAME"
        return self._judge_file_to_read(path, name, hint)

    def _is_needed(self, settings: type) -> bool:
        used_by = _USED_BY.get(settings, "proxy")
        return settings is TopLevel or self._server in (None, used_by)

    def _judge_file_to_make(self, name: Path, *, is_folder: bool) -> str | None:
        file = self._folder / name
        try:
            if is_folder != file.is_dir() and file.exists():
                what = "a file, allowed: a folder" if is_folder else "a folder, allowed: a file"
            elif not file.parent.is_dir():
                what = f"but the folder {file.parent} does not exist"
            else:
                return None
        except PermissionError:
            return None  # another user may run that server, which reports what it can't open
        except OSError as error:
            what = f"which can't be looked at: {describe_os_error(error)}"
        return f"found {write_found(str(name))}, {what}"

    def _judge_file_to_read(self, path: KeyPath, name: Path, hint: str) -> str | None:
        try:
            mode = (self._folder / name).stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            if path in self._made_at_start:
                return None
            what = f"but there is no such file{hint}"
        except OSError as error:
            what = f"which can't be looked at: {describe_os_error(error)}"
        else:
            if S_ISREG(mode):
                return None
            what = "a folder, allowed: a file" if S_ISDIR(mode) else "allowed: a regular file"
        return f"found {write_found(str(name))}, {what}"
