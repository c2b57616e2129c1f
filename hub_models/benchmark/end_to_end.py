"""From the bytes of a file to those of the outlined picture and all answers, stage by stage, as the page does it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import cycle

import numpy as np

from hub_models.benchmark.timing import Stages, interleaved, percentile
from hub_models.engines.engine import Engine
from hub_models.pipeline import Report, XrayPipeline
from hub_models.reports.description import Source, describe, fitting_calibrations
from hub_models.reports.overlay import draw_overlay, encode_png, sketch
from hub_models.xray.images import read_image

NETWORK = ": network"
"""How the names of the stages end that are networks."""

Engines = Mapping[str, Engine]


def measure_end_to_end(pipeline: XrayPipeline, files: Sequence[bytes], rounds: int) -> dict:
    """Time the way from file to answer in PyTorch and in the engines in use, in one run.

    Args:
        pipeline: as the page has it.
        files: X-rays, which take turns.
        rounds: how often each way is taken.

    Returns:
        "ways": "torch", and "in use" if that is another -> what `summary` gives; "speedup" of the whole and of
        the networks ("network_speedup"), and "agreement" (`compare`), null without another.
    """
    ways, used = {"torch": {role: Engine() for role in pipeline.engines}}, pipeline.engines
    if any(engine.name != "torch" for engine in used.values()):
        ways["in use"] = used
    stages, taken = Stages(), {way: [] for way in ways}
    with ExitStack() as stack:
        for watching in watchers(pipeline, ways.values(), stages):
            stack.enter_context(watching)
        queues = {way: cycle(files) for way in ways}

        def go(way: str) -> None:
            with running(pipeline, ways[way]):
                answer(pipeline, next(queues[way]), stages)
            taken[way].append(stages.take())

        interleaved({way: partial(go, way) for way in ways}, rounds, "End to end")
    found = {way: summary(runs[1:]) for way, runs in taken.items()}  # the first one warmed up
    faster = len(found) > 1
    return {
        "ways": found,
        "speedup": found["torch"]["p50_ms"] / found["in use"]["p50_ms"] if faster else None,
        "network_speedup": found["torch"]["network_ms"] / found["in use"]["network_ms"] if faster else None,
        "agreement": agreement(pipeline, ways, files) if faster else None,
    }


def answer(pipeline: XrayPipeline, data: bytes, stage: Stages) -> tuple[bytes, dict]:
    """The outlined picture as a PNG file, and the description with masks and answers, of the file of an X-ray."""
    with stage("file decoded"):
        image = read_image(data)
    with stage("unet: masks resized, shares measured"):
        (outlines,) = pipeline.segment([image])
    with stage("classifiers: views, last layers"):
        (report,) = pipeline.report([image], [outlines])
    with stage("answers described, masks as run lengths"):
        calibrations, made = fitting_calibrations(pipeline.classifiers), datetime.now(UTC)
        told = describe(report, pipeline.checkpoints, calibrations, Source.of("xray.png", data), made)
    with stage("overlay drawn"):
        overlay = draw_overlay(sketch(image, report.masks))
    with stage("overlay encoded as PNG"):
        return encode_png(overlay), told


def watchers(pipeline: XrayPipeline, ways: Sequence[Engines], stages: Stages) -> Iterator:
    """What counts the stages that lie inside of others."""
    yield stages.watch(pipeline.segmenter, "pixel_values", "unet: pixels")
    yield stages.watch(pipeline.segmenter, "masks", "unet: masks cleaned")
    for role, classifier in pipeline.classifiers.items():
        if classifier.network_names:
            yield stages.watch(classifier, "pixel_values", "classifiers: pixels")
        else:
            yield stages.watch(classifier, "answer", role + NETWORK)
    for engines in ways:
        for role, engine in engines.items():
            yield stages.watch(engine, "run", role + NETWORK)


@contextmanager
def running(pipeline: XrayPipeline, engines: Engines) -> Iterator[None]:
    """The pipeline with other engines while it is open: role -> engine."""
    models, used = pipeline.models, pipeline.engines
    for role, engine in engines.items():
        models[role].engine = engine
    try:
        yield
    finally:
        for role, engine in used.items():
            models[role].engine = engine


def summary(runs: Sequence[Mapping[str, float]]) -> dict:
    """Of some runs, each stage -> seconds: the median and 95th percentile of the whole, and what each stage takes.

    Returns:
        "p50_ms", "p95_ms"; "network_ms", the median of all networks together; "not_network", the share of the time that
        is spent in none; "stages": stage -> "p50_ms", and its "share" of the time of all runs.
    """
    wholes = [sum(run.values()) for run in runs]
    networks = [sum(seconds for stage, seconds in run.items() if stage.endswith(NETWORK)) for run in runs]
    names = dict.fromkeys(stage for run in runs for stage in run)
    each = {stage: [run.get(stage, 0.0) for run in runs] for stage in names}
    return {
        "p50_ms": 1e3 * percentile(wholes, 50),
        "p95_ms": 1e3 * percentile(wholes, 95),
        "network_ms": 1e3 * percentile(networks, 50),
        "not_network": 1 - sum(networks) / sum(wholes),
        "stages": {
            stage: {"p50_ms": 1e3 * percentile(seconds, 50), "share": sum(seconds) / sum(wholes)}
            for stage, seconds in each.items()
        },
    }


def agreement(pipeline: XrayPipeline, ways: Mapping[str, Engines], files: Sequence[bytes]) -> dict:
    """How far the answers to the same files are apart."""
    images = [read_image(data) for data in files]
    reports = {}
    for way, engines in ways.items():
        with running(pipeline, engines):
            reports[way] = [pipeline(image) for image in images]
    return compare(reports["torch"], reports["in use"])


def compare(slow: Sequence[Report], quick: Sequence[Report]) -> dict:
    """How far two reports of each of some X-rays are apart.

    Returns:
        "images"; "answers" of all classifiers to them, and how many have the "same_class"; the largest difference of
        a "probability" and of the infected "share", 0..1; the lowest "lungs_dice".
    """
    pairs = list(zip(slow, quick, strict=True))
    answers = [
        (one.classifiers[role], other.classifiers[role])
        for one, other in pairs
        for role in one.classifiers.keys() & other.classifiers.keys()
    ]
    differences = [abs(first[label] - second[label]) for first, second in answers for label in first]
    return {
        "images": len(pairs),
        "answers": len(answers),
        "same_class": sum(max(first, key=first.get) == max(second, key=second.get) for first, second in answers),
        "probability": max(differences, default=None),
        "share": max(abs((one.involvement.both or 0) - (other.involvement.both or 0)) for one, other in pairs),
        "lungs_dice": min(_dice(one.masks.lungs, other.masks.lungs) for one, other in pairs),
    }


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    """Overlap of two masks, bool (H, W); 1 where both are blank."""
    area = int(one.sum()) + int(other.sum())
    return float(2 * (one & other).sum() / area) if area else 1.0
