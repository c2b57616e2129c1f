"""The engine of a model's networks: ONNX Runtime or OpenVINO on the ONNX files beside its weights, or PyTorch.

The fastest installed engine is used. XRAY_ENGINE chooses another (`torch`, `onnxruntime` or `openvino`), and
XRAY_PRECISION chooses the precision of its files (`float32` or `int8`). A file made of other weights is not used.
PyTorch runs what has no file, if it is installed.
"""

import logging
import re
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hub_models.checkpoints.choices import chosen_engine, chosen_precisions
from hub_models.checkpoints.folder import weights_digest
from hub_models.engines.device import blas_threads, has_graphics_card, pytorch_is_installed, threads
from hub_models.engines.runtimes import RUNTIMES

if TYPE_CHECKING:  # the page runs without torch
    from torch import nn

logger = logging.getLogger(__name__)


SOURCE, MEASURED = "source_sha256", "measured"
"""Names in a file's metadata: SHA-256 of the weights it was made of, and the figures of its export (JSON)."""

_SOURCE_IN_FILE = re.compile(SOURCE.encode() + rb"\x12\x40([0-9a-f]{64})")  # name and value as an ONNX file holds them


class Network(Protocol):
    """A network as a function: arrays in, arrays out, as `hub_models.engines.pytorch.networks` describes them."""

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
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

    def run(self, name: str, module: "nn.Module | None", *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run a network by its name, or its PyTorch module where the engine has none."""
        if name in self.networks:
            return self.networks[name](*inputs)
        from hub_models.engines.pytorch import networks

        return networks.run(module, *inputs)

    def release_memory(self) -> None:
        """Give back what the networks keep for calls as large as the largest so far; no call may run meanwhile."""
        for network in self.networks.values():
            network.release_memory()

    def __str__(self) -> str:
        """Engine and precision in words."""
        return f"{self.name}, {self.precision}"


@contextmanager
def cores_for(engines: Collection[Engine]) -> Iterator[None]:
    """Give NumPy's BLAS one thread while these engines run, and PyTorch, too, unless it is one of them.

    Threads of either spin for a while after each task, on the cores that the engines need: a product of two small
    matrices made the network after it 1.6 times as slow on two cores (OpenBLAS 0.3 of NumPy 2.4, OpenVINO 2026.4).
    """
    torch, blas = sys.modules.get("torch"), blas_threads()
    for library in blas:
        library.set_num_threads(1)
    if torch and all(engine.name != "torch" for engine in engines):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        for library, number in blas.items():
            library.set_num_threads(number)
        if torch:
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
        The engine; a network that it lacks has no file, and runs in PyTorch. PyTorch alone where there are no files, or
        where `problem` says that they were made of other weights or do not load.

    Raises:
        ValueError: the environment chooses an engine or a precision that is not there, or a network has no file that
            can be used, and PyTorch is not installed.
    """
    chosen, precisions = chosen_engine(), (precision,) if precision else chosen_precisions()
    engine_name = engine_name or ("torch" if has_graphics_card() else chosen)
    engine = Engine() if engine_name == "torch" else _open_files(folder, network_names, engine_name, precisions)
    if not pytorch_is_installed() and (missing := [name for name in network_names if name not in engine.networks]):
        raise ValueError(needs_pytorch(engine.problem or f"{missing[0]}.onnx is missing.", folder))
    if engine.problem:
        logger.warning("PyTorch is used: %s", engine.problem)
    return engine


def needs_pytorch(reason: str, folder: str | Path) -> str:
    """Say in one sentence what to run where something cannot be done without PyTorch, which is not installed."""
    return (
        f"{reason.rstrip('.')}, and PyTorch is not installed; run `pip install -r requirements.txt && "
        f"python -m hub_models.export {folder}`."
    )


def _open_files(folder: Path, network_names: tuple[str, ...], engine_name: str, precisions: tuple[str, ...]) -> Engine:
    """Open of each network the first file that there is, by its precision; the engine bears the first precision."""
    networks, used = {}, []
    for name in network_names:
        files = {precision: graph_file(folder, name, precision) for precision in precisions}
        precision = next((precision for precision, file in files.items() if file.is_file()), None)
        if precision is None:
            continue
        file = files[precision]
        if source_of(file) != weights_digest(folder):
            return Engine(problem=f"{file.name} was not made of these weights; export it again, or delete it.")
        try:
            networks[name] = RUNTIMES[engine_name](file)
        except Exception as error:  # each engine raises its own exceptions for a damaged file
            reason = " ".join(str(error).split())[:200].rstrip(".")
            return Engine(problem=f"{file.name} cannot be opened; export it again, or delete it ({reason}).")
        used.append(precision)
    return Engine(engine_name, min(used, key=precisions.index), networks) if networks else Engine()
