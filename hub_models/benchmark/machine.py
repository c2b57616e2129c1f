"""The machine that the figures were measured on."""

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hub_models.engines.device import threads
from hub_models.engines.runtimes import RUNTIMES

PACKAGES = ("torch", *RUNTIMES, "transformers", "gradio")
SETTINGS = ("OMP_", "MKL_", "GOMP_", "MALLOC_", "GLIBC_TUNABLES")
"""First letters of environment variables that make the same program faster or slower."""

CPU_INFO = Path("/proc/cpuinfo")


def describe_machine() -> dict:
    """Describe the machine.

    Returns:
        "date" (UTC), "processor", "cores", "threads" of a network, "python"; "load", the programs that used or awaited
        a core in the last minute, null where the system does not count them; "versions" of `PACKAGES`, null where one
        is not installed; "settings", variables of the environment.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in PACKAGES},
        "settings": {name: value for name, value in sorted(os.environ.items()) if name.startswith(SETTINGS)},
    }


def processor() -> str:
    """Name of the processor, as far as the system knows it."""
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", CPU_INFO.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        match = None
    return match[1] if match else platform.processor() or platform.machine()


def resident(process: int | str = "self") -> float | None:
    """Memory in MB that a process, by its id, has in use; None where the system does not count it."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    match = re.search(r"^VmRSS:\s*(\d+) kB$", status, re.MULTILINE)
    return int(match[1]) * 1024 / 1e6 if match else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
