"""What runs a model's networks: PyTorch, or ONNX Runtime or OpenVINO on the ONNX files beside its weights.

The fastest that is installed is used; XRAY_ENGINE chooses another (`torch`, `onnxruntime` or `openvino`), and
XRAY_PRECISION another precision of its files (`float32` or `int8`). A file that was made of other weights is not used.
"""

import importlib.util
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hub_models.checkpoints.folder import WEIGHTS_FILE, weights_digest
from hub_models.engines.device import best_device, device_of, threads

logger = logging.getLogger(__name__)

ENGINES = ("openvino", "onnxruntime", "torch")
"""By speed on a processor, the fastest first."""

PRECISIONS = ("int8", "float32")
"""Of the ONNX files, the fastest first."""

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


def fastest_engine() -> str:
    """The first of `ENGINES` that is installed."""
    return next(name for name in ENGINES if importlib.util.find_spec(name))


def wanted_engine() -> str:
    """The engine that XRAY_ENGINE names; else the fastest that is installed.

    Raises:
        ValueError: there is no such engine, or it is not installed.
    """
    wish = os.environ.get("XRAY_ENGINE")
    if not wish:
        return fastest_engine()
    if wish not in ENGINES:
        raise ValueError(f"XRAY_ENGINE is {wish!r}; choose one of {', '.join(ENGINES)}")
    if not importlib.util.find_spec(wish):
        raise ValueError(f"XRAY_ENGINE is {wish}, which is not installed: pip install {wish}")
    return wish


def wanted_precisions() -> tuple[str, ...]:
    """The precision that XRAY_PRECISION names; else all, the fastest first.

    Raises:
        ValueError: there is no such precision.
    """
    wish = os.environ.get("XRAY_PRECISION")
    if wish and wish not in PRECISIONS:
        raise ValueError(f"XRAY_PRECISION is {wish!r}; choose one of {', '.join(PRECISIONS)}")
    return (wish,) if wish else PRECISIONS


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
                networks[part] = _OPEN[name](file)
            except Exception as error:  # each engine raises kinds of its own for a damaged file
                reason = " ".join(str(error).split())[:200].rstrip(".")
                return _instead(f"{file.name} cannot be opened; export it anew, or delete it ({reason}).")
        if networks:
            return Engine(name, kind, networks)
    return Engine()


def _instead(problem: str) -> Engine:
    logger.warning("PyTorch is used: %s", problem)
    return Engine(problem=problem)


@contextmanager
def without_links(file: Path) -> Iterator[Path]:
    """The ONNX file, in a folder where the weights that it reads lie beside it.

    In the Hub's cache both are links to elsewhere, and engines do not read what lies outside of a file's folder.
    """
    if not (file.is_symlink() or (file.parent / WEIGHTS_FILE).is_symlink()):
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="xray-engine-") as folder:
        for name in (file.name, WEIGHTS_FILE):
            shutil.copy(file.parent / name, folder)
        yield Path(folder, file.name)


class OnnxRuntimeNetwork:
    """An ONNX file in ONNX Runtime; calls may overlap."""

    def __init__(self, file: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other work needs the cores, too
        with without_links(file) as real:
            self.session = onnxruntime.InferenceSession(real, options, providers=["CPUExecutionProvider"])
        self.inputs = [given.name for given in self.session.get_inputs()]

    def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The file's outputs, on the CPU, of its inputs."""
        arrays = (tensor.numpy() for tensor in inputs)
        return tuple(map(torch.from_numpy, self.session.run(None, dict(zip(self.inputs, arrays, strict=True)))))


class OpenVinoNetwork:
    """An ONNX file in OpenVINO; calls may overlap."""

    def __init__(self, file: Path) -> None:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads(),
        }
        with without_links(file) as real:
            self.compiled = _core().compile_model(real, "CPU", settings)

    def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The file's outputs, on the CPU, of its inputs."""
        arrays = [np.ascontiguousarray(tensor.numpy()) for tensor in inputs]
        request = self.compiled.create_infer_request()
        request.infer(arrays)
        return tuple(torch.from_numpy(output.data.copy()) for output in request.output_tensors)


_OPEN = {"onnxruntime": OnnxRuntimeNetwork, "openvino": OpenVinoNetwork}


@cache
def _core() -> Any:
    import openvino

    core = openvino.Core()
    core.set_property({"ENABLE_MMAP": False})  # files that are read may be gone afterwards
    return core
