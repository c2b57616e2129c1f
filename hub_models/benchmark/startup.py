"""How soon the page is there: its import, its first byte and its first answer, each time in a new process."""

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

TIMES = 3
HEAVY = ("torch", "transformers")
_IMPORT = f"""
import json, sys, time
start = time.perf_counter()
import {APP.stem}
print(json.dumps([time.perf_counter() - start, [name for name in {HEAVY} if name in sys.modules]]))
"""


def measure_startup(environment: Mapping[str, str], xray: bytes) -> dict:
    """Start the page several times.

    Args:
        environment: variables of the page's process.
        xray: a file to be analysed.

    Returns:
        Medians in seconds: "import", of app.py in a new interpreter; since the start of a process, "opened", until the
        page answers, and "answered", until its first analysis is there. "imported": which of `HEAVY` the import took
        with it; "times", how often.

    Raises:
        PageError: the page does not open, or gives no answer.
    """
    found, imported = {"import": [], "opened": [], "answered": []}, []
    with tempfile.TemporaryDirectory(prefix="xray-benchmark-") as work:
        file = Path(work, "xray.png")
        file.write_bytes(xray)
        for _ in tqdm(range(TIMES), "Startup"):
            seconds, imported = import_page()
            found["import"].append(seconds)
            with serve(environment) as page:
                found["opened"].append(page.opened)
                found["answered"].append(first_answer(page.url, file, Path(work)) - page.start)
    return {name: median(seconds) for name, seconds in found.items()} | {"imported": imported, "times": TIMES}


def import_page() -> tuple[float, list[str]]:
    """Seconds that `import app` takes in a new interpreter, and which of `HEAVY` it imports.

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
    """When the first analysis of an X-ray is there, by time.perf_counter.

    Raises:
        PageError: there is none.
    """
    client = connect(url, work)
    try:
        client.predict(handle_file(xray), api_name="/analyse")
        return time.perf_counter()
    except Exception as error:  # the client raises those of all that it is made of
        raise PageError(f"The page gives no analysis: {error}") from error
    finally:
        client.close()
