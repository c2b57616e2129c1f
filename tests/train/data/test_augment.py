import pytest
import torch

from train.data.augment import Augmentation

SIDE = 96


def shape() -> torch.Tensor:
    """A bool L (1, 96, 96), which no mirroring or small turn brings back to where it was."""
    drawn = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    drawn[:, 20:70, 24:40] = drawn[:, 54:70, 24:66] = True
    return drawn


def overlap(first: torch.Tensor, second: torch.Tensor) -> float:
    """IoU of two bool masks."""
    return float((first & second).sum() / (first | second).sum())


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(8))
def test_masks_move_with_the_image(flip, seed):
    torch.manual_seed(seed)
    drawn = shape()
    masks = torch.cat([drawn, ~drawn]).to(torch.int8)
    image, (inside, outside) = Augmentation(flip)(0.1 + 0.8 * drawn.float(), masks)
    # A mask that lies one pixel off would leave an overlap of 0.93.
    assert overlap(image[0] > (image.min() + image.max()) / 2, inside > 0) > 0.95
    assert not ((inside > 0) & (outside > 0)).any()
    assert overlap(drawn[0], inside > 0) < 0.9


def test_the_mirror_image_is_made_with_the_probability_that_is_asked_for():
    drawn = shape()

    def is_mirrored(flip: float) -> bool:
        _, (mask,) = Augmentation(flip)(drawn.float(), drawn.to(torch.int8))
        return overlap(drawn[0].flip(-1), mask > 0) > overlap(drawn[0], mask > 0)

    torch.manual_seed(0)
    assert [is_mirrored(0.0) for _ in range(20)] == [False] * 20
    assert [is_mirrored(1.0) for _ in range(20)] == [True] * 20
    assert 5 <= sum(is_mirrored(0.5) for _ in range(20)) <= 15


def test_an_image_keeps_dtype_range_and_shape_and_is_not_changed_in_place():
    torch.manual_seed(0)
    image, masks = torch.rand(1, SIDE, 64), torch.ones(2, SIDE, 64, dtype=torch.int8)
    copy = image.clone()
    for _ in range(20):
        changed, moved = Augmentation(0.5)(image, masks)
        assert (type(changed), changed.dtype, changed.shape) == (torch.Tensor, torch.float32, image.shape)
        assert (type(moved), moved.dtype, moved.shape) == (torch.Tensor, torch.int8, masks.shape)
        assert changed.min() >= 0
        assert changed.max() <= 1
        assert not torch.equal(changed, copy)
    assert torch.equal(image, copy)
    assert masks.all()


def test_a_mask_holds_its_own_values_and_zero_where_the_image_moved_away():
    torch.manual_seed(0)
    masks = torch.stack([torch.full((SIDE, SIDE), -1), shape()[0].long()]).to(torch.int8)
    seen = [set(), set()]
    for _ in range(20):
        _, moved = Augmentation(0.5)(torch.rand(1, SIDE, SIDE), masks)
        for values, mask in zip(seen, moved, strict=True):
            values.update(mask.unique().tolist())
        assert (moved[0] == -1).float().mean() > 0.6
    assert seen == [{-1, 0}, {0, 1}]


