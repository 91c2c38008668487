"""Servers put together from a configuration: here the rooms meet.

Apart from the commands, because a reload puts the same parts together again while they run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from msys_track.config import checking
from msys_track.config.configuration import Configuration
from msys_track.config.document import KeyPath
from msys_track.config.effective import find_warnings
from msys_track.config.load import MOMENTUM_KEYS, is_momentum, load
from msys_track.config.named_files import Server
from msys_track.config.problems import ConfigurationError
from msys_track.dispatch.copies import Copy
from msys_track.dispatch.decide import Decision
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.dispatch.explain import explain
from msys_track.errors import KeyRingError, SettingsError
from msys_track.injection.access.settings import AccessSettings
from msys_track.keys.file import KeySource, create
from msys_track.keys.ring import KeyRing
from msys_track.logs import event_logger
from msys_track.options.resolve import DEFAULT, resolve
from msys_track.policy import loading
from msys_track.policy.guard import Guard
from msys_track.signing.signer import Signer
from msys_track.tracking.settings import TrackerSettings

log = event_logger(__name__)

_Loaded = TypeVar("_Loaded")


def read_configuration(
    path: Path, server: Server, *, keys: KeySource | None = None, upstream: str | None = None
) -> Configuration:
    """Read a configuration for one server; log what is ignored, and what is hardly wanted.

    Raises:
        SettingsError: every fault of it.
    """
    read = load(path, keys=keys, upstream=upstream, server=server)
    for notice in read.notices:
        log.warning("configuration.ignored", what=notice.format_line(path))
    for warning in find_warnings(read):
        log.warning("configuration.doubtful", what=warning)
    return read


def make_missing_keys(read: Configuration) -> None:
    """Make the key file of an `ecelerity.conf` that names none, if it does not exist yet.

    Any other missing key file was a fault when the configuration was read.

    Raises:
        KeyRingError: it can't be written.
    """
    file = read.path.parent / MOMENTUM_KEYS
    if is_momentum(read.path) and read.keys == file and not file.exists():
        create(file)
        log.warning("keys.made", file=str(file), hint="trackers need this file too")


def load_keys(read: Configuration) -> KeyRing:
    """Load the keys that a configuration names.

    Raises:
        SettingsError: they can't be used; the keys are part of the configuration.
    """
    if read.keys is None:
        raise _blame(read, ("keys",), "missing")
    try:
        return KeyRing.load(read.keys)
    except KeyRingError as error:
        raise _blame(read, ("keys",), str(error)) from error


def load_tenant_keys(read: Configuration) -> Mapping[str, KeyRing]:
    """Load the keys of each `[tenant."HOST"]`, by its host.

    Raises:
        SettingsError: some can't be used; the text has the table.
    """
    found: dict[str, KeyRing] = {}
    for host, tenant in read.tenants.items():
        try:
            found[host] = KeyRing.load(tenant.keys)
        except KeyRingError as error:
            raise _blame(read, ("tenant", host, "keys"), str(error)) from error
    return found


def check_access_files(read: Configuration) -> None:
    """Check the users and the certificate of a proxy that is about to start.

    Raises:
        SettingsError: what can't be used, where the configuration names it.
    """
    rules = read.proxy.access if read.proxy is not None else AccessSettings()
    if problems := list(checking.check_access_files(read.document, rules)):
        raise ConfigurationError(read.path, problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTracker:
    """A configuration with a tracker, and the keys that it names."""

    read: Configuration
    settings: TrackerSettings
    keys: KeyRing
    keys_by_host: Mapping[str, KeyRing]


def load_tracker(path: Path) -> LoadedTracker | None:
    """Read what a tracker needs; None if the configuration has none.

    Raises:
        SettingsError: every fault of it, or keys or a certificate that can't be used.
    """
    read = read_configuration(path, "tracker")
    if read.tracker is None:
        return None
    if problems := list(checking.check_tracker_files(read.document, read.tracker)):
        raise ConfigurationError(read.path, problems)
    return LoadedTracker(
        read=read,
        settings=read.tracker,
        keys=load_keys(read),
        keys_by_host=load_tenant_keys(read),
    )


def reload_table(load: Callable[[], _Loaded | None], table: str) -> _Loaded | None:
    """Read what a server's table says again while it is in force.

    Returns:
        What `load` returns; None, and it was logged, if it has faults or there is no such table.
    """
    try:
        again = load()
    except SettingsError as error:
        log_faults(error)
        return None
    if again is None:
        log_faults(SettingsError(f"there is no [{table}] any more"))
    return again


def log_faults(error: SettingsError) -> None:
    """Log why a configuration that was read again does not take the place of the old one."""
    log.error("configuration.not_reloaded", faults=str(error).split("\n"))


def _blame(read: Configuration, path: KeyPath, text: str) -> SettingsError:
    """Make the fault of a key, with its place."""
    return ConfigurationError(read.path, [read.document.problem(path, text)])


def make_rewriter(  # noqa: PLR0913 - the parts of one rewriter
    read: Configuration,
    count: Callable[[str], None] = lambda _: None,
    on_rendered: Callable[[Decision, Sequence[Copy]], None] | None = None,
    *,
    keys: KeyRing | None = None,
    engine: str = "native",
    signs: bool = False,
) -> Dispatcher:
    """Make the rewriter; `count` counts failures of policy, `on_rendered` explains each mail.

    `keys` stand in place of the configuration's; `engine` is the name of one; `signs`: with the
    signatures of DKIM.

    Raises:
        SettingsError: keys, the engine or a policy file can't be used.
    """
    keys = keys or load_keys(read)
    policy = loading.load_policy(read.policy)
    guard = Guard(policy, read.policy.on_failure, count) if policy is not None else None
    tracking_domain = resolve(read.scopes.layers(None, None)).tracking_domain
    if read.smtpapi and tracking_domain.source == DEFAULT:
        hint = f"readers can't reach {tracking_domain.value}"
        log.warning("tracking_domain.default", hint=hint)
    return Dispatcher(
        keys=keys,
        scopes=read.scopes,
        policy=guard,
        heeds_header=read.smtpapi,
        on_rendered=on_rendered,
        engine=engine,
        sign=Signer(read.dkim, count).sign if signs and read.dkim else None,
    )


def log_explanation(decision: Decision, copies: Sequence[Copy]) -> None:
    """Log why a mail is tracked as it is, with addresses and targets: for debugging only."""
    log.debug("message.explained", **explain(decision, copies).as_json())


def reload(
    load_again: Callable[[], Configuration],
    count: Callable[[str], None],
    on_rendered: Callable[[Decision, Sequence[Copy]], None] | None,
) -> tuple[Configuration, Dispatcher] | None:
    """Read a configuration again while it is in force; return None and log it if it has faults.

    All or nothing: until everything has been read, nothing changes.
    """
    try:
        read = load_again()
        return read, make_rewriter(read, count, on_rendered, signs=True)
    except SettingsError as error:
        log_faults(error)
        return None
