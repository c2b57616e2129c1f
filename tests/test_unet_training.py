"""What the UNet learns from: the loss over labelled masks only, pretrained weights, and what an epoch holds."""

from types import SimpleNamespace

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from hub_models.unet import Segmenter
from train.data import load
from train.unet import Rows, SegmentationTask, collate, has_mask, load_encoder, repeat_infected, validation_dice


@pytest.fixture
def task() -> SegmentationTask:
    torch.manual_seed(0)
    return SegmentationTask(Segmenter.new("resnet18", 64).network)


def batch(labelled: list[list[bool]]) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    masks = (torch.rand(len(labelled), 2, 64, 64) > 0.5).to(torch.int8)
    return {
        "pixel_values": torch.randn(len(labelled), 1, 64, 64),
        "masks": masks,
        "labelled": torch.tensor(labelled),
    }


def test_the_loss_is_dice_plus_cross_entropy_of_each_mask(task):
    inputs = batch([[True, True], [True, True]])
    logits = task.network(inputs["pixel_values"])
    expected = 0.0
    for i in range(2):
        probability, truth = logits[:, i].sigmoid(), inputs["masks"][:, i].float()
        dice = 1 - 2 * (probability * truth).sum() / (probability.sum() + truth.sum())
        expected += dice + F.binary_cross_entropy(probability, truth)
    assert task(**inputs)["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_mask_that_nobody_drew_changes_neither_loss_nor_gradient(task):
    inputs = batch([[True, False], [False, False], [True, True]])
    first = task(**inputs)["loss"]
    first.backward()
    gradient = task.network.segmentation_head[0].weight.grad.clone()
    task.zero_grad()
    inputs["masks"][0, 1] = 1 - inputs["masks"][0, 1]
    inputs["masks"][1] = -1
    second = task(**inputs)["loss"]
    second.backward()
    assert second.item() == pytest.approx(first.item(), rel=1e-6)
    assert torch.allclose(task.network.segmentation_head[0].weight.grad, gradient, atol=1e-7)


def test_a_batch_without_any_mask_has_no_loss_but_can_be_trained_on(task):
    loss = task(**batch([[False, False]]))["loss"]
    loss.backward()
    assert loss.item() == 0


def test_counts_are_those_of_logits_above_zero(task):
    inputs = batch([[True, True]])
    with torch.no_grad():
        found = task.network(inputs["pixel_values"]) > 0
        counts = task(**inputs)["counts"]
    drawn = inputs["masks"] > 0
    assert counts[0, 1].tolist() == [
        int((found & drawn)[0, 1].sum()),
        int((found & ~drawn)[0, 1].sum()),
        int((~found & drawn)[0, 1].sum()),
    ]


def test_validation_dice_is_the_mean_of_both_masks_over_labelled_images_that_are_not_blank():
    counts = torch.tensor(
        [
            [[8, 1, 1], [9, 0, 0]],  # lungs 16/18; infection not labelled
            [[4, 4, 0], [1, 1, 1]],  # lungs 8/12, infection 2/4
            [[0, 5, 0], [0, 9, 0]],  # blank lungs, blank infection: neither counts
        ]
    ).numpy()
    labelled = torch.tensor([[1, 0], [1, 1], [1, 1]]).numpy()
    scores = validation_dice(SimpleNamespace(predictions=counts, label_ids=labelled))
    assert scores["dice_lungs"] == pytest.approx((16 / 18 + 8 / 12) / 2)
    assert scores["dice_infection"] == pytest.approx(0.5)
    assert scores["dice"] == pytest.approx((scores["dice_lungs"] + 0.5) / 2)


def test_colour_weights_are_summed_into_the_one_channel(tmp_path):
    colour = smp.encoders.get_encoder("resnet18", in_channels=3, weights=None).state_dict()
    save_file(colour, tmp_path / "encoder.safetensors")
    network = Segmenter.new("resnet18", 64).network
    assert load_encoder(network, "resnet18", str(tmp_path / "encoder.safetensors")) == (
        "encoder weights from encoder.safetensors"
    )
    grey = torch.rand(1, 1, 64, 64)
    expected = F.conv2d(grey.expand(-1, 3, -1, -1), colour["conv1.weight"], stride=2, padding=3)
    assert torch.allclose(network.encoder.conv1(grey), expected, atol=1e-5)
    assert torch.equal(network.encoder.layer1[0].conv1.weight, colour["layer1.0.conv1.weight"])


def test_encoder_weights_that_do_not_fit_or_are_not_there_are_refused(tmp_path):
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "part.safetensors")
    network = Segmenter.new("resnet18", 64).network
    with pytest.raises(ValueError, match=r"does not fit the encoder resnet18: it lacks \d+ tensors"):
        load_encoder(network, "resnet18", str(tmp_path / "part.safetensors"))
    with pytest.raises(ValueError, match="There are no encoder weights imagnet; choose imagenet, lite0, none"):
        load_encoder(network, "resnet18", "imagnet")
    assert load_encoder(network, "resnet18", "none") is None


def test_only_images_with_a_drawn_infection_are_repeated(covid_qu_ex):
    rows = load(str(covid_qu_ex))["train"]
    rows = rows.select([i for i, row in enumerate(rows) if has_mask(row)])
    repeated = repeat_infected(rows, 3)
    times = {name: repeated["file"][:].count(name) for name in rows["file"]}
    infected = {row["file"] for row in rows if row["infection_mask"] and row["infection_mask"].getextrema()[1]}
    assert len(infected) == 2
    assert {name for name, count in times.items() if count == 3} == infected
    assert {name for name, count in times.items() if count == 1} == set(rows["file"]) - infected


def test_rows_carry_the_masks_that_were_drawn_and_say_which(covid_qu_ex):
    rows = load(str(covid_qu_ex))["validation"]
    chosen = rows.select([i for i, name in enumerate(rows["file"]) if name.startswith(("covid", "non"))])
    examples = chosen.with_transform(Rows(Segmenter.new("resnet18", 64)))
    stacked = collate([examples[i] for i in range(len(examples))])
    assert stacked["pixel_values"].shape == (4, 1, 64, 64)
    assert stacked["labelled"].tolist() == [[True, True], [True, True], [False, False], [False, False]]
    drawn = chosen[0]["lung_mask"].resize((64, 64))
    assert abs(int(stacked["masks"][0, 0].sum()) - int((np.asarray(drawn) > 127).sum())) < 60
