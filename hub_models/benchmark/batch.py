"""The speed of a batch over a folder of X-rays, against a plain loop over the same files."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm.auto import tqdm

from hub_models.batch.run import run
from hub_models.benchmark.inputs import write_files
from hub_models.benchmark.machine import resident
from hub_models.pipeline import Answers, XrayPipeline
from hub_models.xray.images import read_image

TURNS = 4
"""Number of folders that the files are divided into; both ways answer each of them."""


def measure_batch(
    pipeline: XrayPipeline,
    files: Sequence[bytes],
    images: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict:
    """Time the batch and the loop over the same folders.

    Args:
        pipeline: the models.
        files: different X-rays.
        images: number of images in all folders.
        clock: returns seconds since any fixed moment.

    Returns:
        "images"; "batch_per_second" and "loop_per_second"; "speedup"; "same_classes", the number of images with the
        same classes by both; and "growth_mb", the growth of the memory in use from the end of the first folder to that
        of the last, or null.
    """
    ways, turns = {"batch": in_batch, "loop": in_loop}, min(TURNS, images)
    seconds, same, memory = dict.fromkeys(ways, 0.0), 0, []
    pipeline(read_image(files[0]))  # warms up
    with tempfile.TemporaryDirectory(prefix="xray-benchmark-") as work:
        for turn in tqdm(range(turns), "Batch"):
            folder, classes = Path(work, str(turn)), {}
            write_files(folder, list(files), images * (turn + 1) // turns - images * turn // turns)
            for way in sorted(ways, reverse=turn % 2 == 1):
                start = clock()
                classes[way] = ways[way](pipeline, folder)
                seconds[way] += clock() - start
            same += sum(first == second for first, second in zip(*classes.values(), strict=True))
            memory.append(resident())
    return {
        "images": images,
        "batch_per_second": images / seconds["batch"],
        "loop_per_second": images / seconds["loop"],
        "speedup": seconds["loop"] / seconds["batch"],
        "same_classes": same,
        "growth_mb": memory[-1] - memory[0] if memory[0] is not None and turns > 1 else None,
    }


def in_batch(pipeline: XrayPipeline, folder: Path) -> list[dict[str, str]]:
    """Classify the files of a folder, in order, as the page and the command line do; role -> most probable class."""
    return [_classes(result.report.classifiers) for result in run(pipeline, [(folder.name, folder)])]


def in_loop(pipeline: XrayPipeline, folder: Path) -> list[dict[str, str]]:
    """Classify the files of a folder one after the other; role -> most probable class."""
    return [_classes(pipeline(read_image(file)).classifiers) for file in sorted(folder.iterdir())]


def _classes(answers: Answers) -> dict[str, str]:
    return {role: max(probabilities, key=probabilities.get) for role, probabilities in answers.items()}