def test_one_seed_is_one_augmentation():
    def augmented(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat(Augmentation(0.5)(shape().float(), shape().to(torch.int8)))

    assert torch.equal(augmented(3), augmented(3))
    assert not torch.equal(augmented(3), augmented(4))


TALL = [40.0, 24, 56, 72]  # x0, y0, x1, y1 around the middle of the image


def ellipse() -> torch.Tensor:
    """An int8 mask (1, 96, 96) that fills `TALL` from edge to edge."""
    rows, columns = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    return (((columns - 48) / 8) ** 2 + ((rows - 48) / 24) ** 2 <= 1)[None].to(torch.int8)


def around(mask: torch.Tensor) -> torch.Tensor:
    """The smallest box around a mask, float32 (4,)."""
    rows, columns = mask[0].any(dim=1).nonzero(), mask[0].any(dim=0).nonzero()
    return torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()


def moved_box(augmentation: Augmentation, seed: int, box: list[float] = TALL) -> tuple[torch.Tensor, torch.Tensor]:
    """A box, float32 (4,), and the smallest around the mask that filled it, moved together."""
    torch.manual_seed(seed)
    _, mask, boxes = augmentation(torch.rand(1, SIDE, SIDE), ellipse(), torch.tensor([box]))
    return boxes[0], around(mask)


def test_an_upright_box_stays_the_smallest_around_what_it_was_around():
    pairs = [moved_box(Augmentation(0.5, upright=True), seed) for seed in range(20)]
    assert max((box - expected).abs().max() for box, expected in pairs) <= 1
    assert min((box - torch.tensor(TALL)).abs().max() for box, _ in pairs) > 0
    for box, _ in pairs:
        assert ((box[3] - box[1]) / (box[2] - box[0])).item() == pytest.approx(48 / 16, rel=1e-4)  # nothing is turned


def test_a_box_that_is_turned_becomes_wider_than_what_is_in_it():
    pairs = [moved_box(Augmentation(0.5), seed) for seed in range(20)]
    surplus = torch.stack([(box[2] - box[0]) - (found[2] - found[0]) for box, found in pairs])
    assert surplus.min() > -1
    assert surplus.max() > 4


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_strength_is_the_factor_of_how_far_a_box_is_shifted_and_zoomed(strength):
    boxes = torch.stack([moved_box(Augmentation(0.0, strength, upright=True), seed)[0] for seed in range(40)])
    shift = (boxes[:, :2] + boxes[:, 2:]).sub(SIDE).abs().max() / 2  # of the middle, which zooming leaves where it is
    zoom = ((boxes[:, 3] - boxes[:, 1]) / 48 - 1).abs().max()
    # Shifts are whole pixels; the largest of 40 draws lies in the upper part of what is allowed
    assert 0.8 * 0.06 * strength * SIDE - 0.5 <= shift <= 0.06 * strength * SIDE + 0.5
    assert 0.8 * 0.15 * strength <= zoom <= 0.15 * strength + 1e-4


def test_without_strength_nothing_moves():
    image, masks, boxes = torch.rand(1, SIDE, SIDE), shape().to(torch.int8), torch.tensor([TALL])
    for seed in range(10):
        torch.manual_seed(seed)
        _, mask, box = Augmentation(0.0, 0.0)(image, masks, boxes)
        assert torch.equal(mask, masks)
        assert torch.equal(box, boxes)


def test_exposure_varies_with_strength():
    grey = torch.full((1, SIDE, SIDE), 0.5)

    def spread(strength: float) -> float:
        torch.manual_seed(0)
        means = [Augmentation(0.0, strength).expose(grey).mean().item() for _ in range(30)]
        return max(means) - min(means)

    assert spread(0.0) == pytest.approx(0, abs=1e-6)
    assert 0.05 < spread(0.5) < 0.11  # brightness 0.9 to 1.1 of a half
    assert 0.1 < spread(1.0) < 0.21


def test_boxes_are_mirrored_with_the_image_and_cut_at_its_border():
    mirrored = moved_box(Augmentation(1.0, 0.0), 0, [10, 20, 30, 90])[0]
    assert mirrored.tolist() == [SIDE - 30, 20, SIDE - 10, 90]
    for seed in range(10):
        whole = moved_box(Augmentation(0.5, upright=True), seed, [0, 0, SIDE, SIDE])[0]
        assert whole.min() >= 0
        assert whole.max() <= SIDE
        assert (whole[2:] - whole[:2]).min() > 0.7 * SIDE


def test_an_empty_box_stays_empty_and_boxes_keep_their_type():
    boxes = torch.tensor([TALL, [0.0] * 4])
    for seed in range(10):
        torch.manual_seed(seed)
        _, moved = Augmentation(0.5, upright=True)(torch.rand(1, SIDE, SIDE), boxes)
        assert (type(moved), moved.dtype, moved.shape) == (torch.Tensor, torch.float32, boxes.shape)
        assert torch.equal(moved[1, :2], moved[1, 2:])
    assert boxes[0].tolist() == TALL
