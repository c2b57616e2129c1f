"""How long a set-up of the page takes from nothing, and how much of the disk."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hub_models.benchmark.page import APP, PageError

LOCKS = ("requirements-page.lock", "requirements.lock")
"""The locks that `make app` installs: the first that a checkout has; older ones have the second only."""


def measure_install(checkouts: dict[str, Path] | None = None) -> dict:
    """Install what the page needs into a new environment of each checkout, without pip's cache.

    Args:
        checkouts: name -> root of a checkout; this one if not given.

    Returns:
        "rows", of each checkout its "name", "lock", "seconds" and "megabytes".

    Raises:
        PageError: pip fails, as without a network.
    """
    checkouts = checkouts or {"this": APP.parent}
    return {"rows": [{"name": name, **install(folder)} for name, folder in checkouts.items()]}


def install(folder: Path) -> dict:
    """Set up the page of one checkout in a folder that is removed; `measure_install` says what is returned."""
    lock = next(folder / name for name in LOCKS if (folder / name).is_file())
    with tempfile.TemporaryDirectory(prefix="xray-benchmark-") as work:
        start = time.perf_counter()
        _run([sys.executable, "-m", "venv", work])
        python = Path(work, "Scripts" if sys.platform == "win32" else "bin", "python")
        _run([str(python), "-m", "pip", "install", "--quiet", "--no-cache-dir", "-r", str(lock)])
        seconds = time.perf_counter() - start
        size = sum(path.stat().st_size for path in Path(work).rglob("*") if path.is_file() and not path.is_symlink())
    return {"lock": lock.name, "seconds": seconds, "megabytes": size / 1e6}


def _run(command: list[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = (ended.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise PageError(f"The set-up failed: {said}")
