"""What the page remembers of outlined X-rays."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from hub_models.checkpoints.folder import Checkpoint
from hub_models.page.memory import Memory, Outlined, PackedMask
from hub_models.reports.description import Source
from hub_models.reports.overlay import SHOWN_SIDE, sketch
from hub_models.xray.geometry import to_square
from hub_models.xray.masks import Involvement, Masks

SOURCE = Source("0" * 64, ".png")
UNET = Checkpoint("unet", Path("unet"), "embedded", "embedded")


def outlined(side: int, seed: int = 0) -> tuple[np.ndarray, Masks, Outlined]:
    random = np.random.default_rng(seed)
    image = random.random((side, side), np.float32)
    lungs = np.zeros((side, side), bool)
    lungs[side // 4 : side // 2, side // 5 :] = True
    masks = Masks(lungs, lungs & (random.random((side, side)) > 0.5), 0.25)
    return image, masks, Outlined.of("a.png", SOURCE, UNET, image, to_square(image), masks, Involvement(0.5, None, 0.5))


def test_masks_come_back_bit_for_bit_whatever_their_size():
    for shape in ((1, 1), (33, 65), (256, 256)):
        mask = np.random.default_rng(1).random(shape) > 0.5
        assert np.array_equal(PackedMask.pack(mask).unpack(), mask)
    _, masks, kept = outlined(97)
    found = kept.masks.unpack()
    assert np.array_equal(found.lungs, masks.lungs)
    assert np.array_equal(found.infection, masks.infection)
    assert found.strangeness == 0.25


def test_an_overlay_is_drawn_from_what_is_remembered_as_from_the_picture_itself():
    image, masks, kept = outlined(300)
    drawn = sketch(image, masks)
    assert np.array_equal(kept.sketch.grey, drawn.grey)
    assert np.array_equal(kept.sketch.masks.lungs, drawn.masks.lungs)


def test_a_large_picture_takes_little_more_than_its_small_copy():
    image = np.zeros((6000, 6000), np.float32)
    mask = np.zeros((6000, 6000), bool)
    mask[1000:4000, 1000:4000] = True
    whole = Involvement(1.0, 1.0, 1.0)
    kept = Outlined.of("a.png", SOURCE, UNET, image, to_square(image), Masks(mask, mask), whole)
    assert kept.size < SHOWN_SIDE**2 + 200_000  # its pixels alone are 144 MB


def test_the_least_recently_used_go_first_and_the_cap_holds_for_all():
    _, _, kept = outlined(100)
    memory = Memory(max_bytes=3 * kept.size)
    keys = [memory.keep(replace(kept, path=str(number))) for number in range(3)]
    assert memory.find(keys[0]).path == "0"
    keys.append(memory.keep(kept))
    assert memory.find(keys[1]) is None
    assert [memory.find(key) is not None for key in (keys[0], keys[2], keys[3])] == [True] * 3
    assert memory.size <= memory.max_bytes


def test_keys_are_long_and_random_and_what_is_old_is_forgotten():
    _, _, kept = outlined(64)
    memory = Memory()
    keys = {memory.keep(kept) for _ in range(50)}
    assert len(keys) == 50
    assert min(map(len, keys)) >= 20
    memory.keep(replace(kept, made=time.monotonic() - 100))
    memory.forget(50)
    assert len(memory) == 50
    memory.forget(-1)
    assert len(memory) == 0
    assert memory.find(None) is None
