"""A key of a configuration file, stated at the field of the settings that it sets.

The check, its messages, `docs/configuration.md`, the starter file and the JSON Schema are made
from these annotations, so that they can't disagree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, MISSING, dataclass, fields, replace
from functools import cache
from typing import Any, get_args, get_type_hints

from msys_track.errors import SettingsError
from msys_track.settings.kinds import Kind, NotAllowedError, write_found
from msys_track.smtp.address import Address, UpstreamAddress


class ConflictError(SettingsError):
    """A value is good by itself, but not beside another; `field` is where to report it."""

    def __init__(self, where: str, field: str, text: str) -> None:
        super().__init__(f"{where}{field}: {text}")
        self.field = field
        self.text = text


@dataclass(frozen=True, slots=True)
class Key:
    """What a field's annotation says of its key."""

    kind: Kind
    text: str
    """What it is, in a few words of Markdown."""
    _: KW_ONLY
    name: str = ""
    """Its name in a file; empty: the field's."""
    fields: tuple[str, ...] = ()
    """The fields that it sets: two where one value has two parts, as an address has."""
    settings: type = object
    """The dataclass that it sets; `list_keys` fills it in."""
    default: object = None
    """The default, as a file has it; `list_keys` fills it in."""
    example: object = None
    """A value to show, where there is no default to show."""
    unset: str = ""
    """What applies where it is not set, if no value says it."""
    is_required: bool = False
    hides_texts: bool = False
    """Whether texts in its table may be secrets, which are not shown with the values in force."""
    is_optional: bool = False
    """Whether the field may be None: not set; `list_keys` fills it in."""


@cache
def list_keys(settings: type) -> Mapping[str, Key]:
    """Collect the keys of a dataclass of settings by their names in a file."""
    known = {field.name: field.default for field in fields(settings)}
    keys: dict[str, Key] = {}
    for field, hint in get_type_hints(settings, include_extras=True).items():
        key = next(
            (each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Key)), None
        )
        if key is None:
            continue
        names = key.fields or (field,)
        defaults = [known[name] for name in names]
        has_default = not key.is_required and not {MISSING, None}.intersection(defaults)
        default = write_fields(defaults) if has_default else None
        keys[key.name or field] = replace(
            key,
            fields=names,
            settings=settings,
            default=default,
            is_optional=type(None) in get_args(hint.__origin__),
        )
    return keys


def check_settings(settings: Any, where: str = "") -> None:
    """Check each field that has a key.

    Raises:
        SettingsError: each fault on a line: `where`, the field, what was found, what is allowed.
    """
    faults: list[str] = []
    for key in list_keys(settings.__class__).values():
        values = [getattr(settings, field) for field in key.fields]
        if key.is_optional and all(value is None for value in values):
            continue
        value = None if None in values else write_fields(values)
        try:
            read = key.kind.read(value)
        except NotAllowedError as error:
            wrong = [text for _, text in error.faults]
        else:
            found, written = write_found(value), write_setting(read)
            wrong = []
            if isinstance(values[0], list):
                wrong = [f"found {found}, a list; give a tuple"]
            elif written != value:  # as `"HTTPS"`, which only a file may have
                wrong = [f"found {found}; write {write_found(written)}"]
        faults += [f"{where}{', '.join(key.fields)}: {text}" for text in wrong]
    if faults:
        raise SettingsError("\n".join(faults))


def write_fields(values: Sequence[Any]) -> object:
    """Write the fields that one key sets: a host and its port are one address."""
    match values:
        case [None, None]:
            return None
        case [host, port]:
            return str(Address(host, port))
        case [host, port, protocol]:
            return str(UpstreamAddress(host, port, protocol))
    return write_setting(values[0])


def write_setting(setting: Any) -> object:
    """Write a setting as the file has it; None stays None, which TOML can't write."""
    if setting is None or isinstance(setting, bool | int | str):
        return setting
    if isinstance(setting, float):
        return int(setting) if setting.is_integer() else setting
    if isinstance(setting, Address | UpstreamAddress):
        return str(setting)
    if isinstance(setting, tuple | list):
        return [write_setting(each) for each in setting]
    if isinstance(setting, dict):
        return {name: write_setting(each) for name, each in setting.items()}
    return str(setting)
