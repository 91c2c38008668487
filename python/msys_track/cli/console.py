"""Where rich draws: as wide as the terminal, in colours by the rule of `streams.has_colour`."""

import sys

from rich.console import Console

from msys_track.cli import streams


def make_console(*, is_error: bool = False) -> Console:
    """Make what draws on standard output, or on standard error.

    rich would read the same variables by itself, and others; it is told instead, so that logs and
    tables follow one rule.
    """
    stream = sys.stderr if is_error else sys.stdout
    is_terminal = stream is not None and stream.isatty()
    return Console(
        stderr=is_error,
        width=None if is_error else streams.columns(),
        color_system="standard" if streams.has_colour(stream) else None,
        force_terminal=is_terminal,
        emoji=False,
        highlight=False,
        markup=False,
    )
