"""Startup times of the page: its import, its first byte and its first answer, each in a new process."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from gradio_client import handle_file
from tqdm.auto import tqdm

from hub_models.benchmark.page import APP, PageError, connect, serve

STARTS = 3
HEAVY_MODULES = ("torch", "transformers")
_IMPORT = f"""
import json, sys, time
began = time.perf_counter()
import {APP.stem}
print(json.dumps([time.perf_counter() - began, [name for name in {HEAVY_MODULES} if name in sys.modules]]))
"""


def measure_startup(environment: Mapping[str, str], xray: bytes) -> dict:
    """Start the page several times.

    Args:
        environment: variables of the page's process.
        xray: the file to analyse.

    Returns:
        Medians in seconds: "import", of app.py in a new interpreter; since the start of a process, "opened", until the
        page answers, and "answered", until its first analysis is there. "imported": those of `HEAVY_MODULES`
        that the import loads; "times": number of starts.

    Raises:
        PageError: the page does not open, or gives no answer.
    """
    seconds, imported = {"import": [], "opened": [], "answered": []}, []
    with tempfile.TemporaryDirectory(prefix="xray-benchmark-") as work:
        file = Path(work, "xray.png")
        file.write_bytes(xray)
        for _ in tqdm(range(STARTS), "Startup"):
            import_seconds, imported = import_page()
            seconds["import"].append(import_seconds)
            with serve(environment) as page:
                seconds["opened"].append(page.opened)
                seconds["answered"].append(first_answer(page.url, file, Path(work)) - page.start)
    return {name: median(values) for name, values in seconds.items()} | {"imported": imported, "times": STARTS}


def import_page() -> tuple[float, list[str]]:
    """Seconds that `import app` takes in a new interpreter, and those of `HEAVY_MODULES` that it loads.

    Raises:
        PageError: it cannot be imported.
    """
    command = [sys.executable, "-c", _IMPORT]
    ended = subprocess.run(command, cwd=APP.parent, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise PageError(f"The page cannot be imported: {ended.stderr.strip().splitlines()[-1]}")
    seconds, imported = json.loads(ended.stdout.splitlines()[-1])
    return seconds, imported


def first_answer(url: str, xray: Path, work: Path) -> float:
    """Time of the first analysis of an X-ray, by time.perf_counter.

    Raises:
        PageError: the page does not give one.
    """
    client = connect(url, work)
    try:
        client.predict(handle_file(xray), api_name="/analyse")
        return time.perf_counter()
    except Exception as error:  # the client raises exceptions of many libraries
        raise PageError(f"The page gives no analysis: {error}") from error
    finally:
        client.close()
