"""The losses by value on tiny arrays; and that a box is best filled by what fits it."""

import pytest
import torch
from torch.nn import functional as F

from train.tasks.losses import ALIKE_DIFFERENCE, LOSSES, BoxLoss, OutlineLoss, box_masks, box_windows

ANY_SHARE = (0.0, 1.0)
NO_BOX = torch.zeros(1, 1, 4)


def logit(probability: float) -> float:
    return float(torch.logit(torch.tensor(probability)))


def whole(size: int) -> torch.Tensor:
    """One box around the whole image."""
    return torch.tensor([[[0.0, 0, size, size]]])


def unlike(size: int) -> torch.Tensor:
    """An image in which no two pixels that are two apart are of like brightness."""
    steps = torch.arange(size) // 2 % 2
    return torch.where((steps[:, None] + steps) % 2 == 0, 0.5, -0.5)[None]


def dice(probability: torch.Tensor, truth: torch.Tensor, alpha: float = 0.5, beta: float = 0.5) -> torch.Tensor:
    """Tversky loss; Dice at a half and a half."""
    hit, surplus, missed = (probability * truth).sum(), (probability * (1 - truth)).sum(), ((1 - probability) * truth)
    return 1 - hit / (hit + alpha * surplus + beta * missed.sum())


@pytest.fixture
def outlines() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and masks of three images."""
    torch.manual_seed(0)
    return torch.randn(3, 8, 8), (torch.rand(3, 8, 8) > 0.6).float()


def test_outline_losses_are_those_of_their_formulas_over_the_batch(outlines):
    logits, masks = outlines
    probability = logits.sigmoid()
    entropy = -(masks * probability.log() + (1 - masks) * (1 - probability).log())
    surprise = masks * (1 - probability) + (1 - masks) * probability
    expected = {
        "bce": entropy.mean(),
        "dice_bce": dice(probability, masks) + entropy.mean(),
        "tversky_bce": dice(probability, masks, 0.3, 0.7) + entropy.mean(),
        "dice_focal": dice(probability, masks) + (surprise**2 * entropy).mean(),
    }
    assert expected.keys() == LOSSES.keys()
    for name, value in expected.items():
        assert OutlineLoss(name)(logits, masks).item() == pytest.approx(value.item(), rel=1e-5), name


def test_tversky_punishes_a_missed_pixel_more_than_a_surplus_one():
    masks = torch.zeros(1, 4, 4)
    masks[:, :2] = 1
    missed, surplus = masks.clone(), masks.clone()
    missed[:, 1], surplus[:, 2] = 0, 1
    loss = OutlineLoss("tversky_bce").losses[0]
    assert loss(20 * missed[:, None] - 10, masks[:, None]) > loss(20 * surplus[:, None] - 10, masks[:, None])


def test_outside_the_boxes_every_pixel_is_punished_for_its_logit():
    logits = torch.tensor([[[0.0, 0, 0, 1], [0, 0, 0, 2], [0, 0, 0, 3], [0, 0, 0, 4]]])
    image, box = unlike(4), torch.tensor([[[0.0, 0, 3, 4]]])
    more = logits.clone()
    more[..., 3] += 1
    difference = BoxLoss(ANY_SHARE)(more, box, image) - BoxLoss(ANY_SHARE)(logits, box, image)
    expected = (F.softplus(torch.tensor([2.0, 3, 4, 5])) - F.softplus(torch.tensor([1.0, 2, 3, 4]))).mean()
    assert difference.item() == pytest.approx(expected.item(), rel=1e-5)


def test_without_a_box_only_the_outside_counts():
    torch.manual_seed(0)
    logits = torch.randn(2, 6, 6)
    expected = F.softplus(logits).mean().item()
    for boxes in (torch.zeros(2, 3, 4), torch.zeros(2, 0, 4), torch.tensor([[[2.0, 2, 3, 5]]] * 2)):  # too narrow
        assert BoxLoss((0.6, 0.8))(logits, boxes, torch.rand(2, 6, 6)).item() == pytest.approx(expected, rel=1e-6)


def test_a_box_is_tight_where_a_row_or_column_has_its_maximum():
    """On 4 x 4 pixels the greatest of each row is p, of each column p in the first column and else 0."""
    p = 0.75
    logits = torch.full((1, 4, 4), -100.0)
    logits[0, :, 0] = logit(p)
    filled = 1 - 2 * 4 * p / (4 * p**2 + 4)  # the rows
    bare = 1 - 2 * p / (p**2 + 4)  # the columns
    assert BoxLoss(ANY_SHARE)(logits, whole(4), unlike(4)).item() == pytest.approx(filled + bare, rel=1e-5)


def test_a_box_that_is_filled_wholly_is_no_loss_unless_it_is_too_full():
    logits = torch.full((1, 4, 4), 100.0)
    assert BoxLoss(ANY_SHARE)(logits, whole(4), unlike(4)).item() == pytest.approx(0, abs=1e-6)
    assert BoxLoss((0.6, 0.8))(logits, whole(4), unlike(4)).item() == pytest.approx(4 * 0.2, rel=1e-5)


@pytest.mark.parametrize(("share", "size"), [(0.5, 4 * 0.1), (0.6, 0), (0.7, 0), (0.8, 0), (0.9, 4 * 0.1)])
def test_a_share_of_the_box_outside_its_bounds_is_punished_by_four_times_the_difference(share, size):
    logits = torch.full((1, 4, 4), logit(share))
    bounded, free = (BoxLoss(fill)(logits, whole(4), unlike(4)) for fill in ((0.6, 0.8), ANY_SHARE))
    assert (bounded - free).item() == pytest.approx(size, abs=1e-5)


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
def test_neighbours_of_like_brightness_are_punished_for_how_probably_they_differ(p):
    logits = torch.full((1, 4, 4), logit(p))
    alike, free = (BoxLoss(ANY_SHARE)(logits, whole(4), image) for image in (torch.zeros(1, 4, 4), unlike(4)))
    assert (alike - free).item() == pytest.approx(-torch.tensor(p**2 + (1 - p) ** 2).log().item(), rel=1e-4)


def test_the_pairs_are_two_pixels_apart_and_only_those_of_like_brightness_count():
    """Of rows 0, 1, 2, 3 are compared 0 with 2 and 1 with 3; brightness in -1..1 differs twice as much as in 0..1."""
    logits = torch.zeros(1, 4, 4)
    logits[0, :2], logits[0, 2:] = 100, -100  # down the rows every pair differs
    image = unlike(4)
    free = BoxLoss(ANY_SHARE)(logits, whole(4), image)

    def affinity(step: float) -> float:
        """Of an image whose columns are unlike, and whose rows 2 and 3 are brighter than 0 and 1 by a step."""
        changed = torch.tensor([[-0.5, -0.5, 0.5, 0.5]] * 4)[None]
        changed[0, 2:] += step
        return (BoxLoss(ANY_SHARE)(logits, whole(4), changed) - free).item()

    assert affinity(2 * ALIKE_DIFFERENCE * 0.9) == pytest.approx(100 - torch.tensor(2.0).log().item(), rel=1e-4)
    assert affinity(2 * ALIKE_DIFFERENCE * 1.1) == pytest.approx(0, abs=1e-5)


def test_two_boxes_share_the_weight_of_one():
    torch.manual_seed(0)
    logits, image = torch.randn(1, 4, 4).repeat(1, 1, 2), unlike(8)[:, :4, :4].repeat(1, 1, 2)
    logits, image = logits.repeat(1, 2, 1), image.repeat(1, 2, 1)  # four times the same square
    squares = torch.tensor([[[x, y, x + 4, y + 4] for x in (0.0, 4.0) for y in (0.0, 4.0)]])
    alone = BoxLoss((0.6, 0.8))(logits[:, :4, :4], whole(4), image[:, :4, :4])
    assert BoxLoss((0.6, 0.8))(logits, squares, image).item() == pytest.approx(alone.item(), rel=1e-5)


def test_the_loss_of_a_batch_is_the_mean_over_its_images():
    torch.manual_seed(0)
    logits, images = torch.randn(3, 8, 8), torch.rand(3, 8, 8)
    boxes = torch.tensor([[[1.0, 1, 5, 6], [0, 0, 0, 0]], [[0, 0, 8, 8], [2, 2, 4, 4]], [[0, 0, 0, 0]] * 2])
    loss = BoxLoss((0.6, 0.8))
    each = [loss(logits[i : i + 1], boxes[i : i + 1], images[i : i + 1]).item() for i in range(3)]
    assert loss(logits, boxes, images).item() == pytest.approx(sum(each) / 3, rel=1e-5)


@pytest.fixture
def lung() -> torch.Tensor:
    """A tall ellipse, bool (64, 64), that takes 0.78 of its box, columns 16 to 40 and rows 8 to 56."""
    rows, columns = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    return ((columns - 28) / 12) ** 2 + ((rows - 32) / 24) ** 2 <= 1


def test_what_fits_the_box_is_better_than_nothing_all_a_shift_the_whole_box_and_a_part(lung):
    image = torch.where(lung, -0.6, 0.6)[None]
    boxes = torch.tensor([[[16.0, 8, 40, 56], [0, 0, 0, 0]]])
    answers = {
        "fits": lung,
        "empty": torch.zeros_like(lung),
        "all": torch.ones_like(lung),
        "shifted": lung.roll(8, dims=1),
        "shifted down": lung.roll(6, dims=0),
        "box": box_masks(boxes, 64)[0] > 0,
        "upper half": lung & (torch.arange(64) < 32)[:, None],
    }
    losses = {name: BoxLoss((0.6, 0.8))(8.0 * (2.0 * mask[None] - 1), boxes, image) for name, mask in answers.items()}
    assert min(losses, key=losses.get) == "fits"
    assert losses["fits"] < 0.01
    assert all(loss > 0.1 for name, loss in losses.items() if name != "fits")


def test_to_follow_the_loss_is_to_find_what_fits_the_box(lung):
    """From no idea, with the box and the image alone; the shape is known by its brightness."""
    image, boxes = torch.where(lung, -0.6, 0.6)[None], torch.tensor([[[16.0, 8, 40, 56]]])
    torch.manual_seed(0)
    logits = (0.01 * torch.randn(1, 64, 64)).requires_grad_()
    optimizer = torch.optim.Adam([logits], 0.2)
    for _ in range(60):
        optimizer.zero_grad()
        BoxLoss((0.6, 0.8))(logits, boxes, image).backward()
        optimizer.step()
    prediction = logits[0].detach() > 0
    box = box_masks(boxes, 64)[0] > 0
    assert not (prediction & ~box).any()
    assert prediction[box].float().mean() > 0.5


@pytest.mark.parametrize("value", [0.0, 60.0, -60.0])
def test_the_gradient_is_finite_at_any_logit(value):
    logits = torch.full((2, 16, 16), value, requires_grad=True)
    boxes = torch.tensor([[[2.0, 2, 12, 14], [0, 0, 16, 16]], [[0, 0, 0, 0], [0, 0, 0, 0]]])
    loss = BoxLoss((0.4, 0.65))(logits, boxes, torch.zeros(2, 16, 16))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_a_box_is_rows_and_columns_cut_at_the_image_and_none_under_two_pixels():
    boxes = torch.tensor([[1.4, 2.6, 5.5, 9.0], [-3, 4, 20, 6], [0, 0, 0, 0], [3, 3, 4, 9], [7, 9.6, 12, 15]])
    assert box_windows(boxes, 8) == [(slice(3, 8), slice(1, 6)), (slice(4, 6), slice(0, 8))]


def test_a_box_mask_is_one_inside_the_boxes_of_its_mask():
    boxes = torch.tensor([[[0.0, 0, 2, 2], [1, 1, 3, 4]], [[0, 0, 0, 0], [0, 0, 0, 0]]])
    first, second = box_masks(boxes, 4)
    assert first.dtype == torch.int8
    assert first.tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0]]
    assert not second.any()
