"""What is read from files that change while a server runs: certificates, users."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")

# Number, time and size: a file that takes another's place may have its time and its size.
_Version: TypeAlias = tuple[int, int, int] | None


class Watched(Generic[T]):
    """A value that is made of files, and made again when one of them is replaced.

    What can't be read, as while one of a pair is being replaced, leaves the last good value.

    Attributes:
        files: The files; the first is the one to name.
        value: What the files last made.
    """

    __slots__ = ("_read", "_versions", "files", "value")

    def __init__(self, files: Sequence[Path], read: Callable[[], T]) -> None:
        """Read the files; whatever `read` raises is raised here and by the methods."""
        self.files = files
        self._read = read
        self._versions = self._read_versions()
        self.value = read()

    def reload(self) -> None:
        """Read the files again."""
        versions = self._read_versions()
        self.value = self._read()
        self._versions = versions

    def reload_if_changed(self) -> bool:
        """Read the files again if one of them was replaced, and return whether it was.

        It tries again at each call until the files are good.
        """
        if self._read_versions() == self._versions:
            return False
        self.reload()
        return True

    def _read_versions(self) -> tuple[_Version, ...]:
        return tuple(map(_read_version, self.files))


def _read_version(file: Path) -> _Version:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
