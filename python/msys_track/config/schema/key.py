"""One key of a configuration file: which setting it sets, what it may hold, what it is for.

File, page, starter file and JSON Schema are all made from it, so that they can't disagree.
"""

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from msys_track.config.schema.kinds import Kind
from msys_track.keys.file import KeySource
from msys_track.options.resolve import resolve
from msys_track.options.tracking import TrackingOptions
from msys_track.smtp.address import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class TopLevel:
    """What stands above all tables."""

    keys: KeySource | None = None
    smtpapi: bool = True
    """Whether X-MSYS-API means anything and anything is tracked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a table."""

    settings: type
    """The dataclass that it sets."""
    fields: tuple[str, ...]
    """Its fields there: two where one value has two parts, as an address has."""
    kind: Kind
    text: str
    """What it is, in a few words of Markdown."""
    example: object = None
    """A value to show, where there is no default to show."""
    unset: str = ""
    """What holds where it is not set, if that is no value that could be set."""
    is_required: bool = False

    @property
    def default(self) -> object:
        """The value that holds where it is not set, as the file would have it; None: none."""
        if self.settings is TrackingOptions:
            return written(getattr(resolve(()), self.fields[0]).value)
        known = {field.name: field.default for field in fields(self.settings)}
        values: list[Any] = [known[name] for name in self.fields]
        if any(value is MISSING or value is None for value in values) or self.is_required:
            return None
        return write_fields(values)


def write_fields(values: Sequence[Any]) -> object:
    """Write the fields that one key sets: a host and its port are one address."""
    return written(Address(*values) if len(values) > 1 else values[0])


def written(setting: Any) -> object:
    """Write a setting as the file has it; None stays None, for which TOML has no word."""
    if setting is None or isinstance(setting, bool | int | str):
        return setting
    if isinstance(setting, float):
        return int(setting) if setting.is_integer() else setting
    if isinstance(setting, Address):
        return str(setting)
    if isinstance(setting, tuple):
        return [written(each) for each in setting]
    if isinstance(setting, dict):
        return {name: written(each) for name, each in setting.items()}
    return str(setting)
