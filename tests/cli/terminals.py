"""A terminal in this process, for what is drawn only there."""

import os
import pty
import sys
import threading
from typing import Literal, TextIO

import pytest

_END = "\x00end"


class Terminal:
    """A terminal in place of one of Python's streams; what is shown there is kept.

    Make it in the test itself: pytest sets the streams anew between a fixture and its test.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, stream: Literal["stdout", "stderr"]
    ) -> None:
        self._own, other = pty.openpty()
        self._stream: TextIO = os.fdopen(other, "w", encoding="utf-8")
        monkeypatch.setattr(sys, stream, self._stream)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("NO_COLOR", "1")
        self._shown = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self._shown.endswith(_END.encode()):
            self._shown += os.read(self._own, 65_536)

    def read(self) -> str:
        """Return all that was shown; nothing can be shown afterwards."""
        self._stream.write(_END)
        self._stream.flush()
        self._reader.join(60)
        self._stream.close()
        os.close(self._own)
        return self._shown.decode().removesuffix(_END)
