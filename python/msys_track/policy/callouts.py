"""The names of hooks. A misspelt hook would never be called, so it is a fault of its file."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from msys_track.policy.hooks import Hook

HOOKS: Final = tuple(hook.value for hook in Hook)

MOMENTUMS_OWN: Final = frozenset(
    {
        "deinit",
        "validate_dealloc",
        "validate_rcptto_list",
        "validate_rcptto_list_final",
        "validate_set_binding",
    }
)
"""Momentum's callouts that have no counterpart here."""

_OTHER_PHASES: Final = ("ac_", "core_", "msg_gen_")


def is_momentums_own(name: str) -> bool:
    """Return whether Momentum has such a callout and nothing here calls it."""
    return name in MOMENTUMS_OWN or name.startswith(_OTHER_PHASES)


def find_faults(functions: Mapping[str, str], also: Collection[str] = ()) -> Iterator[str]:
    """Yield what is wrong with a file that has these functions, each as `file:line: what`.

    Args:
        functions: from name to `file:line`.
        also: names that are called besides hooks.
    """
    known = (*HOOKS, *also)
    for name in functions:
        if (
            name in known
            or is_momentums_own(name)
            or not (name.startswith("validate_") or get_close_matches(name, HOOKS, 1, 0.85))
        ):
            continue
        close = get_close_matches(name, known, n=1, cutoff=0.7)
        hint = f"did you mean {close[0]}?" if close else f"the hooks are {', '.join(HOOKS)}"
        yield f"{functions[name]}: {name} is not a hook; {hint}"


def find_notices(
    functions: Mapping[str, str], also: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Yield what is never called, as `file:line` and a text.

    These are Momentum's own callouts, and of a file without any hook all its functions.

    Args:
        functions: from name to `file:line`.
        also: names that are called besides hooks.
    """
    known = (*HOOKS, *also)
    has_hook = any(name in known and name != "init" for name in functions)
    for name, place in functions.items():
        if is_momentums_own(name) or not (has_hook or name in known):
            yield place, f"{name} is never called here"
