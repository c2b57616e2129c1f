"""Two processes with half of the rows each compute what one process computes with all of them."""

import socket

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.nn import functional as F

from train.tasks.together import JointBatchNorm, gathered

ROWS, WEIGHT, BIAS = (12, 3, 5, 5), torch.tensor([1.0, 2.0, 0.5]), torch.tensor([0.0, -1.0, 3.0])


def values() -> torch.Tensor:
    return torch.randn(ROWS, generator=torch.Generator().manual_seed(0)) * 3 + 7


def step(rows: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
    """Loss, gradients and running means of a small network on rows (N, 3, 5, 5), the loss a mean over some of them."""
    torch.manual_seed(4)
    layer, rows = nn.BatchNorm2d(3), rows.clone().requires_grad_()
    with torch.no_grad():
        layer.weight.copy_(WEIGHT)
        layer.bias.copy_(BIAS)
    with JointBatchNorm():
        answers = layer(rows).square().mean(dim=(2, 3))
    answers, targets = gathered(answers), gathered(targets)
    loss = F.cross_entropy(answers[targets > 0], targets[targets > 0])
    loss.backward()
    grads = {"weight": layer.weight.grad, "bias": layer.bias.grad, "rows": rows.grad}
    return {"loss": loss.detach(), "mean": layer.running_mean, "variance": layer.running_var, **grads}


def half(rank: int, port: int, folder: str) -> None:
    address = f"tcp://127.0.0.1:{port}"
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    part = slice(6 * rank, 6 * rank + 6)
    torch.save(step(values()[part], TARGETS[part]), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


TARGETS = torch.tensor([0, 1, 2, 0, 0, 0, 1, 2, 1, 1, 2, 2])
"""Class of each row; those of class 0 count nothing, which are four of the first half and none of the second."""


def test_two_halves_have_the_loss_the_gradients_and_the_running_means_of_the_whole(tmp_path):
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    multiprocessing.spawn(half, (port, str(tmp_path)), nprocs=2)
    whole = step(values(), TARGETS)
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for name in ("loss", "mean", "variance"):
        for part in parts:
            assert torch.allclose(part[name], whole[name], rtol=1e-5), name
    for name in ("weight", "bias"):  # DistributedDataParallel takes the mean
        assert torch.allclose((parts[0][name] + parts[1][name]) / 2, whole[name], rtol=1e-4, atol=1e-6), name
    assert torch.allclose(torch.cat([part["rows"] for part in parts]) / 2, whole["rows"], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("training", [True, False])
def test_normalisation_of_one_process_is_that_of_pytorch(training):
    plain, joint = nn.BatchNorm2d(3).train(training), nn.BatchNorm2d(3).train(training)
    with JointBatchNorm():
        answers = joint(values())
    assert torch.allclose(answers, plain(values()), atol=1e-5)
    assert torch.allclose(joint.running_var, plain.running_var, rtol=1e-5)
    assert torch.allclose(joint.running_mean, plain.running_mean, rtol=1e-5)
