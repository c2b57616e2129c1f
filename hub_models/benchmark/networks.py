"""Response time, arithmetic floor, accuracy and quality of each network in each engine and precision."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hub_models.benchmark.quality import Quality
from hub_models.benchmark.timing import interleaved, percentile
from hub_models.checkpoints.choices import ENGINES, PRECISIONS
from hub_models.checkpoints.folder import WEIGHTS_FILE
from hub_models.engines.engine import Engine, graph_file, open_engine
from hub_models.engines.runtimes import RUNTIMES
from hub_models.export.float32 import Model
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom

if TYPE_CHECKING:
    from torch import nn

LARGE_BATCH = 8
"""Number of inputs in the larger batch."""

Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Variant:
    """One network in one engine.

    Attributes:
        role: role of its checkpoint.
        name: name of the network in its model.
        engine: the engine that runs it.
        module: the same network in PyTorch.
        single: inputs of one X-ray or sentence.
        batch: inputs of `LARGE_BATCH`.
        megabytes: size of its file, None where there are several; PyTorch's holds the checkpoint's other networks, too.
    """

    role: str
    name: str
    engine: Engine
    module: "nn.Module"
    single: Arrays
    batch: Arrays
    megabytes: float | None

    def run(self, inputs: Arrays) -> Arrays:
        """Run the network in its engine."""
        return self.engine.run(self.name, self.module, *inputs)

    def difference(self) -> float:
        """Largest difference of its outputs from PyTorch's, as a share of PyTorch's largest value."""
        outputs = zip(Engine().run(self.name, self.module, *self.batch), self.run(self.batch), strict=True)
        shares = [float(np.abs(slow - quick).max() / np.abs(slow).max()) for slow, quick in outputs if slow.size]
        return float(np.max(shares))  # NaN stays NaN


def measure_networks(
    models: Mapping[str, Model], folders: Mapping[str, Path], rounds: int, quality: Quality | None = None
) -> dict:
    """Time all networks in all engines and precisions that they have files for, in one run.

    Args:
        models: role -> model.
        folders: role -> folder of its checkpoint.
        rounds: number of runs of each network, with one input and with `LARGE_BATCH`.
        quality: measured quality of the models on a data set; the rows have none without it.

    Returns:
        "rows", each as `row` gives it; "gflops_per_second" of the fastest matrix product; "left_out", a sentence for
        everything that was not measured.
    """
    from hub_models.engines.pytorch.operations import matrix_product

    engines, left_out = {}, missing_engines()
    for role, model in models.items():
        engines[role], problems = open_engines(role, model, folders[role])
        left_out += problems
    qualities, problems = quality.of(folders) if quality else ({}, [])
    left_out += problems
    variants = [
        variant for role, model in models.items() for variant in variants_of(role, model, engines[role], folders[role])
    ]
    timed = {(variant, "single"): partial(variant.run, variant.single) for variant in variants}
    timed |= {(variant, "batch"): partial(variant.run, variant.batch) for variant in variants}
    seconds = interleaved(timed | {"product": matrix_product(MATRIX_SIDE)}, rounds, "Networks")
    rate = PRODUCT_OPERATIONS / min(seconds["product"])
    return {
        "rows": [row(variant, variants, seconds, rate, qualities.get(variant.role, {})) for variant in variants],
        "gflops_per_second": rate / 1e9,
        "left_out": left_out,
    }


def row(variant: Variant, variants: list[Variant], seconds: Mapping, rate: float, qualities: Mapping) -> dict:
    """Make the row of a variant; `variants` holds the network in PyTorch, too, and `rate` is operations a second."""
    from hub_models.engines.pytorch.operations import count_flops

    (slow,) = (
        other
        for other in variants
        if (other.role, other.name, other.engine.name) == (variant.role, variant.name, "torch")
    )
    median, flops = percentile(seconds[variant, "single"], 50), count_flops(variant.module, variant.single)
    return {
        "role": variant.role,
        "part": variant.name,
        "engine": variant.engine.name,
        "precision": variant.engine.precision,
        "megabytes": variant.megabytes,
        "p50_ms": 1e3 * median,
        "p95_ms": 1e3 * percentile(seconds[variant, "single"], 95),
        "per_second": LARGE_BATCH / percentile(seconds[variant, "batch"], 50),
        "speedup": percentile(seconds[slow, "single"], 50) / median,
        "gflop": flops / 1e9,
        "over_floor": median * rate / flops,
        "difference": variant.difference(),
        "quality": qualities.get(str(variant.engine)),
    }


def variants_of(role: str, model: Model, engines: list[Engine], folder: Path) -> list[Variant]:
    """Make the variants of a model's networks, each in each engine that runs it."""
    variants = []
    for name, module in model.networks.items():
        single, batch = inputs_of(model, name, 1), inputs_of(model, name, LARGE_BATCH)
        for engine in engines:
            if engine.name == "torch" or name in engine.networks:
                file = folder / WEIGHTS_FILE if engine.name == "torch" else graph_file(folder, name, engine.precision)
                size = file.stat().st_size / 1e6 if file.is_file() else None
                variants.append(Variant(role, name, engine, module, single, batch, size))
    return variants


def inputs_of(model: Model, name: str, count: int) -> Arrays:
    """Make `count` inputs of a network, from drawn X-rays or from the model's own sentences."""
    if name == "text":
        texts = [text for sentences in model.prompts.values() for text in sentences]
        return tuple(model.tokens(list(islice(cycle(texts), count))).values())
    phantoms = [draw_phantom(seed, opacities=seed % 4) for seed in range(count)]
    return (np.concatenate([model.network_input(read_image(phantom.image), phantom.lungs) for phantom in phantoms]),)


def missing_engines() -> list[str]:
    """Name each engine that is not installed, in a sentence."""
    missing = [name for name in ENGINES if not importlib.util.find_spec(name)]
    return [f"{name} is not installed: pip install -r requirements.txt." for name in missing]


def open_engines(role: str, model: Model, folder: Path) -> tuple[list[Engine], list[str]]:
    """Open PyTorch and every engine and precision that a model has files for; also sentences about those that fail."""
    precisions = PRECISIONS[::-1]
    files = [graph_file(folder, name, precision) for precision in precisions for name in model.network_names]
    engines, missing = [Engine()], [file.name for file in files if not file.is_file()]
    problems = []
    if missing:
        advice = "hub_models.export and train.quantize write them"
        problems.append(f"{role} has no {' and no '.join(missing)}; {advice}.")
    for precision in precisions:
        for name in filter(importlib.util.find_spec, RUNTIMES):
            engine = open_engine(folder, model.network_names, name, precision)
            if engine.problem:
                problems.append(f"{role} in {name}, {precision}: {engine.problem}")
            elif engine.networks:
                engines.append(engine)
    return engines, problems


MATRIX_SIDE = 1024

PRODUCT_OPERATIONS = 2 * MATRIX_SIDE**3
"""Operations in a product of two such matrices; a multiplication and an addition are two."""
