"""ONNX Runtime and OpenVINO as functions of arrays."""

import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hub_models.checkpoints.folder import WEIGHTS_FILE
from hub_models.engines.device import threads
from hub_models.engines.quiet import no_telemetry


@contextmanager
def without_links(file: Path) -> Iterator[Path]:
    """Provide an ONNX file in a folder that holds the file itself and its weights, not links to them.

    In the Hub's cache both are links, and engines do not read files outside of the ONNX file's folder.
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
        no_telemetry()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads()
        options.add_session_config_entry(
            "session.intra_op.allow_spinning", "0"
        )  # idle threads would take the cores from other work
        with without_links(file) as real:
            self.session = onnxruntime.InferenceSession(real, options, providers=["CPUExecutionProvider"])
        self.inputs = [entry.name for entry in self.session.get_inputs()]

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run the file: inputs and outputs in its order."""
        return tuple(self.session.run(None, dict(zip(self.inputs, inputs, strict=True))))

    def release_memory(self) -> None:
        """Keep the memory for the next call: ONNX Runtime gives none back while a session is open."""


class OpenVinoNetwork:
    """An ONNX file in OpenVINO; calls may overlap.

    Its threads are not bound to cores: those of several processes with one thread each would all be bound to the first
    core (OpenVINO 2026.4).
    """

    def __init__(self, file: Path) -> None:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads(),
            "ENABLE_CPU_PINNING": False,
        }
        with without_links(file) as real:
            self.compiled = _core().compile_model(real, "CPU", settings)
        self._idle: deque = deque()  # requests, as many as calls ever overlapped: making one takes a while

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run the file: inputs and outputs in its order."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self.compiled.create_infer_request()
        request.infer([np.ascontiguousarray(array) for array in inputs])
        outputs = tuple(output.data.copy() for output in request.output_tensors)
        self._idle.append(request)
        return outputs

    def release_memory(self) -> None:
        """Give back the memory that the largest call so far needed; no call may run meanwhile."""
        self._idle.clear()
        self.compiled.release_memory()


RUNTIMES = {"onnxruntime": OnnxRuntimeNetwork, "openvino": OpenVinoNetwork}


@cache
def _core() -> Any:
    no_telemetry()
    import openvino

    core = openvino.Core()
    core.set_property({"ENABLE_MMAP": False})  # the file may be deleted after it was read
    _ = openvino.Tensor(np.zeros(1, np.float32)).data  # two threads that are the first to read one wait forever
    return core
