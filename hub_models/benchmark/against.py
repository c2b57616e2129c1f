"""This checkout beside an older one, in one run: from file to all answers and the outlined picture, and the page."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hub_models.benchmark import WrongUse
from hub_models.benchmark.machine import resident
from hub_models.benchmark.page import APP, PageError, load, serve
from hub_models.benchmark.startup import first_answer
from hub_models.benchmark.timing import interleaved, percentile

HERE = APP.parent
STARTS = 3
CLIENTS = 25
ASKED = "PNG 1024 x 1024"
"""The kind of file that the pages are asked for."""

WORKER = """
import json, sys, time
sys.path.insert(0, "")
from hub_models.benchmark import end_to_end
from hub_models.benchmark.timing import Stages
from hub_models.pipeline import XrayPipeline
told, sys.stdout = sys.stdout, sys.stderr
pipeline = XrayPipeline.from_pretrained()
whole = getattr(end_to_end, "whole", None) or (lambda pipeline, data: end_to_end.answer(pipeline, data, Stages()))
print("ready", file=told, flush=True)
for path in sys.stdin:
    with open(path.strip(), "rb") as stream:
        data = stream.read()
    start = time.perf_counter()
    _, described = whole(pipeline, data)
    took = time.perf_counter() - start
    best = {role: max(each["probabilities"], key=each["probabilities"].get)
            for role, each in described["classifiers"].items()}
    print(json.dumps([took, best]), file=told, flush=True)
"""
"""A program that runs in a checkout: reads paths of X-rays, a line each, and prints seconds and classes for each."""


@dataclass(frozen=True)
class Checkout:
    """A checkout of this project, and the Python that runs it.

    Attributes:
        folder: its root.
        python: the interpreter.
    """

    folder: Path
    python: str = sys.executable

    @classmethod
    def find(cls, folder: Path) -> "Checkout":
        """Take a folder for a checkout, which its own environment `.venv` runs, if it has one.

        Raises:
            WrongUse: it is not one.
        """
        if not (folder / "hub_models" / "benchmark" / "end_to_end.py").is_file():
            raise WrongUse(f"{folder} is not a checkout of this project.")
        own = folder / ".venv" / "bin" / "python"
        return cls(folder.resolve(), str(own.absolute()) if own.exists() else sys.executable)


class Worker:
    """A process that answers about files in a checkout."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process, self.seconds = process, 0.0

    def answer(self, path: Path) -> dict[str, str]:
        """Answer about a file: role -> class; `seconds` is what the answer took.

        Raises:
            PageError: the process has ended.
        """
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise PageError("A checkout gives no answers; run its own benchmark to see why.")
        self.seconds, classes = json.loads(line)
        return classes


@contextmanager
def working(checkout: Checkout, environment: Mapping[str, str], program: str = WORKER) -> Iterator[Worker]:
    """Run a worker in a checkout while this is open; another `program` answers as `WORKER` does.

    Raises:
        PageError: it does not start.
    """
    variables = {**os.environ, **environment}
    command, pipes = [checkout.python, "-c", program], {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=checkout.folder, env=variables, text=True, **pipes)
    try:
        if process.stdout.readline().strip() != "ready":
            raise PageError(f"The checkout {checkout.folder.name} does not start.")
        yield Worker(process)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def measure_against(
    other: Checkout, files: Mapping[str, bytes], environment: Mapping[str, str], rounds: int, requests: int
) -> dict:
    """Time both checkouts, which take turns.

    Args:
        other: the older checkout.
        files: name of a kind of file -> its bytes.
        environment: variables of the processes.
        rounds: number of answers to each kind of file.
        requests: requests of `CLIENTS` clients to each page.

    Returns:
        "files": `compared_files`; "page": what both pages take, in `compared_pages`.

    Raises:
        PageError: one of them does not start or answer.
    """
    both = {"this": Checkout(HERE), "other": other}
    with tempfile.TemporaryDirectory(prefix="xray-benchmark-") as work:
        paths = {name: Path(work, f"{number}{_ending(name)}") for number, name in enumerate(files)}
        for name, path in paths.items():
            path.write_bytes(files[name])
        return {
            "files": compared_files(both, paths, environment, rounds),
            "page": compared_pages(both, paths[ASKED], environment, requests, Path(work)),
        }


def compared_files(
    both: Mapping[str, Checkout], paths: Mapping[str, Path], environment: Mapping[str, str], rounds: int
) -> list[dict]:
    """Time the answers to files: a row each, with its "file", "this_ms", "other_ms", "ratio" and "same_classes"."""
    seconds, classes = {}, {}
    with ExitStack() as stack:
        workers = {name: stack.enter_context(working(checkout, environment)) for name, checkout in both.items()}

        def go(key: tuple[str, str]) -> None:
            classes[key] = workers[key[0]].answer(paths[key[1]])
            seconds.setdefault(key, []).append(workers[key[0]].seconds)

        interleaved({(who, file): partial(go, (who, file)) for file in paths for who in both}, rounds, "Checkouts")
    rows = []
    for file in paths:
        ours, theirs = (1e3 * percentile(seconds[who, file][1:], 50) for who in ("this", "other"))
        same = classes["this", file] == classes["other", file]
        rows.append({"file": file, "this_ms": ours, "other_ms": theirs, "ratio": theirs / ours, "same_classes": same})
    return rows


def compared_pages(
    both: Mapping[str, Checkout], xray: Path, environment: Mapping[str, str], requests: int, work: Path
) -> dict[str, dict]:
    """Start both pages in turn, and let many clients ask the last of each.

    Returns:
        Checkout -> medians of "opened" and "answered", seconds since the start, and what `load` says of the requests
        of `CLIENTS` clients; "resident_mb", the memory in use after them; of this one "plain", the same of plain
        requests.
    """
    taken: dict[str, dict[str, list[float]]] = {name: {"opened": [], "answered": []} for name in both}
    found: dict[str, dict] = {}
    for start in range(STARTS):
        for name, checkout in both.items():
            with serve(environment, checkout.folder / "app.py", python=checkout.python) as page:
                taken[name]["opened"].append(page.opened)
                taken[name]["answered"].append(first_answer(page.url, xray, work) - page.start)
                if start == STARTS - 1:
                    found[name] = load(page.url, [xray], CLIENTS, requests, page.process)
                    found[name]["resident_mb"] = resident(page.process)
                    if name == "this":  # older checkouts have no plain request
                        found[name]["plain"] = load(page.url, [xray], CLIENTS, requests, page.process, plain=True)
    return {name: {key: percentile(values, 50) for key, values in taken[name].items()} | found[name] for name in both}


def _ending(name: str) -> str:
    return {"PNG": ".png", "JPEG": ".jpg", "DICOM": ".dcm"}[name.split()[0]]


def variants(sizes: Sequence[int], draw: Mapping[str, Callable[[int], bytes]]) -> dict[str, bytes]:
    """Draw a file of each kind in each size: "PNG 1024 x 1024" -> its bytes."""
    return {f"{kind} {size} x {size}": write(size) for kind, write in draw.items() for size in sizes}
