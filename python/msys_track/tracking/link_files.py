"""Files that change what links do, read again when they change: redirects, who has withdrawn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msys_track.errors import SettingsError
from msys_track.logs import event_logger
from msys_track.settings.watched import Watched
from msys_track.tracking.overrides import read_overrides
from msys_track.tracking.routes import Routes
from msys_track.tracking.settings import TrackerSettings
from msys_track.tracking.withdrawal import Withdrawal

log = event_logger(__name__)


class LinkFiles:
    """Keeps routes up to date with the files that the settings name."""

    def __init__(self, settings: TrackerSettings, routes: Routes) -> None:
        """Read the files.

        Raises:
            SettingsError: one can't be used; the text has the line.
        """
        self._routes = routes
        self._watched: list[tuple[Watched[Any], Callable[[Any], None]]] = []
        if settings.redirects is not None:
            self._watch(settings.redirects, read_overrides, self._use_overrides)
        if settings.withdrawn is not None:
            self._watch(settings.withdrawn, Withdrawal.read, self._use_withdrawal)
        self._faulty: set[Path] = set()

    def __len__(self) -> int:
        """Return how many files there are."""
        return len(self._watched)

    def look(self) -> bool:
        """Read again what has changed; return whether anything has.

        A file with a fault changes nothing, and is logged once. May be called from any thread.
        """
        has_changed = False
        for watched, use in self._watched:
            file = watched.files[0]
            try:
                if not watched.reload_if_changed():
                    continue
            except Exception as error:
                if file not in self._faulty:
                    self._faulty.add(file)
                    if isinstance(error, SettingsError):
                        log.error("links.not_reloaded", faults=str(error).split("\n"))  # noqa: TRY400 - the file's fault
                    else:
                        log.exception("links.not_reloaded")
                continue
            self._faulty.discard(file)
            use(watched.value)
            has_changed = True
            log.info("links.reloaded", file=str(file), entries=len(watched.value))
        return has_changed

    def _watch(self, file: Path, read: Callable[[Path], Any], use: Callable[[Any], None]) -> None:
        watched = Watched((file,), lambda: read(file))
        self._watched.append((watched, use))
        use(watched.value)

    def _use_overrides(self, overrides: dict[str, str]) -> None:
        self._routes.overrides = overrides

    def _use_withdrawal(self, withdrawal: Withdrawal) -> None:
        self._routes.withdrawal = withdrawal
