import json

import numpy as np
from PIL import Image

from hub_models.checkpoints.folder import Checkpoint
from hub_models.models.unet import Masks
from hub_models.reports.mask_files import describe_masks, run_lengths, write_masks
from hub_models.xray.masks import measure_involvement
from hub_models.xray.phantom import draw_phantom

PHANTOM = draw_phantom(3, size=128, opacities=3)
MASKS = Masks(PHANTOM.lungs, PHANTOM.infection)
INVOLVEMENT = measure_involvement(PHANTOM.lungs, PHANTOM.infection)


def decoded(rle: dict) -> np.ndarray:
    """What COCO's tools make of run lengths."""
    height, width = rle["size"]
    values = np.repeat(np.arange(len(rle["counts"])) % 2 == 1, rle["counts"])
    return values.reshape(width, height).T


def checkpoint(tmp_path) -> Checkpoint:
    return Checkpoint("unet", tmp_path, "hub", "someone/unet", "c0ffee" * 6 + "c0ff")


def test_run_lengths_go_down_the_columns_and_start_with_zeros():
    mask = np.array([[0, 1, 1], [0, 1, 0]], bool)
    assert run_lengths(mask) == {"size": [2, 3], "counts": [2, 3, 1]}
    assert run_lengths(~mask) == {"size": [2, 3], "counts": [0, 2, 3, 1]}
    assert run_lengths(np.zeros((2, 3), bool)) == {"size": [2, 3], "counts": [6]}


def test_run_lengths_hold_the_whole_mask():
    for mask in (PHANTOM.lungs, PHANTOM.infection, ~PHANTOM.lungs):
        assert np.array_equal(decoded(run_lengths(mask)), mask)


def test_the_description_tells_areas_shares_grades_and_the_checkpoint(tmp_path):
    told = describe_masks(MASKS, INVOLVEMENT, checkpoint(tmp_path))
    parts = {name: decoded(part["rle"]) for name, part in told["masks"].items()}
    assert np.array_equal(parts["right_lung"] | parts["left_lung"], PHANTOM.lungs)
    assert {name: part["pixels"] for name, part in told["masks"].items()} == {
        name: int(mask.sum()) for name, mask in parts.items()
    }
    assert told["infected_share"] == {
        "right": INVOLVEMENT.right,
        "left": INVOLVEMENT.left,
        "both": INVOLVEMENT.both,
    }
    assert told["extent_grade"].keys() == {"right", "left"}
    assert told["strangeness"] is None
    assert told["checkpoint"] == {"origin": "hub", "name": "someone/unet", "revision": "c0ffee" * 6 + "c0ff"}
    assert "not a medical device" in told["disclaimer"]


def test_the_files_are_lossless_and_small_enough_to_keep(tmp_path):
    paths = write_masks(tmp_path, "", MASKS, MASKS.lungs.shape, INVOLVEMENT, checkpoint(tmp_path))
    assert [path.name for path in paths] == ["lungs.png", "infection.png", "masks.json"]
    assert np.array_equal(np.asarray(Image.open(paths[0])), PHANTOM.lungs * np.uint8(255))
    assert np.array_equal(np.asarray(Image.open(paths[1])), PHANTOM.infection * np.uint8(255))
    assert json.loads(paths[2].read_text()) == describe_masks(MASKS, INVOLVEMENT, checkpoint(tmp_path))
