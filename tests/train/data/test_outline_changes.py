import numpy as np
import torch
from scipy import ndimage

from hub_models.xray.phantom import draw_phantom
from train.data.outline_changes import outlined_otherwise

LUNGS = draw_phantom(0).lungs


def test_the_outline_moves_in_and_out_by_a_pixel_or_two_and_nothing_else():
    torch.manual_seed(0)
    others = [outlined_otherwise(LUNGS) for _ in range(20)]
    inside, beyond = ndimage.binary_erosion(LUNGS, iterations=6), ndimage.binary_dilation(LUNGS, iterations=4)
    areas = [other.sum() / LUNGS.sum() for other in others]
    for other in others:
        assert other.dtype == bool
        assert other[inside].all()
        assert not other[~beyond].any()
    assert min(areas) < 0.99
    assert max(areas) > 1.01
    dice = [2 * (other & LUNGS).sum() / (other.sum() + LUNGS.sum()) for other in others]
    assert 0.93 < np.mean(dice) < 0.995


def test_the_same_seed_moves_it_alike():
    moved = []
    for _ in range(2):
        torch.manual_seed(1)
        moved.append(outlined_otherwise(LUNGS))
    assert np.array_equal(*moved)


def test_lungs_that_would_vanish_stay():
    torch.manual_seed(0)
    tiny = np.zeros((64, 64), bool)
    tiny[30, 30] = True
    assert all(np.array_equal(outlined_otherwise(tiny), tiny) for _ in range(10))
