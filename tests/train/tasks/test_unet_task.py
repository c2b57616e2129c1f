"""The task of a UNet: rows as tensors, the loss by what is known of a mask, the running average."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from hub_models.models.unet import Segmenter, new_processor
from hub_models.xray.masks import MASKS
from tests.support.datasets import dataset, rectangle
from train.data.augment import Augmentation
from train.data.boxes import MAX_BOXES
from train.data.rows import COLUMNS
from train.tasks.losses import BoxLoss, OutlineLoss, box_masks
from train.tasks.unet_task import BOXED, FILL, OUTLINE, UNKNOWN, Rows, SegmentationTask, collate, validation_dice

BOTH = [OUTLINE, OUTLINE]


class Answers(nn.Module):
    """Answers every image of its logits' size with them, and a smaller one with one logit a mask everywhere."""

    def __init__(self, logits: torch.Tensor, smaller: tuple[float, float] = (0.0, 0.0)) -> None:
        super().__init__()
        self.logits, self.smaller = nn.Parameter(logits), torch.tensor(smaller)
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        self.shapes.append(tuple(pixel_values.shape))
        count, _, *size = pixel_values.shape
        if size == list(self.logits.shape[1:]):
            return self.logits.expand(count, -1, -1, -1)
        return self.smaller[:, None, None].expand(count, -1, *size)


def flat(*values: float, size: int = 96) -> torch.Tensor:
    """Logits that are the same everywhere, one value a mask."""
    return torch.tensor(values)[:, None, None].repeat(1, size, size)


def batch(kinds: list[list[int]], size: int = 16) -> dict[str, torch.Tensor]:
    """Noise with random masks and no boxes."""
    torch.manual_seed(1)
    shape = (len(kinds), 2, size, size)
    return {
        "pixel_values": torch.rand(len(kinds), 1, size, size) * 2 - 1,
        "masks": (torch.rand(shape) > 0.5).to(torch.int8),
        "boxes": torch.zeros(len(kinds), 2, MAX_BOXES, 4),
        "kinds": torch.tensor(kinds),
    }


def boxed(kinds: list[list[int]], boxes: dict[int, list[float]], size: int = 96) -> dict[str, torch.Tensor]:
    """The same, but the first image has these boxes, mask -> box, and its masks are what is inside them."""
    inputs = batch(kinds, size)
    for mask, box in boxes.items():
        inputs["boxes"][0, mask, 0] = torch.tensor(box)
    inputs["masks"][0] = box_masks(inputs["boxes"][0], size)
    return inputs


def test_a_teacher_tells_infection_where_nobody_drew_it_and_is_not_saved():
    teacher = Answers(torch.stack([torch.zeros(8, 8), torch.full((8, 8), 2.0)]))
    pupil = Answers(torch.zeros(2, 8, 8))
    inputs = {
        "pixel_values": torch.zeros(1, 1, 8, 8),
        "masks": torch.zeros(1, 2, 8, 8, dtype=torch.int8),
        "boxes": torch.zeros(1, 2, 8, 4),
        "kinds": torch.tensor([[UNKNOWN, UNKNOWN]]),
    }
    task = SegmentationTask(pupil, teacher=teacher)
    assert task(**inputs)["loss"].item() == pytest.approx(np.log(2), rel=1e-5)  # cross-entropy of even odds
    assert task.state_dict().keys() == SegmentationTask(pupil).state_dict().keys()
    assert task.eval()(**inputs)["loss"].item() == 0
    drawn = inputs | {"kinds": torch.tensor([[UNKNOWN, OUTLINE]])}
    taught, alone = SegmentationTask(pupil, teacher=teacher)(**drawn), SegmentationTask(pupil)(**drawn)
    assert taught["loss"].item() == alone["loss"].item()


def only_in_training(task: SegmentationTask, inputs: dict[str, torch.Tensor]) -> float:
    """The part of the loss that training adds to that of evaluation."""
    return (task.train()(**inputs)["loss"] - task.eval()(**inputs)["loss"]).item()


