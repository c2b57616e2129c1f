"""Weights while a network learns: the share of its start that it keeps."""

import pytest
import torch
from torch import nn

from train.tasks.weights import KeptStart, use_channels_last


def network(value: float) -> nn.Sequential:
    made = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    use_channels_last(made)
    fill(made, value)
    return made


@torch.no_grad()
def fill(network: nn.Module, value: float) -> None:
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.fill_(value)


@pytest.mark.parametrize(("share", "mean"), [(0.0, 5.0), (0.25, 4.0), (1.0, 1.0)])
def test_weights_and_normalisation_are_averaged_with_those_of_the_start(share, mean):
    trained = network(1)
    kept = KeptStart(trained, share)
    fill(trained, 5)
    kept.mix_into(trained)
    saved = trained.state_dict()
    assert saved.pop("1.num_batches_tracked") == 5  # a count
    assert {float(value) for tensor in saved.values() for value in tensor.unique()} == {mean}


def test_a_share_beyond_all_is_refused_before_the_training():
    with pytest.raises(ValueError, match=r"^--keep_start is 1\.5; it takes 0 to 1\.$"):
        KeptStart(network(1), 1.5)
