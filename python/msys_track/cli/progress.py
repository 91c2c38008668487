"""A bar for what takes long, on standard error where that is a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.progress import Progress

from msys_track.cli.console import make_console

_PATIENCE_SECONDS: Final = 2.0


@contextmanager
def progress(what: str, total: float) -> Iterator[Callable[[float], None]]:
    """Show how far something is, once it has taken two seconds.

    Args:
        what: Stands before the bar.
        total: How much there is to do.

    Yields:
        Call it with how much more is done.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    begun = time.monotonic()
    bar = Progress(console=make_console(is_error=True), transient=True)
    task = bar.add_task(what, total=total)

    def advance(more: float) -> None:
        bar.update(task, advance=more)
        if not bar.live.is_started and time.monotonic() - begun >= _PATIENCE_SECONDS:
            bar.start()

    try:
        yield advance
    finally:
        bar.stop()
