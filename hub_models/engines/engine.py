"""What runs a model's networks: PyTorch, or ONNX Runtime or OpenVINO on the ONNX files beside its weights.

The fastest that is installed is used; XRAY_ENGINE chooses another (`torch`, `onnxruntime` or `openvino`), and
XRAY_PRECISION another precision of its files (`float32` or `int8`). A file that was made of other weights is not used.
"""

import logging
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from hub_models.checkpoints.choices import wanted_engine, wanted_precisions
from hub_models.checkpoints.folder import weights_digest
from hub_models.engines.device import best_device, device_of, threads
from hub_models.engines.runtimes import RUNTIMES

logger = logging.getLogger(__name__)


SOURCE, MEASURED = "source_sha256", "measured"
"""Names in a file's metadata: SHA-256 of the weights it was made of, and what the export measured (JSON)."""

_WRITTEN = re.compile(SOURCE.encode() + rb"\x12\x40([0-9a-f]{64})")  # name and value as an ONNX file holds them

Network = Callable[..., tuple[torch.Tensor, ...]]
"""Tensors in, tensors on the CPU out; `hub_models.models.networks` says which."""


@dataclass(eq=False)
class Engine:
    """How the networks of one model run.

    Attributes:
        name: one of `ENGINES`.
        precision: "float32" or "int8".
        networks: part of the model -> its network; a part that is missing runs in PyTorch.
        problem: what is wrong with the ONNX files, in one sentence, where that is why PyTorch is used; else None.
    """

    name: str = "torch"
    precision: str = "float32"
    networks: dict[str, Network] = field(default_factory=dict)
    problem: str | None = None

    def run(self, part: str, module: nn.Module, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs of a part, on the CPU, by its network or else by its PyTorch module."""
        if part in self.networks:
            return self.networks[part](*inputs)
        device = device_of(module)
        with torch.inference_mode():
            return tuple(output.cpu() for output in module(*(tensor.to(device) for tensor in inputs)))

    def __str__(self) -> str:
        """Engine and precision in words."""
        return f"{self.name}, {self.precision}"


@contextmanager
def cores_for(engines: Collection[Engine]) -> Iterator[None]:
    """While it is open PyTorch gets one thread, unless it is one of these engines.

    Several threads of PyTorch wait busily for a while after whatever they did, on the cores that the engine needs then.
    """
    if all(engine.name != "torch" for engine in engines):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads())


def graph_file(folder: Path, part: str, precision: str) -> Path:
    """Where the ONNX file of a part lies: `network.onnx`, `network.int8.onnx`."""
    return folder / (f"{part}.onnx" if precision == "float32" else f"{part}.{precision}.onnx")


def source_of(file: Path) -> str:
    """SHA-256 of the weights that an ONNX file says it was made of, "" if it does not say; needs no ONNX package."""
    found = _WRITTEN.search(file.read_bytes())
    return found[1].decode() if found else ""


def open_engine(folder: Path, parts: tuple[str, ...], name: str | None = None, precision: str | None = None) -> Engine:
    """The engine for a model.

    Args:
        folder: of its checkpoint.
        parts: of the model, by the names of their files.
        name: of the engine; if not given, PyTorch on a graphics card, and else the wanted one.
        precision: of the files; the wanted one if not given.

    Returns:
        PyTorch where there are no files, or they were made of other weights or do not load, which `problem` then says.

    Raises:
        ValueError: what the environment asks for is not there.
    """
    wish, precisions = wanted_engine(), (precision,) if precision else wanted_precisions()
    name = name or (wish if best_device().type == "cpu" else "torch")
    if name == "torch":
        return Engine()
    for kind in precisions:
        networks = {}
        for part in parts:
            file = graph_file(folder, part, kind)
            if not file.is_file():
                continue
            if source_of(file) != weights_digest(folder):
                return _instead(f"{file.name} was not made of these weights; export it anew, or delete it.")
            try:
                networks[part] = RUNTIMES[name](file)
            except Exception as error:  # each engine raises kinds of its own for a damaged file
                reason = " ".join(str(error).split())[:200].rstrip(".")
                return _instead(f"{file.name} cannot be opened; export it anew, or delete it ({reason}).")
        if networks:
            return Engine(name, kind, networks)
    return Engine()


def _instead(problem: str) -> Engine:
    logger.warning("PyTorch is used: %s", problem)
    return Engine(problem=problem)
