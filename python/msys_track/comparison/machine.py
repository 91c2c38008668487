"""Where something was measured: without that a number says little."""

import os
import platform
from pathlib import Path


def describe_machine() -> str:
    """Name interpreter, system, CPU and load, in one line."""
    return ", ".join(
        [
            f"{platform.python_implementation()} {platform.python_version()}",
            f"{platform.system()} {platform.machine()}",
            f"{os.cpu_count()} cores of {name_cpu()}",
            *_describe_load(),
        ]
    )


def name_cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Name the kind of CPU; hypervisors hide the model's name, so family and model follow.

    Args:
        cpuinfo: what Linux says of its CPUs; other systems have no such file.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    fields: dict[str, str] = {}  # all cores say the same
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    name = fields.get("model name", "unknown")
    if "cpu family" in fields:
        name += f" (family {fields['cpu family']}, model {fields['model']})"
    return name


def _describe_load() -> list[str]:
    if not hasattr(os, "getloadavg"):  # Windows has none
        return []
    return [f"load average {os.getloadavg()[0]:.1f}"]