@pytest.fixture
def task() -> SegmentationTask:
    torch.manual_seed(0)
    return SegmentationTask(nn.Conv2d(1, 2, 3, padding=1))


def test_the_loss_is_dice_plus_cross_entropy_of_each_mask(task):
    inputs = batch([BOTH, BOTH])
    logits = task.network(inputs["pixel_values"])
    expected = 0.0
    for i in range(2):
        probability, truth = logits[:, i].sigmoid(), inputs["masks"][:, i].float()
        dice = 1 - 2 * (probability * truth).sum() / (probability.sum() + truth.sum())
        expected += dice + F.binary_cross_entropy(probability, truth)
    assert task(**inputs)["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("names", [("bce", "bce"), ("dice_bce", "tversky_bce")])
def test_the_loss_is_the_sum_over_the_masks_of_the_one_asked_for_where_they_were_drawn(names):
    torch.manual_seed(0)
    task, inputs = SegmentationTask(nn.Conv2d(1, 2, 3, padding=1), names), batch([BOTH, [OUTLINE, 0], [0, OUTLINE]])
    logits, masks = task.network(inputs["pixel_values"]), inputs["masks"].float()
    drawn = ([0, 1], [0, 2])
    expected = sum(OutlineLoss(names[i])(logits[rows, i], masks[rows, i]) for i, rows in enumerate(drawn))
    assert task(**inputs)["loss"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_mask_that_nobody_drew_changes_neither_loss_nor_gradient(task):
    inputs = batch([[OUTLINE, UNKNOWN], [UNKNOWN, UNKNOWN], BOTH])
    first = task(**inputs)["loss"]
    first.backward()
    gradient = task.network.weight.grad.clone()
    task.zero_grad()
    inputs["masks"][0, 1] = 1 - inputs["masks"][0, 1]
    inputs["masks"][1] = -1
    second = task(**inputs)["loss"]
    second.backward()
    assert second.item() == first.item()
    assert torch.equal(task.network.weight.grad, gradient)
    assert gradient.abs().max() > 0


def test_a_batch_without_any_mask_has_no_loss_but_can_be_trained_on(task):
    loss = task(**batch([[UNKNOWN, UNKNOWN]]))["loss"]
    loss.backward()
    assert loss.item() == 0
    assert not task.network.weight.grad.any()


def test_counts_are_those_of_logits_above_zero_against_each_mask():
    logits = flat(1.0, 1.0, size=4)
    logits[0, :, 2:], logits[1, 1:] = 0.0, -1.0  # lungs on the left half, infection on the top row
    inputs = batch([BOTH, BOTH], 4)
    inputs["masks"][:] = 0
    inputs["masks"][0, 0, :2] = inputs["masks"][0, 1] = 1
    inputs["masks"][1, 1] = -1
    counts = SegmentationTask(Answers(logits))(**inputs)["counts"]
    assert counts.tolist() == [[[4, 4, 4], [4, 0, 12]], [[0, 8, 0], [0, 4, 0]]]


def test_a_boxed_mask_is_punished_by_the_box_loss_of_its_own_mask_on_its_own_pixels():
    torch.manual_seed(0)
    logits = torch.randn(2, 96, 96)
    inputs = boxed([[BOXED, BOXED], BOTH], {0: [10, 20, 50, 80], 1: [30, 30, 60, 50]})
    task, first = SegmentationTask(Answers(logits)).eval(), {name: value[:1] for name, value in inputs.items()}
    expected = sum(
        BoxLoss(FILL[name])(logits[None, i], first["boxes"][:, i], first["pixel_values"][:, 0])
        for i, name in enumerate(MASKS)
    )
    assert task(**first)["loss"].item() == pytest.approx(expected.item(), rel=1e-6)
    expected += sum(OutlineLoss("dice_bce")(logits[None, i], inputs["masks"][1:, i].float()) for i in range(2))
    assert task(**inputs)["loss"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_outside_the_box_every_pixel_is_pushed_down_and_the_unknown_mask_is_left_alone():
    torch.manual_seed(0)
    network = Answers(torch.randn(2, 96, 96))
    inputs = boxed([[BOXED, UNKNOWN]], {0: [10, 20, 50, 80]})
    SegmentationTask(network)(**inputs)["loss"].backward()
    outside = inputs["masks"][0, 0] == 0
    assert int(outside.sum()) == 96 * 96 - 40 * 60
    lungs, infection = network.logits.grad
    torch.testing.assert_close(lungs[outside], network.logits[0].sigmoid().detach()[outside] / outside.sum())
    assert (lungs[~outside] < 0).any()  # in the box the answer is to grow somewhere
    assert not infection.any()


def test_an_image_with_a_box_is_looked_at_once_more_smaller_and_punished_for_another_answer_in_the_box():
    logits = flat(2.0, 0.0)
    logits[0, 40:] = -1.0  # of the box, rows 20 to 80, two thirds
    network = Answers(logits, smaller=(0.5, 0.0))
    inputs = boxed([[BOXED, UNKNOWN], BOTH], {0: [10, 20, 50, 80]})
    whole, lower, again = torch.tensor([2.0, -1.0, 0.5]).sigmoid()
    expected = (whole - again).abs() / 3 + 2 * (lower - again).abs() / 3
    assert only_in_training(SegmentationTask(network), inputs) == pytest.approx(expected.item(), rel=1e-4)
    assert network.shapes == [(2, 1, 96, 96), (1, 1, 64, 64), (2, 1, 96, 96)]


@pytest.mark.parametrize(("size", "smaller"), [(64, 32), (128, 96), (160, 128), (256, 192)])
def test_the_smaller_image_is_smaller(size, smaller):
    network = Answers(flat(2.0, 0.0, size=size))
    only_in_training(SegmentationTask(network), boxed([[BOXED, UNKNOWN]], {0: [10, 20, 50, 60]}, size=size))
    assert {shape[-1] for shape in network.shapes} == {size, smaller}


@pytest.mark.parametrize(("kinds", "passes"), [([BOXED, UNKNOWN], 3), (BOTH, 2), ([UNKNOWN, UNKNOWN], 2)])
def test_without_a_box_another_answer_to_a_smaller_image_costs_nothing(kinds, passes):
    network = Answers(flat(2.0, 1.0), smaller=(-2.0, 0.0))
    assert only_in_training(SegmentationTask(network), boxed([kinds], {})) == pytest.approx(0, abs=1e-6)
    assert len(network.shapes) == passes


@pytest.mark.parametrize(("lungs", "infection"), [(-1.0, 0.5), (0.5, -1.0)])
def test_infection_outside_lungs_costs_ten_times_the_surplus_where_infection_was_boxed(lungs, infection):
    network = Answers(flat(lungs, infection), smaller=(lungs, infection))
    inputs = boxed([[OUTLINE, BOXED], BOTH], {1: [10, 20, 50, 80]})
    surplus = max(0.0, (torch.tensor(infection).sigmoid() - torch.tensor(lungs).sigmoid()).item())
    assert only_in_training(SegmentationTask(network), inputs) == pytest.approx(10 * surplus, abs=1e-5)


def test_infection_outside_lungs_teaches_infection_and_not_lungs():
    network = Answers(flat(-1.0, 0.5), smaller=(-1.0, 0.5))
    inputs = boxed([[UNKNOWN, BOXED]], {1: [10, 20, 50, 80]})
    SegmentationTask(network)(**inputs)["loss"].backward()
    lungs, infection = network.logits.grad
    assert not lungs.any()
    assert (infection[inputs["masks"][0, 1] == 0] > 0).all()


def test_the_running_average_is_what_is_saved_and_answers_in_evaluation():
    network = nn.Conv2d(1, 2, 1)
    nn.init.zeros_(network.weight)
    task, inputs = SegmentationTask(network, average_decay=0.75), batch([BOTH])
    inputs["masks"][:] = 1
    for bias in (1.0, -1.0):
        nn.init.constant_(network.bias, bias)
        counts = task.train()(**inputs)["counts"]
    assert counts.tolist() == [[[0, 0, 256]] * 2]  # in training the network itself answers: -1
    assert task.result.bias.tolist() == [0.5, 0.5]  # 0.75 * 1 + 0.25 * -1
    answer = task.eval()(**inputs)
    assert answer["counts"].tolist() == [[[256, 0, 0]] * 2]
    expected = 2 * OutlineLoss("dice_bce")(torch.full((1, 16, 16), 0.5), torch.ones(1, 16, 16))
    assert answer["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert task.result.bias.tolist() == [0.5, 0.5]  # evaluation is no step
    assert network.bias.tolist() == [-1.0, -1.0]


def test_statistics_of_batch_normalisation_are_averaged_with_the_weights():
    norm = nn.BatchNorm2d(2, affine=False)
    task = SegmentationTask(nn.Sequential(nn.Conv2d(1, 2, 1), norm), average_decay=0.75)
    for mean in (1.0, 3.0):
        norm.running_mean.fill_(mean)
        task.train()(**batch([BOTH]))
    assert task.result[1].running_mean.tolist() == [1.5, 1.5]


def test_without_an_average_the_network_itself_is_the_result(task):
    assert task.average is None
    assert task.result is task.network
    assert {name.partition(".")[0] for name in task.state_dict()} == {"network"}


def test_validation_dice_is_the_mean_of_both_masks_over_drawn_masks_that_are_not_blank():
    counts = np.array(
        [
            [[8, 1, 1], [9, 0, 0]],  # lungs 16/18; infection not known
            [[4, 4, 0], [1, 1, 1]],  # lungs 8/12, infection 2/4
            [[0, 5, 0], [0, 9, 0]],  # blank lungs, blank infection: neither counts
            [[9, 0, 9], [9, 0, 9]],  # boxes are no outline
        ]
    )
    kinds = np.array([[OUTLINE, UNKNOWN], BOTH, BOTH, [BOXED, BOXED]])
    scores = validation_dice(SimpleNamespace(predictions=counts, label_ids=kinds))
    assert scores == {
        "dice_lungs": pytest.approx((16 / 18 + 8 / 12) / 2),
        "dice_infection": pytest.approx(0.5),
        "dice": pytest.approx(((16 / 18 + 8 / 12) / 2 + 0.5) / 2),
    }
    assert validation_dice(SimpleNamespace(predictions=counts[:1], label_ids=kinds[:1])) == {
        "dice_lungs": pytest.approx(16 / 18),
        "dice": pytest.approx(16 / 18),
    }
    assert validation_dice(SimpleNamespace(predictions=counts[3:], label_ids=kinds[3:])) == {"dice": 0.0}


def shown_by(size: int = 32) -> Segmenter:
    """A segmenter of which only the processor is asked."""
    return Segmenter(nn.Identity(), new_processor(size))


def test_rows_carry_what_was_drawn_or_boxed_and_say_which():
    left, top = rectangle(64, slice(0, 32)), rectangle(64, rows=slice(0, 16))
    rows = dataset(
        {"side": 64, "label": "COVID-19", "lung_mask": left, "infection_mask": top},
        {"side": 64, "label": "Normal", "lung_boxes": [[8, 16, 40, 64], [44, 0, 64, 8]], "infection_boxes": []},
        {"side": 64, "label": "Normal"},
        {"side": 64, "label": "COVID-19", "lung_mask": left, "infection_boxes": [[0, 0, 4, 8]]},
        {"side": 64, "label": "COVID-19", "infection_mask": top & False, "infection_boxes": [[0, 0, 64, 64]]},
    ).with_transform(Rows(shown_by(32)))
    stacked = collate([rows[i] for i in range(len(rows))])
    assert {name: tuple(value.shape) for name, value in stacked.items()} == {
        "pixel_values": (5, 1, 32, 32),
        "masks": (5, 2, 32, 32),
        "boxes": (5, 2, MAX_BOXES, 4),
        "kinds": (5, 2),
    }
    assert stacked["kinds"].tolist() == [BOTH, [BOXED, BOXED], [UNKNOWN] * 2, [OUTLINE, BOXED], [UNKNOWN, OUTLINE]]
    half, quarter = rectangle(32, slice(0, 16)), rectangle(32, rows=slice(0, 8))
    boxes = rectangle(32, slice(4, 20), slice(8, 32)) | rectangle(32, slice(22, 32), slice(0, 4))
    expected = [
        [half, quarter],
        [boxes, boxes & False],
        [half * 0 - 1] * 2,
        [half, rectangle(32, slice(0, 2), slice(0, 4))],
        [half * 0 - 1, half & False],  # an outline, though blank, is more than a box
    ]
    assert np.array_equal(stacked["masks"].numpy(), np.array(expected, np.int8))
    assert stacked["boxes"][1, 0, :3].tolist() == [[4, 8, 20, 32], [22, 0, 32, 4], [0, 0, 0, 0]]
    assert not stacked["boxes"][[0, 2]].any()
    assert stacked["pixel_values"].min() >= -1
    assert stacked["pixel_values"].max() <= 1
    assert stacked["pixel_values"].min() < -0.5 < 0.5 < stacked["pixel_values"].max()


def one_row(**columns) -> dict[str, list]:
    """A batch of one X-ray of 64 pixels, black but for its columns 16 to 40 and rows 8 to 48."""
    bright = rectangle(64, slice(16, 40), slice(8, 48))
    row = {**dict.fromkeys(COLUMNS), "image": Image.fromarray(np.where(bright, 200, 20).astype(np.uint8)), **columns}
    return {name: [value] for name, value in row.items()}


def test_a_row_with_a_box_is_changed_by_what_leaves_it_upright_and_any_other_row_by_the_rest():
    def darkened(image: torch.Tensor, *regions: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return image * 0, *regions

    def brightened(image: torch.Tensor, *regions: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return image * 0 + 1, *regions

    transform, mask = Rows(shown_by(64), darkened, brightened), Image.fromarray(rectangle(64))
    grey = {
        "nothing": transform(one_row())["pixel_values"][0],
        "outlines": transform(one_row(lung_mask=mask, infection_mask=mask))["pixel_values"][0],
        "a box": transform(one_row(lung_mask=mask, infection_boxes=[[16, 8, 40, 48]]))["pixel_values"][0],
        "no box": transform(one_row(lung_boxes=[]))["pixel_values"][0],
    }
    assert {name: set(value.unique().tolist()) for name, value in grey.items()} == {
        "nothing": {-1.0},
        "outlines": {-1.0},
        "a box": {1.0},
        "no box": {1.0},
    }


@pytest.mark.parametrize("seed", range(8))
def test_a_changed_row_has_its_box_around_what_it_was_around_and_its_mask_is_the_box(seed):
    torch.manual_seed(seed)
    row = one_row(
        lung_mask=Image.fromarray(rectangle(64, slice(16, 40), slice(8, 48))), infection_boxes=[[16.0, 8, 40, 48]]
    )
    inputs = Rows(shown_by(64), None, Augmentation(0.5, 1.0, upright=True))(row)
    (pixels,), (masks,), (boxes,) = inputs["pixel_values"], inputs["masks"], inputs["boxes"]
    assert not torch.equal(boxes[1, 0], torch.tensor([16.0, 8, 40, 48]))
    assert torch.equal(masks[1], box_masks(boxes, 64)[1])
    bright = pixels[0] > (pixels.min() + pixels.max()) / 2
    for region in (bright, masks[0] > 0):  # a box of 24 x 40 pixels that lies one pixel off would overlap by 0.92
        assert ((region & (masks[1] > 0)).sum() / (region | (masks[1] > 0)).sum()).item() > 0.9
