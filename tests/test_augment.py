import pytest
import torch

from train.augment import Augmentation

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
    given = image.clone()
    for _ in range(20):
        changed, moved = Augmentation(0.5)(image, masks)
        assert (type(changed), changed.dtype, changed.shape) == (torch.Tensor, torch.float32, image.shape)
        assert (type(moved), moved.dtype, moved.shape) == (torch.Tensor, torch.int8, masks.shape)
        assert changed.min() >= 0
        assert changed.max() <= 1
        assert not torch.equal(changed, given)
    assert torch.equal(image, given)
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
