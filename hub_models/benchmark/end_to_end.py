"""Times of the stages from the bytes of a file to the outlined picture and all answers, as the page makes them."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import cycle

from hub_models.benchmark.timing import Stages, interleaved, percentile
from hub_models.engines.engine import Engine
from hub_models.models.calibration import fitting_calibrations
from hub_models.pipeline import Report, XrayPipeline
from hub_models.reports.description import Source, describe
from hub_models.reports.overlay import draw_overlay, sketch
from hub_models.reports.png import encode_png
from hub_models.xray.geometry import to_square
from hub_models.xray.images import read_image
from hub_models.xray.masks import Agreement

NETWORK = ": network"
"""The end of the name of a stage that is a network."""

Engines = Mapping[str, Engine]


def measure_end_to_end(pipeline: XrayPipeline, files: Sequence[bytes], rounds: int) -> dict:
    """Time the way from file to answer in PyTorch and in the engines in use, in one run.

    Args:
        pipeline: the models.
        files: X-rays, which take turns.
        rounds: number of measurements of each way.

    Returns:
        "ways": "torch", and "in use" if that is another -> `summary`; "speedup" of the whole and of
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
    summaries = {way: summary(runs[1:]) for way, runs in taken.items()}  # the first run warms up
    comparable = len(summaries) > 1
    return {
        "ways": summaries,
        "speedup": summaries["torch"]["p50_ms"] / summaries["in use"]["p50_ms"] if comparable else None,
        "network_speedup": summaries["torch"]["network_ms"] / summaries["in use"]["network_ms"] if comparable else None,
        "agreement": agreement(pipeline, ways, files) if comparable else None,
    }


def answer(pipeline: XrayPipeline, data: bytes, stage: Stages) -> tuple[bytes, dict]:
    """Answer about the file of an X-ray: the outlined picture as a PNG file, and the description with all answers."""
    with stage("file decoded"):
        image = read_image(data)
    with stage("unet: masks resized, shares measured"):
        (outlines,) = pipeline.segment([image])
    with stage("classifiers: views, last layers"):
        (report,) = pipeline.report([image], [outlines])
    with stage("answers described, masks as run lengths"):
        calibrations, made = fitting_calibrations(pipeline.classifiers), datetime.now(UTC)
        description = describe(report, pipeline.checkpoints, calibrations, Source.of("xray.png", data), made)
    with stage("overlay drawn"):
        overlay = draw_overlay(sketch(image, report.masks))
    with stage("overlay encoded as PNG"):
        return encode_png(overlay), description


def whole(pipeline: XrayPipeline, data: bytes) -> tuple[bytes, dict]:
    """Give what `answer` does, the picture drawn beside the classifiers, as the page draws it."""
    image = read_image(data)
    square = to_square(image)
    (outlines,) = pipeline.segment([square])
    with ThreadPoolExecutor(1) as beside:
        drawn = beside.submit(lambda: encode_png(draw_overlay(sketch(image, outlines[0]))))
        (report,) = pipeline.report([square], [outlines])
        calibrations, made = fitting_calibrations(pipeline.classifiers), datetime.now(UTC)
        source, report = Source.of("xray.png", data), replace(report, image=image)
        return drawn.result(), describe(report, pipeline.checkpoints, calibrations, source, made)


def watchers(pipeline: XrayPipeline, ways: Sequence[Engines], stages: Stages) -> Iterator:
    """Context managers that count the stages inside of other stages."""
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
    """Run a pipeline with other engines, role -> engine, while this is open."""
    models, used = pipeline.models, pipeline.engines
    for role, engine in engines.items():
        models[role].engine = engine
    try:
        yield
    finally:
        for role, engine in used.items():
            models[role].engine = engine


def summary(runs: Sequence[Mapping[str, float]]) -> dict:
    """Summarise runs, each stage -> seconds, by the percentiles of their totals and the time of each stage.

    Returns:
        "p50_ms", "p95_ms"; "network_ms", the median of all networks together; "not_network", the share of the time
        outside of networks; "stages": stage -> "p50_ms", and its "share" of the time of all runs.
    """
    totals = [sum(run.values()) for run in runs]
    networks = [sum(seconds for stage, seconds in run.items() if stage.endswith(NETWORK)) for run in runs]
    names = dict.fromkeys(stage for run in runs for stage in run)
    each = {stage: [run.get(stage, 0.0) for run in runs] for stage in names}
    return {
        "p50_ms": 1e3 * percentile(totals, 50),
        "p95_ms": 1e3 * percentile(totals, 95),
        "network_ms": 1e3 * percentile(networks, 50),
        "not_network": 1 - sum(networks) / sum(totals),
        "stages": {
            stage: {"p50_ms": 1e3 * percentile(seconds, 50), "share": sum(seconds) / sum(totals)}
            for stage, seconds in each.items()
        },
    }


def agreement(pipeline: XrayPipeline, ways: Mapping[str, Engines], files: Sequence[bytes]) -> dict:
    """Compare the answers to the same files by PyTorch and by the engines in use."""
    images = [read_image(data) for data in files]
    reports = {}
    for way, engines in ways.items():
        with running(pipeline, engines):
            reports[way] = [pipeline(image) for image in images]
    return compare(reports["torch"], reports["in use"])


def compare(slow: Sequence[Report], quick: Sequence[Report]) -> dict:
    """Compare two reports on each of some X-rays.

    Returns:
        "images"; "answers" of all classifiers to them; "same_class", the number of answers with the same class;
        the largest difference of a "probability" and of the infected "share", 0..1; the lowest "lungs_dice".
    """
    pairs = list(zip(slow, quick, strict=True))
    answers = [
        (first.classifiers[role], second.classifiers[role])
        for first, second in pairs
        for role in first.classifiers.keys() & second.classifiers.keys()
    ]
    differences = [abs(first[label] - second[label]) for first, second in answers for label in first]
    return {
        "images": len(pairs),
        "answers": len(answers),
        "same_class": sum(max(first, key=first.get) == max(second, key=second.get) for first, second in answers),
        "probability": max(differences, default=None),
        "share": max(abs((first.involvement.both or 0) - (second.involvement.both or 0)) for first, second in pairs),
        "lungs_dice": min(Agreement.of(first.masks.lungs, second.masks.lungs).dice for first, second in pairs),
    }
