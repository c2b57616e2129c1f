"""Each network in each engine and precision: how soon it answers, how near to what arithmetic allows, and how well."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hub_models.benchmark.quality import Quality
from hub_models.benchmark.timing import interleaved, percentile
from hub_models.checkpoints.choices import ENGINES, PRECISIONS
from hub_models.checkpoints.folder import WEIGHTS_FILE
from hub_models.engines.engine import Engine, graph_file, open_engine
from hub_models.export.float32 import Model
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom

TOGETHER = 8
"""How many inputs make the larger batch."""

Tensors = tuple[torch.Tensor, ...]


@dataclass(frozen=True, eq=False)
class Variant:
    """One network in one engine.

    Attributes:
        role: of its checkpoint.
        part: of the model.
        engine: what runs it.
        module: the same in PyTorch.
        one: its inputs, of one X-ray or sentence.
        several: its inputs, of `TOGETHER`.
        megabytes: of its file, None where there are several; PyTorch's holds the checkpoint's other networks, too.
    """

    role: str
    part: str
    engine: Engine
    module: nn.Module
    one: Tensors
    several: Tensors
    megabytes: float | None

    def run(self, inputs: Tensors) -> Tensors:
        """Its outputs."""
        return self.engine.run(self.part, self.module, *inputs)

    def difference(self) -> float:
        """How far its outputs are from PyTorch's at most, as a share of PyTorch's largest."""
        outputs = zip(Engine().run(self.part, self.module, *self.several), self.run(self.several), strict=True)
        shares = [float((slow - quick).abs().max() / slow.abs().max()) for slow, quick in outputs if slow.numel()]
        return float(np.max(shares))  # keeps what is not a number


def measure_networks(
    models: Mapping[str, Model], folders: Mapping[str, Path], rounds: int, quality: Quality | None = None
) -> dict:
    """Time all networks in all engines and precisions that there are, in one run.

    Args:
        models: role -> model.
        folders: role -> folder of its checkpoint.
        rounds: how often each network runs, with one input and with `TOGETHER`.
        quality: what the models were found to be worth on a data set; nothing is told of it without.

    Returns:
        "rows", each as `row` gives it; "gflops_per_second" of the fastest matrix product; "left_out", a sentence for
        all that was not measured.

    """
    engines, left_out = {}, missing_engines()
    for role, model in models.items():
        engines[role], problems = open_engines(role, model, folders[role])
        left_out += problems
    qualities, problems = quality.of(folders) if quality else ({}, [])
    left_out += problems
    variants = [one for role, model in models.items() for one in variants_of(role, model, engines[role], folders[role])]
    timed = {(one, count): partial(one.run, getattr(one, count)) for one in variants for count in ("one", "several")}
    seconds = interleaved(timed | {"product": matrix_product()}, rounds, "Networks")
    rate = PRODUCT / min(seconds["product"])
    return {
        "rows": [row(one, variants, seconds, rate, qualities.get(one.role, {})) for one in variants],
        "gflops_per_second": rate / 1e9,
        "left_out": left_out,
    }


def row(one: Variant, variants: list[Variant], seconds: Mapping, rate: float, qualities: Mapping) -> dict:
    """What was measured of a network; `variants` holds it in PyTorch, too, and `rate` is in operations a second."""
    (slow,) = (
        other for other in variants if (other.role, other.part, other.engine.name) == (one.role, one.part, "torch")
    )
    median, flops = percentile(seconds[one, "one"], 50), count_flops(one.module, one.one)
    return {
        "role": one.role,
        "part": one.part,
        "engine": one.engine.name,
        "precision": one.engine.precision,
        "megabytes": one.megabytes,
        "p50_ms": 1e3 * median,
        "p95_ms": 1e3 * percentile(seconds[one, "one"], 95),
        "per_second": TOGETHER / percentile(seconds[one, "several"], 50),
        "speedup": percentile(seconds[slow, "one"], 50) / median,
        "gflop": flops / 1e9,
        "over_floor": median * rate / flops,
        "difference": one.difference(),
        "quality": qualities.get(str(one.engine)),
    }


def variants_of(role: str, model: Model, engines: list[Engine], folder: Path) -> list[Variant]:
    """The networks of a model, each in each engine that runs it."""
    found = []
    for part, module in model.networks.items():
        one, several = inputs_of(model, part, 1), inputs_of(model, part, TOGETHER)
        for engine in engines:
            if engine.name == "torch" or part in engine.networks:
                file = folder / WEIGHTS_FILE if engine.name == "torch" else graph_file(folder, part, engine.precision)
                size = file.stat().st_size / 1e6 if file.is_file() else None
                found.append(Variant(role, part, engine, module, one, several, size))
    return found


def inputs_of(model: Model, part: str, count: int) -> Tensors:
    """Inputs of a part: so many drawn X-rays, or of its own sentences."""
    if part == "text":
        texts = [text for sentences in model.prompts.values() for text in sentences]
        return tuple(model.tokens(list(islice(cycle(texts), count))).values())
    drawn = [draw_phantom(seed, opacities=seed % 4) for seed in range(count)]
    return (torch.cat([model.network_input(read_image(phantom.image), phantom.lungs) for phantom in drawn]),)


def missing_engines() -> list[str]:
    """A sentence for each engine that is not installed."""
    missing = [name for name in ENGINES if not importlib.util.find_spec(name)]
    return [f"{name} is not installed: pip install -r hub_models/requirements-engines.txt." for name in missing]


def open_engines(role: str, model: Model, folder: Path) -> tuple[list[Engine], list[str]]:
    """PyTorch and every other engine and precision that a model has files for, and sentences for those that fail."""
    parts, precisions = tuple(model.networks), PRECISIONS[::-1]
    files = [graph_file(folder, part, precision) for precision in precisions for part in parts]
    engines, missing = [Engine()], [file.name for file in files if not file.is_file()]
    problems = []
    if missing:
        doors = "hub_models.export and train.quantize write them"
        problems.append(f"{role} has no {' and no '.join(missing)}; {doors}.")
    for precision in precisions:
        for name in filter(importlib.util.find_spec, ("onnxruntime", "openvino")):
            engine = open_engine(folder, parts, name, precision)
            if engine.problem:
                problems.append(f"{role} in {name}, {precision}: {engine.problem}")
            elif engine.networks:
                engines.append(engine)
    return engines, problems


SIDE = 1024


PRODUCT = 2 * SIDE**3
"""Operations in `matrix_product`; a multiplication and an addition are two."""


def count_flops(module: nn.Module, inputs: Sequence[torch.Tensor]) -> int:
    """Operations in the convolutions, matrix products and attentions of a module with these inputs.

    PyTorch counts no fused attention of a processor; here attention is two products, as it is written.
    """
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return counter.get_total_flops()


def matrix_product() -> Callable[[], torch.Tensor]:
    """What measures the rate: a float32 product of `PRODUCT` operations, in place."""
    left, right = (torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) for seed in range(2))
    return partial(torch.mm, left, right, out=torch.empty(SIDE, SIDE))
