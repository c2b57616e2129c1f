"""The engine of a model's networks: PyTorch, or ONNX Runtime or OpenVINO on the ONNX files beside its weights.

The fastest installed engine is used. XRAY_ENGINE chooses another (`torch`, `onnxruntime` or `openvino`), and
XRAY_PRECISION chooses the precision of its files (`float32` or `int8`). A file made of other weights is not used.
"""

import logging
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from hub_models.checkpoints.choices import chosen_engine, chosen_precisions
from hub_models.checkpoints.folder import weights_digest
from hub_models.engines.device import best_device, device_of, threads
from hub_models.engines.runtimes import RUNTIMES

logger = logging.getLogger(__name__)


SOURCE, MEASURED = "source_sha256", "measured"
"""Names in a file's metadata: SHA-256 of the weights it was made of, and the figures of its export (JSON)."""

_SOURCE_IN_FILE = re.compile(SOURCE.encode() + rb"\x12\x40([0-9a-f]{64})")  # name and value as an ONNX file holds them


class Network(Protocol):
    """A network as a function: tensors in, tensors on the CPU out, as `hub_models.models.networks` describes them."""

    def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run the network."""

    def release_memory(self) -> None:
        """Give back what calls needed."""


@dataclass(eq=False)
class Engine:
    """An engine, opened for the networks of one model.

    Attributes:
        name: one of `ENGINES`.
        precision: "float32" or "int8".
        networks: name of a network -> its function; a network that is missing runs in PyTorch.
        problem: why PyTorch stands in for faulty ONNX files, in one sentence; else None.
    """

    name: str = "torch"
    precision: str = "float32"
    networks: dict[str, Network] = field(default_factory=dict)
    problem: str | None = None

    def run(self, name: str, module: nn.Module, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run a network by its name, or its PyTorch module where the engine has none; the outputs are on the CPU."""
        if name in self.networks:
            return self.networks[name](*inputs)
        device = device_of(module)
        with torch.inference_mode():
            return tuple(output.cpu() for output in module(*(tensor.to(device) for tensor in inputs)))

    def release_memory(self) -> None:
        """Give back what the networks keep for calls as large as the largest so far; no call may run meanwhile."""
        for network in self.networks.values():
            network.release_memory()

    def __str__(self) -> str:
        """Engine and precision in words."""
        return f"{self.name}, {self.precision}"


@contextmanager
def cores_for(engines: Collection[Engine]) -> Iterator[None]:
    """Give PyTorch one thread while these engines run, unless it is one of them.

    Its threads spin for a while after each task, on the cores that the other engines need.
    """
    if all(engine.name != "torch" for engine in engines):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads())


def graph_file(folder: Path, name: str, precision: str) -> Path:
    """Path of a network's ONNX file: `network.onnx`, `network.int8.onnx`."""
    return folder / (f"{name}.onnx" if precision == "float32" else f"{name}.{precision}.onnx")


def source_of(file: Path) -> str:
    """SHA-256 of the weights that an ONNX file says it was made of, "" if it does not say; needs no ONNX package."""
    match = _SOURCE_IN_FILE.search(file.read_bytes())
    return match[1].decode() if match else ""


def open_engine(
    folder: Path, network_names: tuple[str, ...], engine_name: str | None = None, precision: str | None = None
) -> Engine:
    """Open the engine for a model.

    Args:
        folder: the checkpoint's folder.
        network_names: names of the model's networks, which are those of their files.
        engine_name: one of `ENGINES`; PyTorch on a graphics card, and else the environment's choice, if not given.
        precision: precision of the files; the environment's choice if not given.

    Returns:
        The engine. PyTorch where there are no files, or where `problem` says that they were made of other weights or do
        not load.

    Raises:
        ValueError: the environment chooses an engine or a precision that is not there.
    """
    chosen, precisions = chosen_engine(), (precision,) if precision else chosen_precisions()
    engine_name = engine_name or (chosen if best_device().type == "cpu" else "torch")
    if engine_name == "torch":
        return Engine()
    for file_precision in precisions:
        networks = {}
        for name in network_names:
            file = graph_file(folder, name, file_precision)
            if not file.is_file():
                continue
            if source_of(file) != weights_digest(folder):
                return _pytorch_instead(f"{file.name} was not made of these weights; export it again, or delete it.")
            try:
                networks[name] = RUNTIMES[engine_name](file)
            except Exception as error:  # each engine raises its own exceptions for a damaged file
                reason = " ".join(str(error).split())[:200].rstrip(".")
                return _pytorch_instead(f"{file.name} cannot be opened; export it again, or delete it ({reason}).")
        if networks:
            return Engine(engine_name, file_precision, networks)
    return Engine()


def _pytorch_instead(problem: str) -> Engine:
    logger.warning("PyTorch is used: %s", problem)
    return Engine(problem=problem)
