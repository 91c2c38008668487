"""One kept mail and its file: JSON, in a folder of its campaign."""

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from msys_track.errors import SinkError, describe_os_error

MAX_SHAPES: Final = 20
"""So many mails of one campaign are kept: beyond them its links differ from reader to reader."""

_VERSION: Final = 1
_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_NAME_DIGITS: Final = 32
_SHAPE_DIGITS: Final = 16
_SHAPE: Final = re.compile(r"[0-9a-f]{16}")
_OWN_FILE: Final = re.compile(r"[0-9a-f]{32}/[0-9a-f]{16}\.json(\.[0-9]+\.part)?")
_SECONDS_A_DAY: Final = 86_400
_PART: Final = ".part"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLink:
    """A link of a kept mail.

    Attributes:
        part: `html` or `text`.
        number: Its place among the links of the part, from 1.
        name: `data-msys-linkname`, or empty.
        target: Where it leads, without query and fragment.
    """

    part: str
    number: int
    name: str
    target: str

    @property
    def marker(self) -> str:
        """What stands in the kept mail in place of its target."""
        return f"#msys-{self.part}-{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptMail:
    """A mail as it was sent, with a marker in place of each tracked link's target.

    Attributes:
        campaign: Empty without one.
        shape: The name of its links' order: mails of one shape have the same links.
        kept_at: Unix seconds.
        subject: Decoded; empty without one.
        html: Its first part of HTML, decoded; empty without one.
        text: Its first part of plain text, decoded; empty without one.
        links: In the order of part and number.
    """

    campaign: str
    shape: str
    kept_at: int
    subject: str
    html: str
    text: str
    links: tuple[KeptLink, ...]


def name_shape(links: tuple[KeptLink, ...]) -> str:
    """Name the shape of a mail by its links: their places and names, or the hosts they lead to."""
    named = [
        [link.part, link.number, link.name or "/".join(link.target.split("/")[:3])]
        for link in links
    ]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:_SHAPE_DIGITS]


def is_kept(folder: Path, campaign: str, shape: str) -> bool:
    """Whether there is a mail of this shape, or as many others as may be."""
    found = {path.stem for path in _list_files(folder, campaign)}
    return shape in found or len(found) >= MAX_SHAPES


def save_mail(folder: Path, mail: KeptMail) -> None:
    """Write a mail's file; only the owner can read it.

    Raises:
        OSError: it can't be written.
    """
    path = _find_folder(folder, mail.campaign) / f"{mail.shape}.json"
    for each in (folder, path.parent):  # `parents` would make the first with other rights
        each.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    text = json.dumps({"version": _VERSION, **asdict(mail)}, ensure_ascii=False)
    part = path.with_name(f"{path.name}.{os.getpid()}{_PART}")
    number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE)
    with open(number, "wb") as file:  # noqa: PTH123 - with its mode
        file.write(text.encode("utf-8", "replace"))
    part.replace(path)


def list_mails(folder: Path, campaign: str) -> list[KeptMail]:
    """Read all mails of a campaign, the newest first.

    Raises:
        SinkError: the folder can't be read.
    """
    mails = [mail for path in _list_files(folder, campaign) if (mail := _read_mail(path))]
    return sorted(mails, key=lambda mail: (-mail.kept_at, mail.shape))


def read_mail(folder: Path, campaign: str, shape: str) -> KeptMail | None:
    """Read a mail; None if there is none.

    Args:
        folder: Where mail is kept.
        campaign: The campaign.
        shape: As somebody names it: it may be any text.
    """
    if _SHAPE.fullmatch(shape) is None:
        return None
    return _read_mail(_find_folder(folder, campaign) / f"{shape}.json")


def remove_old(folder: Path, keep_days: int) -> int:
    """Remove mail that was kept for longer; return how many.

    What else is in the folder stays.

    Raises:
        OSError: the folder can't be read, or a file can't be removed.
    """
    before, removed = time.time() - keep_days * _SECONDS_A_DAY, 0
    for path in folder.glob("*/*"):
        if not _OWN_FILE.fullmatch(path.relative_to(folder).as_posix()):
            continue
        with suppress(FileNotFoundError):  # another worker was quicker
            if path.stat().st_mtime < before:
                path.unlink()
                removed += 1
                with suppress(OSError):  # there are others in it
                    path.parent.rmdir()
    return removed


def _find_folder(folder: Path, campaign: str) -> Path:
    name = hashlib.sha256(campaign.encode("utf-8", "replace")).hexdigest()
    return folder / name[:_NAME_DIGITS]


def _list_files(folder: Path, campaign: str) -> Iterator[Path]:
    try:
        yield from sorted(_find_folder(folder, campaign).glob("*.json"))
    except OSError as error:
        raise SinkError(f"{folder}: can't be read: {describe_os_error(error)}") from error


def _read_mail(path: Path) -> KeptMail | None:
    try:
        read: dict[str, Any] = json.loads(path.read_bytes())
        if read.pop("version") != _VERSION:
            return None
        links = tuple(KeptLink(**link) for link in read.pop("links"))
        return KeptMail(**read, links=links)
    except FileNotFoundError:
        return None
    except (AttributeError, KeyError, TypeError, ValueError):  # not ours, or of another version
        return None
    except OSError as error:
        raise SinkError(f"{path}: can't be read: {describe_os_error(error)}") from error
