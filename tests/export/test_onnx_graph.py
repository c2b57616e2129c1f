"""ONNX files of small networks whose answers are known."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession
from torch import nn

from hub_models.export import onnx_graph, quantization


class Sum(nn.Module):
    """Two convolutions side by side; the channels of the second one's input are of very different size."""

    inputs, outputs = ("pixel_values",), ("sums",)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.plain = nn.Conv2d(2, 2, 1, bias=False)
        self.uneven = nn.Conv2d(2, 2, 1, bias=False)
        nn.init.constant_(self.uneven.weight, 1)

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor]:
        scale = torch.tensor([1.0, 1000.0])[:, None, None]
        large = self.uneven(pixel_values * scale) - 1000 * pixel_values[:, 1:]
        return (self.plain(pixel_values) + large,)


INPUTS = [array[None] for array in np.random.default_rng(0).uniform(-1, 1, (10, 2, 4, 4)).astype(np.float32)]


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """`Sum` as float32."""
    file = tmp_path_factory.mktemp("graphs") / "sum.onnx"
    onnx_graph.export(Sum(), (INPUTS[0],), file)
    return file


def answer(file: Path, array: np.ndarray) -> np.ndarray:
    return InferenceSession(file, providers=["CPUExecutionProvider"]).run(["sums"], {"pixel_values": array})[0]


def convolutions(file: Path, precision: np.dtype) -> int:
    """How many convolutions have weights of this precision."""
    tensors = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(file).graph.initializer]
    return sum(tensor.shape == (2, 2, 1, 1) and tensor.dtype == precision for tensor in tensors)


def test_an_exported_network_takes_any_number_of_inputs(file):
    many = np.concatenate(INPUTS)
    with torch.inference_mode():
        (wanted,) = Sum()(torch.from_numpy(many))
    np.testing.assert_allclose(answer(file, many), wanted, rtol=0, atol=1e-3)
    assert [given.name for given in onnx.load(file).graph.input] == ["pixel_values"]


def test_a_spared_layer_stays_float32(file, tmp_path):
    uneven, _ = quantization.by_loss(file, INPUTS, reduce_range=False)
    quantization.quantize(file, tmp_path / "all.onnx", INPUTS, False)
    quantization.quantize(file, tmp_path / "spared.onnx", INPUTS, False, [uneven])
    assert (convolutions(tmp_path / "all.onnx", np.int8), convolutions(tmp_path / "all.onnx", np.float32)) == (2, 0)
    assert convolutions(tmp_path / "spared.onnx", np.int8) == convolutions(tmp_path / "spared.onnx", np.float32) == 1


def test_the_weights_of_a_spared_layer_are_stored_as_float16_and_computed_with_in_float32(file, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graph, "SMALL", 1)
    everything = [node.name for node in onnx.load(file).graph.node]
    quantization.quantize(file, tmp_path / "spared.onnx", INPUTS, False, everything)
    assert convolutions(tmp_path / "spared.onnx", np.float16) == 2
    assert convolutions(tmp_path / "spared.onnx", np.float32) == 0
    np.testing.assert_allclose(answer(tmp_path / "spared.onnx", INPUTS[0]), answer(file, INPUTS[0]), rtol=0, atol=0.01)


def test_an_input_unlike_the_others_costs_them_less_where_activations_reach_by_their_means(tmp_path):
    # Weights of 7 bits: with 8, processors without VNNI overflow, which hides the difference
    plain = Sum().plain
    plain.inputs, plain.outputs = Sum.inputs, Sum.outputs
    onnx_graph.export(plain, (INPUTS[0],), tmp_path / "plain.onnx")
    wanted, losses = answer(tmp_path / "plain.onnx", INPUTS[0]), {}
    for reach in quantization.REACHES:
        quantization.quantize(
            tmp_path / "plain.onnx", tmp_path / "int8.onnx", [*INPUTS, 30 * INPUTS[0]], True, (), reach
        )
        losses[reach] = np.abs(answer(tmp_path / "int8.onnx", INPUTS[0]) - wanted).mean()
    assert losses["means"] < 0.5 * losses["extremes"]


def test_the_layer_that_loses_most_comes_first(file):
    graph = onnx.load(file).graph
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = {node.name: weights[node.input[1]] for node in graph.node if node.op_type == "Conv"}
    uneven, plain = quantization.by_loss(file, INPUTS, reduce_range=False)
    np.testing.assert_array_equal(nodes[uneven], np.ones((2, 2, 1, 1)))
    np.testing.assert_array_equal(nodes[plain], Sum().plain.weight.detach())


def test_what_is_told_is_kept_beside_what_was_told_before(file, tmp_path):
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(file.read_bytes())
    onnx_graph.write_metadata(copy, {"part": "network", "precision": "float32"})
    onnx_graph.write_metadata(copy, {"precision": "int8"})
    assert {entry.key: entry.value for entry in onnx.load(copy).metadata_props} == {
        "part": "network",
        "precision": "int8",
    }
    np.testing.assert_array_equal(answer(copy, INPUTS[0]), answer(file, INPUTS[0]))
