"""ONNX files of a model's networks, made from PyTorch modules, and their metadata."""

import json
import warnings
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
import onnx
import onnxscript
import torch
from onnx.external_data_helper import set_external_data
from onnxscript.optimizer import fold_constants, remove_unused_nodes
from torch import nn

SMALL = 1024
"""Size below which an array is stored as it is: numbers of a float32 array, or bytes."""


def export(module: nn.Module, example: Sequence[np.ndarray], file: Path, weights: Path | None = None) -> None:
    """Write a module as ONNX, float32, with any number of inputs and, where they are texts, any length.

    Args:
        module: a module of `hub_models.engines.pytorch.networks`.
        example: its inputs (N, ...); texts of the greatest length.
        file: the file to write; one that exists is replaced.
        weights: the safetensors file beside it that the module was loaded from. The ONNX file refers to the weights in
            it instead of repeating them; if not given, all are written.
    """
    inputs = tuple(map(torch.from_numpy, example))
    with torch.inference_mode():
        outputs = module.outputs[: len(module(*inputs))]
    free = {0: torch.export.Dim("batch")}
    if not inputs[0].is_floating_point():
        free[1] = torch.export.Dim("length", max=inputs[0].shape[1])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "# The axis name")  # both inputs of a text tower share their axes
        program = torch.onnx.export(
            module.eval(),
            inputs,
            input_names=list(module.inputs),
            output_names=list(outputs),
            dynamic_shapes=(free,) * len(inputs),
            optimize=False,  # it would fuse layers and so change weights; engines fuse them when they open the file
            verbose=False,
        )
    fold_constants(program.model, should_fold=lambda node: False if _has_weights(node) else None)
    remove_unused_nodes(program.model)
    network = program.model_proto
    graph = network.graph
    for described in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del described.metadata_props[:]  # it names files and folders of this machine
    store_float16(network, exact=True)
    if weights:
        _point_to(weights, network)
    onnx.save(network, file)


def _has_weights(node: onnxscript.ir.Node) -> bool:
    """Whether a node changes weights. The file refers to them as they are saved; engines fold it when they open it."""
    arrays = [value.const_value for value in node.inputs if value is not None and value.const_value is not None]
    return any(array.size >= SMALL for array in arrays)


def write_metadata(file: Path, facts: dict[str, str]) -> None:
    """Write facts into a file's metadata."""
    network = onnx.load(file, load_external_data=False)
    metadata = {entry.key: entry.value for entry in network.metadata_props} | facts
    onnx.helper.set_model_props(network, metadata)
    onnx.save(network, file)


def store_float16(network: onnx.ModelProto, exact: bool = False) -> None:
    """Store float32 arrays as float16, cast back when the file is opened; if `exact`, only arrays that lose nothing."""
    graph, arrays, casts = network.graph, [], []
    for array in graph.initializer:
        half = None
        if array.data_type == onnx.TensorProto.FLOAT and prod(array.dims) >= SMALL:
            full = onnx.numpy_helper.to_array(array)
            half = full.astype(np.float16)
        if half is None or (exact and not np.array_equal(half, full)):
            arrays.append(array)
        else:
            arrays.append(onnx.numpy_helper.from_array(half, f"{array.name}.float16"))
            casts.append(onnx.helper.make_node("Cast", [arrays[-1].name], [array.name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(arrays)
    graph.node.extend(nodes)


def _point_to(weights: Path, network: onnx.ModelProto) -> None:
    """Replace large arrays by references to a safetensors file that holds the same bytes.

    Such a file is the length of its header in eight bytes, the header, which gives as JSON the place of each tensor
    behind it, and the tensors (https://github.com/huggingface/safetensors#format).
    """
    data = weights.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {name: entry for name, entry in json.loads(data[8:start]).items() if name != "__metadata__"}
    spans = [tuple(start + offset for offset in entry["data_offsets"]) for entry in tensors.values()]
    places = {data[first:last]: first for first, last in spans}
    for array in network.graph.initializer:
        if len(array.raw_data) >= SMALL and (place := places.get(array.raw_data)) is not None:
            set_external_data(array, weights.name, place, len(array.raw_data))
            array.ClearField("raw_data")
