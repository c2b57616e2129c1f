"""ONNX files of a model's networks: made of PyTorch modules, quantized to int8, and told what they were made of."""

import json
import tempfile
import warnings
from collections.abc import Collection, Sequence
from math import prod
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx.external_data_helper import set_external_data
from onnxruntime import InferenceSession
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxscript.optimizer import fold_constants, remove_unused_nodes
from torch import nn
from tqdm.auto import tqdm

Arrays = Sequence[np.ndarray]

COMPUTING = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""The operators whose weights are quantized."""

REACHES = ("extremes", "means")
"""How far activations are taken to reach: from the least to the greatest that any input gives; or from the mean of the
inputs' least to the mean of their greatest, which cuts what few inputs have off, and gives all finer steps."""

LOOKED_AT = 8
"""How many inputs tell which layers lose most."""

SMALL = 1024
"""Of fewer numbers, a float32 array is stored as it is."""


def export(module: nn.Module, example: Sequence[torch.Tensor], file: Path, weights: Path | None = None) -> None:
    """Write a module as ONNX, float32, with any number of inputs and, where they are texts, any length.

    Args:
        module: of `hub_models.models.networks`.
        example: its inputs (N, ...); texts as long as it takes them.
        file: is written anew.
        weights: the safetensors file beside it that the module was loaded from. Weights that are in there are not
            written again, but read from there; if not given, all are written.
    """
    free = {0: torch.export.Dim("batch")}
    if not example[0].is_floating_point():
        free[1] = torch.export.Dim("length", max=example[0].shape[1])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "# The axis name")  # both inputs of a text tower share theirs
        program = torch.onnx.export(
            module.eval(),
            tuple(example),
            input_names=list(module.inputs),
            output_names=list(module.outputs),
            dynamic_shapes=(free,) * len(example),
            optimize=False,  # fuses layers, which changes their weights: engines do that when they open the file
            verbose=False,
        )
    fold_constants(program.model, should_fold=lambda node: False if node.op_type == "Transpose" else None)
    remove_unused_nodes(program.model)
    network = program.model_proto
    graph = network.graph
    for described in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del described.metadata_props[:]  # names the files and folders of this machine
    _store_float16(network, exact=True)
    if weights:
        _point_to(weights, network)
    onnx.save(network, file)


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
    _store_float16(network)
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


def tell(file: Path, facts: dict[str, str]) -> None:
    """Write facts into a file's metadata."""
    network = onnx.load(file, load_external_data=False)
    kept = {entry.key: entry.value for entry in network.metadata_props} | facts
    onnx.helper.set_model_props(network, kept)
    onnx.save(network, file)


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


def _store_float16(network: onnx.ModelProto, exact: bool = False) -> None:
    """Store float32 arrays as float16, which are cast back when the file is opened; or only those that lose nothing."""
    graph, kept, casts = network.graph, [], []
    for array in graph.initializer:
        half = None
        if array.data_type == onnx.TensorProto.FLOAT and prod(array.dims) >= SMALL:
            full = onnx.numpy_helper.to_array(array)
            half = full.astype(np.float16)
        if half is None or (exact and not np.array_equal(half, full)):
            kept.append(array)
        else:
            kept.append(onnx.numpy_helper.from_array(half, f"{array.name}.float16"))
            casts.append(onnx.helper.make_node("Cast", [kept[-1].name], [array.name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)


def _point_to(weights: Path, network: onnx.ModelProto) -> None:
    """Replace large arrays by their places in a safetensors file, where it holds them byte for byte.

    Such a file is the length of its header in eight bytes, the header, which says as JSON where each tensor lies behind
    it, and the tensors (https://github.com/huggingface/safetensors#format).
    """
    data = weights.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {name: told for name, told in json.loads(data[8:start]).items() if name != "__metadata__"}
    spans = [tuple(start + offset for offset in told["data_offsets"]) for told in tensors.values()]
    places = {data[first:last]: first for first, last in spans}
    for array in network.graph.initializer:
        if len(array.raw_data) >= SMALL and (place := places.get(array.raw_data)) is not None:
            set_external_data(array, weights.name, place, len(array.raw_data))
            array.ClearField("raw_data")


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
