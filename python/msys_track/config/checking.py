"""All faults of a configuration, including those of the files that it names.

A server finds the same faults when it starts, but not all at once: it reads keys and policy only
from a good configuration.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from msys_track.accounts.users import read_users
from msys_track.config.configuration import Configuration, find_dangers, make_configuration
from msys_track.config.document import Document, KeyPath
from msys_track.config.load import complete_document, read_document
from msys_track.config.problems import Problem, in_order
from msys_track.config.reading import Reading
from msys_track.config.schema.tables import TopLevel
from msys_track.errors import ApiKeysError, KeyRingError, SettingsError, UsersError
from msys_track.injection.access.settings import AccessSettings
from msys_track.keys.file import KeySource
from msys_track.keys.ring import KeyRing
from msys_track.metrics import Counters
from msys_track.policy import loading
from msys_track.policy.loading import PolicySettings
from msys_track.report.settings import ReportSettings
from msys_track.report.sparkpost.api_keys import read_api_keys
from msys_track.signing.private_key import load_private_key
from msys_track.sinks.kafka.sink import KafkaSink
from msys_track.sinks.rabbitmq.sink import RabbitmqSink
from msys_track.sinks.webhook.sink import WebhookSink
from msys_track.smtp.tls import make_server_context
from msys_track.tracking.overrides import read_overrides
from msys_track.tracking.settings import TrackerSettings
from msys_track.tracking.withdrawal import Withdrawal


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A configuration that was checked."""

    document: Document
    configuration: Configuration | None
    """None where the configuration itself, apart from the files that it names, has problems."""
    problems: tuple[Problem, ...]
    """The configuration's own in the order of its lines, then those of the files it names."""
    policy_notices: tuple[str, ...] = ()
    """What has no effect in its policy files, each as `file:line: what`."""


def check_configuration(
    path: Path,
    *,
    keys: KeySource | None = None,
    upstream: str | None = None,
    makes_sinks: bool = False,
) -> Checked:
    """Check a configuration; `keys` and `upstream` replace its own.

    Writes nothing and opens no port. Runs policy files once, as a server does. With `makes_sinks`
    the packages and secrets of sinks have to be there as well, as for a server that starts here.

    Raises:
        SettingsError: the file can't be read.
    """
    document = complete_document(read_document(path), keys=keys, upstream=upstream)
    reading = Reading(document)
    own = in_order([*document.problems, *reading.problems()])
    configuration = None if own else make_configuration(document, reading)
    if configuration is not None:
        own = in_order(find_dangers(document, reading, configuration))
    of_sinks: tuple[Problem, ...] = ()
    if makes_sinks and configuration is not None and not own:
        of_sinks = tuple(_check_sinks(document, configuration))
    faults, notices = _read_policies(document, reading)
    return Checked(
        document=document,
        configuration=None if own else configuration,
        problems=(*own, *_check_named_files(document, reading), *of_sinks, *faults),
        policy_notices=notices,
    )


def _check_sinks(document: Document, configuration: Configuration) -> Iterator[Problem]:
    """Make each sink that needs a package or secrets, and open none."""
    folder, counters = configuration.events_folder or document.path.parent, Counters()
    make: list[tuple[str, str, Callable[[], object]]] = [
        *(
            ("webhook", name, partial(WebhookSink, name, each, folder, counters))
            for name, each in configuration.webhooks.items()
        ),
        *(
            ("kafka", name, partial(KafkaSink, name, each, folder, counters))
            for name, each in configuration.kafka.items()
        ),
        *(
            ("rabbitmq", name, partial(RabbitmqSink, name, each))
            for name, each in configuration.rabbitmq.items()
        ),
    ]
    for family, name, make_one in make:
        try:
            make_one()
        except SettingsError as error:
            text = str(error).removeprefix(f"{family}.{name}").lstrip(".: ")
            key, _, rest = text.partition(": ")
            path = (family, name)
            if (*path, key) in document.places and rest:
                yield document.problem((*path, key), rest)
            elif path in document.places:
                yield document.problem(path, text)
            else:  # of Momentum's file
                yield document.problem(("events", "webhooks_json"), f"{name}: {text}")


