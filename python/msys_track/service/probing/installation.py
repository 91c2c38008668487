"""All probes of an installation, side by side, each with an end."""

import asyncio
from pathlib import Path

from msys_track.config.checking import check_configuration
from msys_track.config.configuration import Configuration
from msys_track.config.effective import find_warnings
from msys_track.service.assembly import load_keys, load_tenant_keys
from msys_track.service.file_limit import find_shortage, find_tracker_shortage
from msys_track.service.probing import files, servers
from msys_track.service.probing.clock import judge_clock
from msys_track.service.probing.finding import Finding, approve, blame, warn
from msys_track.service.probing.links import Door, find_doors, find_missing_domain, probe_door
from msys_track.service.probing.upstreams import ProbeEnvelope, probe_upstreams


async def probe_installation(
    path: Path, *, envelope: ProbeEnvelope | None = None, patience_seconds: float = 5.0
) -> list[Finding]:
    """Probe what a configuration names, and no other host; write nothing, send no mail.

    Args:
        path: The configuration.
        envelope: What upstreams are offered, and not sent; None: nothing.
        patience_seconds: For each step of a probe.

    Raises:
        SettingsError: the configuration can't be read at all.
    """
    checked = check_configuration(path)
    what = f"configuration {path}"
    if checked.problems or checked.configuration is None:
        return [
            blame(what, problem.format_line(path), "correct it; msys-track config check")
            for problem in checked.problems
        ]
    read = checked.configuration
    findings = [*_judge_configuration(what, read), *files.probe_keys(read)]
    doors: list[Door] = []
    if read.keys is not None:  # a report alone needs none, and makes no links
        doors = find_doors(read, load_keys(read), load_tenant_keys(read))
    at_doors = asyncio.gather(
        *(probe_door(each, read.tracker, patience_seconds) for each in doors)
    )
    greeted = await servers.probe_proxy(read, patience_seconds)
    others = await asyncio.gather(
        servers.probe_tracker(read, patience_seconds),
        servers.probe_report(read, patience_seconds),
        servers.probe_status(read, patience_seconds),
        probe_upstreams(read.upstreams, envelope, greeted.marks, patience_seconds),
        files.probe_event_log(read),
    )
    probed = await at_doors
    of_store, newest_event = await asyncio.to_thread(files.probe_store, read)
    findings += find_missing_domain(read)
    findings += [finding for each in probed for finding in each.findings]
    findings += greeted.findings
    findings += [finding for found in others for finding in found]
    findings += of_store
    findings += await asyncio.to_thread(files.probe_spool, read)
    findings += files.probe_disks(read)
    answers = [answer for each in probed for answer in each.answers]
    return [*findings, judge_clock(answers, newest_event)]


def _judge_configuration(what: str, read: Configuration) -> list[Finding]:
    doubts = [*find_warnings(read)]
    doubts += filter(None, (find_shortage(read), find_tracker_shortage(read)))
    notices = [notice.format_line(read.path) for notice in read.notices]
    return [
        *(warn(what, f"ignored: {each}", "leave it out, if that is right") for each in notices),
        *(warn(what, each, "change it, if that is not wanted") for each in doubts),
        *([] if doubts or notices else [approve(what, "no faults")]),
    ]
