"""A vision network's or a text tower's float32 ONNX file as int8."""

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnxruntime import InferenceSession
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from tqdm.auto import tqdm

from hub_models.export.onnx_graph import store_float16

Arrays = Sequence[np.ndarray]


COMPUTING = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""The operators whose weights are quantized."""

REACHES = ("extremes", "means")
"""How far activations are taken to reach: from the least to the greatest that any input gives; or from the mean of the
inputs' least to the mean of their greatest, which cuts what few inputs have off, and gives all finer steps."""

LOOKED_AT = 8
"""How many inputs tell which layers lose most."""


def quantize(
    source: Path,
    file: Path,
    inputs: Arrays,
    reduce_range: bool,
    spared: Collection[str] = (),
    reach: str = REACHES[0],
) -> None:
    """Write a float32 file of a vision network as int8: weights a channel each, activations by what inputs give.

    Args:
        source: the float32 file.
        file: is written anew.
        inputs: float32 (1, ...) each.
        reduce_range: give weights 7 bits, for processors without VNNI, whose 16-bit sums overflow.
        spared: names of nodes that stay float32; their weights are stored as float16.
        reach: one of `REACHES`.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder, "prepared.onnx")
        _prepare(source, prepared)
        _quantize(prepared, file, inputs, reduce_range, reach, nodes_to_exclude=list(spared))
    network = onnx.load(file)
    store_float16(network)
    onnx.save(network, file)


def quantize_weights(source: Path, file: Path, reduce_range: bool) -> None:
    """Write a float32 file of a text tower with int8 weights; its activations are quantized as they come."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder, "prepared.onnx")
        _prepare(source, prepared)
        quantize_dynamic(prepared, file, per_channel=True, reduce_range=reduce_range, weight_type=QuantType.QInt8)


def by_loss(source: Path, inputs: Arrays, reduce_range: bool) -> list[str]:
    """Names of a vision network's computing nodes, the one first whose quantization alone moves the outputs most.

    Moved is the mean squared difference of all outputs, over their mean square, on a few of the inputs.
    """
    few = inputs[:LOOKED_AT]
    wanted = _outputs(source, few)
    with tempfile.TemporaryDirectory() as folder:
        prepared, alone = Path(folder, "prepared.onnx"), Path(folder, "alone.onnx")
        _prepare(source, prepared)
        nodes = [node.name for node in onnx.load(prepared).graph.node if node.op_type in COMPUTING]
        moved = {}
        for name in tqdm(nodes, desc="Layer by layer"):
            _quantize(prepared, alone, few, reduce_range, REACHES[0], nodes_to_quantize=[name])
            found = _outputs(alone, few)
            moved[name] = sum(float(((a - b) ** 2).mean() / (a**2).mean()) for a, b in zip(wanted, found, strict=True))
    return sorted(nodes, key=moved.get, reverse=True)


def _prepare(source: Path, prepared: Path) -> None:
    # Symbolic shapes stop at what normalises an image tower's vectors, and a fixed size of images needs none.
    quant_pre_process(source, prepared, skip_symbolic_shape=True)


def _quantize(prepared: Path, file: Path, inputs: Arrays, reduce_range: bool, reach: str, **chosen: list[str]) -> None:
    quantize_static(
        prepared,
        file,
        _Inputs(prepared, inputs),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=reduce_range,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options={"CalibMovingAverage": reach == "means"},
        **chosen,
    )


def _outputs(file: Path, inputs: Arrays) -> list[np.ndarray]:
    """All outputs of a network, those of all inputs one below the other."""
    session = InferenceSession(file, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    found = [session.run(None, {given.name: array}) for array in inputs]
    return [np.concatenate(outputs) for outputs in zip(*found, strict=True)]


class _Inputs(CalibrationDataReader):
    """What a network with one input is shown, one after the other."""

    def __init__(self, file: Path, inputs: Arrays) -> None:
        (given,) = onnx.load(file, load_external_data=False).graph.input
        self.given = iter([{given.name: array} for array in inputs])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.given, None)