def _check_named_files(document: Document, reading: Reading) -> Iterator[Problem]:
    families = reading.families
    keys: list[tuple[KeyPath, Any, Callable[[Any], object]]] = [
        (("keys",), reading.values[TopLevel].get("keys"), KeyRing.load),
        *(
            (("dkim", domain, "private_key"), fields.get("private_key"), load_private_key)
            for domain, fields in families["dkim"].items()
        ),
        *(
            (("tenant", host, "keys"), fields.get("keys"), KeyRing.load)
            for host, fields in families["tenant"].items()
        ),
    ]
    for path, source, load in keys:
        # A missing file is already reported, or the proxy makes it when it starts.
        if source is not None and (not isinstance(source, Path) or source.is_file()):
            yield from _try_to_read(document, path, partial(load, source))
    yield from check_access_files(document, AccessSettings(**reading.values[AccessSettings]))
    if "store" in reading.values[TrackerSettings]:
        tracker = TrackerSettings(**reading.values[TrackerSettings])
        yield from check_tracker_files(document, tracker)
    yield from check_report_files(document, ReportSettings(**reading.values[ReportSettings]))


def _read_policies(
    document: Document, reading: Reading
) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """Read the policy files as a server does; return their faults and notices."""
    # A policy must run under the limits that were meant, or not at all.
    if any(path[0] == "policy" and path[1:2] != ("files",) for path, _ in reading.faults):
        return (), ()
    limits = PolicySettings(**reading.values[PolicySettings])
    faults: list[Problem] = []
    notices: list[str] = []
    # Each file is loaded alone, so that the faults of each are reported.
    for place, file in reading.policy_files.items():
        try:
            policy = loading.load_policy(replace(limits, files=(file,)))
        except SettingsError as error:
            lines = str(error).splitlines()
            faults += (document.problem(("policy", "files", place), line) for line in lines)
        else:
            notices += policy.notices if policy is not None else ()
    return tuple(faults), tuple(notices)


def check_access_files(document: Document, rules: AccessSettings) -> Iterator[Problem]:
    """Find what is wrong with the users and the certificate that `[proxy]` names."""
    if rules.auth_users is not None:
        read = partial(read_users, rules.auth_users)
        yield from _try_to_read(document, ("proxy", "auth_users"), read)
    yield from _check_certificate(document, "proxy", rules)


def check_report_files(document: Document, settings: ReportSettings) -> Iterator[Problem]:
    """Find what is wrong with the users, API keys and certificate that `[report]` names."""
    if settings.users is not None:
        read = partial(read_users, settings.users)
        yield from _try_to_read(document, ("report", "users"), read)
    if settings.api_keys is not None:
        read_keys = partial(read_api_keys, settings.api_keys)
        yield from _try_to_read(document, ("report", "api_keys"), read_keys)
    yield from _check_certificate(document, "report", settings)


def check_tracker_files(document: Document, settings: TrackerSettings) -> Iterator[Problem]:
    """Find what is wrong with the certificate and the lists that `[tracker]` names."""
    yield from _check_certificate(document, "tracker", settings)
    if settings.redirects is not None:
        read = partial(read_overrides, settings.redirects)
        yield from _try_to_read(document, ("tracker", "redirects"), read)
    if settings.withdrawn is not None:
        read_list = partial(Withdrawal.read, settings.withdrawn)
        yield from _try_to_read(document, ("tracker", "withdrawn"), read_list)


def _check_certificate(
    document: Document, table: str, settings: AccessSettings | ReportSettings | TrackerSettings
) -> Iterator[Problem]:
    if settings.tls_certificate is not None:
        make = partial(make_server_context, settings.tls_certificate, settings.tls_key)
        yield from _try_to_read(document, (table, "tls_certificate"), make)


def _try_to_read(
    document: Document, path: KeyPath, read: Callable[[], object]
) -> Iterator[Problem]:
    """Read a file that a key names; yield what is wrong with it, each line by itself."""
    try:
        read()
    except (ApiKeysError, KeyRingError, SettingsError, UsersError) as error:
        for line in str(error).split("\n"):
            yield document.problem(path, line)
