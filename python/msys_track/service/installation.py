"""A first installation: a short configuration, its keys, a user of the report, a first mail."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msys_track.accounts.users import add_user
from msys_track.config.load import load
from msys_track.config.problems import ConfigurationError
from msys_track.config.toml.writing import toml_text
from msys_track.errors import SettingsError, TrackingError, describe_os_error
from msys_track.keys import file as key_file

CONFIGURATION: Final = "msys-track.toml"
KEYS: Final = "keys.toml"
USERS: Final = "users.toml"
STORE: Final = "events.sqlite"
FIRST_MAIL: Final = "first-mail.eml"

_PASSWORD_BYTES: Final = 12
_FOLDER_MODE: Final = 0o700
_HEAD: Final = """\
# Made by `msys-track init`. `msys-track config init -` shows every key there is,
# docs/configuration.md explains them, `msys-track config check` finds faults.

"""
_MAIL: Final = """\
From: sender@example.com
To: you@example.com
Subject: A first mail with tracking
X-MSYS-API: {"campaign_id": "first mail"}
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8

<html><body>
<p>Hello, <a href="https://example.com/">this link</a> is tracked.</p>
</body></html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be installed where; addresses are HOST:PORT.

    Attributes:
        folder: Is made if it is not there.
        tracking_domain: The host of links, with its port if that is not its scheme's.
        has_https: Whether something in front of the tracker answers links over HTTPS.
        upstream: Where mail goes.
        proxy: Where the proxy listens.
        tracker: Where the tracker listens.
        report: Where the report listens.
        user: Who may look at the report.
    """

    folder: Path
    tracking_domain: str
    has_https: bool
    upstream: str
    proxy: str
    tracker: str
    report: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What was made: files, and the password of the report's user, which is kept nowhere else."""

    configuration: Path
    files: tuple[Path, ...]
    password: str


def install(plan: Plan) -> Installed:
    """Make the files; none that is there is touched.

    Raises:
        SettingsError: one of the files is there already, or can't be made, or the configuration
            has a fault; nothing is left behind then.
        TrackingError: keys or user can't be made.
    """
    names = (CONFIGURATION, KEYS, USERS, FIRST_MAIL)
    was_there = plan.folder.is_dir()
    try:
        plan.folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"{plan.folder}: can't be made: {describe_os_error(error)}; name another folder"
        ) from error
    there = [plan.folder / name for name in names if os.path.lexists(plan.folder / name)]
    if there:
        raise SettingsError(
            f"{there[0]}: is there already, and is left as it is; name another folder, or move it"
        )
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    made = tuple(plan.folder / name for name in names)
    try:
        key_file.create(plan.folder / KEYS)
        add_user(plan.folder / USERS, plan.user, password)
        _write(plan.folder / FIRST_MAIL, _MAIL.replace("\n", "\r\n"))
        _write(plan.folder / CONFIGURATION, _HEAD + toml_text(_make_tables(plan)))
        load(plan.folder / CONFIGURATION)
    except TrackingError as error:
        for path in made:
            path.unlink(missing_ok=True)
        if not was_there:
            plan.folder.rmdir()
        if isinstance(error, ConfigurationError):
            # The file is gone, so no line of it: what was asked for is at fault.
            faults = "\n".join(f"{each.key}: {each.text}" for each in error.problems)
            raise SettingsError(
                f"{faults}\nnothing was made; see `msys-track init --help`"
            ) from None
        raise
    return Installed(configuration=plan.folder / CONFIGURATION, files=made, password=password)


def _make_tables(plan: Plan) -> dict[str, object]:
    scheme = "https" if plan.has_https else "http"
    listener: dict[str, object] = {
        "open_tracking_enabled": True,
        "click_tracking_enabled": True,
        "tracking_domain": plan.tracking_domain,
        "click_tracking_scheme": scheme,
        "open_tracking_scheme": scheme,
        "allow_downgrade": not plan.has_https,
    }
    return {
        "keys": KEYS,
        "listener": listener,
        "proxy": {"listen": plan.proxy, "upstream": plan.upstream},
        "tracker": {"listen": plan.tracker, "store": STORE},
        "events": {"injection": True},
        "report": {"listen": plan.report, "users": USERS},
    }


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise SettingsError(f"{path}: {describe_os_error(error)}") from error
