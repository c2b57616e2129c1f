"""Int8 versions of the float32 ONNX files of vision networks and text towers."""

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
"""Ranges of quantized activations. extremes: from the least to the greatest value of all inputs; means: from the mean
of the inputs' least values to the mean of their greatest, which clips rare values and makes finer steps."""

RANKING_INPUTS = 8
"""Number of inputs that rank the layers by their loss."""


def quantize(
    source: Path,
    file: Path,
    inputs: Arrays,
    reduce_range: bool,
    spared: Collection[str] = (),
    reach: str = REACHES[0],
) -> None:
    """Write a float32 file of a vision network as int8, its weights by channel, its activations by those of the inputs.

    Args:
        source: the float32 file.
        file: the file to write; one that exists is replaced.
        inputs: inputs of the network, float32 (1, ...) each.
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
    """Write a float32 file of a text tower with int8 weights; its activations are quantized while it runs."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder, "prepared.onnx")
        _prepare(source, prepared)
        quantize_dynamic(prepared, file, per_channel=True, reduce_range=reduce_range, weight_type=QuantType.QInt8)


def by_loss(source: Path, inputs: Arrays, reduce_range: bool) -> list[str]:
    """Rank the computing nodes of a vision network by how much the quantization of each alone changes the outputs.

    The change is the mean squared difference of all outputs, over their mean square, on `RANKING_INPUTS` inputs.

    Returns:
        Names of nodes, the one with the largest change first.
    """
    few = inputs[:RANKING_INPUTS]
    expected = _outputs(source, few)
    with tempfile.TemporaryDirectory() as folder:
        prepared, alone = Path(folder, "prepared.onnx"), Path(folder, "alone.onnx")
        _prepare(source, prepared)
        nodes = [node.name for node in onnx.load(prepared).graph.node if node.op_type in COMPUTING]
        changes = {}
        for name in tqdm(nodes, desc="Layer by layer"):
            _quantize(prepared, alone, few, reduce_range, REACHES[0], nodes_to_quantize=[name])
            pairs = zip(expected, _outputs(alone, few), strict=True)
            changes[name] = sum(float(((a - b) ** 2).mean() / (a**2).mean()) for a, b in pairs)
    return sorted(nodes, key=changes.get, reverse=True)


def _prepare(source: Path, prepared: Path) -> None:
    # Symbolic shape inference fails where an image tower normalises its vectors; images of fixed size need none.
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
    """Run a network on all inputs; of each output the values for all inputs, concatenated."""
    session = InferenceSession(file, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    runs = [session.run(None, {entry.name: array}) for array in inputs]
    return [np.concatenate(outputs) for outputs in zip(*runs, strict=True)]


class _Inputs(CalibrationDataReader):
    """The inputs of a network with one input, one after the other."""

    def __init__(self, file: Path, inputs: Arrays) -> None:
        (entry,) = onnx.load(file, load_external_data=False).graph.input
        self.remaining = iter([{entry.name: array} for array in inputs])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.remaining, None)
