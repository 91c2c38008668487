"""Redirect overrides: targets that were changed after the mail was sent, from a file.

Each line has an old target and a new one, separated by spaces, or by a tab where one has spaces in
it; a line that begins with `#` is a remark.
"""

from collections.abc import Mapping
from pathlib import Path

from msys_track.errors import SettingsError, describe_os_error
from msys_track.tracking.location import make_location

_TARGETS = 2


def read_overrides(file: Path) -> Mapping[str, str]:
    """Return the new target of each old one.

    Raises:
        SettingsError: the file can't be read, or a line is wrong; the text names all such lines.
    """
    try:
        text = file.read_text("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{file}: can't be read: {describe_os_error(error)}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: is not UTF-8 at byte {error.start}") from error
    found: dict[str, str] = {}
    faults: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        targets = [each.strip() for each in line.split("\t") if each.strip()]
        if len(targets) == 1:
            targets = line.split()
        if not targets or targets[0].startswith("#"):
            continue
        if len(targets) != _TARGETS:
            faults.append(f"{file}:{number}: found {len(targets)} targets; write the old, the new")
        elif not all(map(make_location, targets)):
            faults.append(f"{file}:{number}: a target begins with http:// or https://, and a host")
        elif found.setdefault(targets[0], targets[1]) != targets[1]:
            faults.append(f"{file}:{number}: this old target has another new one above; keep one")
    if faults:
        raise SettingsError("\n".join(faults))
    return found
