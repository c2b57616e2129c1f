"""X-rays that somebody corrected, kept so that training reads them."""

import json
from pathlib import Path

import numpy as np
import pytest

from hub_models.checkpoints.resolve import embedded
from hub_models.reports.corrections import RECORD_FILE, Corrected, write_record
from hub_models.reports.mask_files import run_lengths
from hub_models.xray.geometry import SIDE
from hub_models.xray.images import read_image
from hub_models.xray.mask_pictures import read_mask
from hub_models.xray.masks import Masks
from hub_models.xray.phantom import draw_phantom
from train.data.dataset import load


def corrected(seed: int = 1, size: int = SIDE, label: str | None = "COVID-19", remark: str = "") -> Corrected:
    """A phantom whose infection somebody drew over its upper half."""
    phantom = draw_phantom(seed, size=size, opacities=1)
    before = draw_phantom(seed, size=SIDE, opacities=1)
    upper = np.indices((SIDE, SIDE))[0] < SIDE // 2
    outlined = Masks(before.lungs, np.zeros_like(before.lungs))
    drawn = Masks(before.lungs, before.lungs & upper)
    return Corrected(np.float32(phantom.image / 255), drawn, outlined, label, remark, embedded("unet"), "0" * 64)


def test_a_record_is_read_by_training_with_the_same_pixels_masks_and_class(tmp_path):
    kept = corrected()
    folder = write_record(tmp_path / "corrections", kept)
    assert not list((tmp_path / "corrections.unfinished").iterdir())
    (row,) = load(str(tmp_path / "corrections"))["train"]
    assert np.array_equal(read_mask(row["lung_mask"]), kept.masks.lungs)
    assert np.array_equal(read_mask(row["infection_mask"]), kept.masks.infection)
    assert row["source"] == "corrections"
    assert load(str(folder.parent))["train"].features["label"].names == ["COVID-19"]
    assert np.abs(read_image(folder / "image.png") - read_image((kept.image * 255).astype(np.uint8))).max() < 0.01


def test_the_record_says_what_was_there_before_and_which_network_had_drawn_it(tmp_path):
    kept = corrected(remark="=1+1, sagt Änne\n")
    record = json.loads((write_record(tmp_path / "kept", kept) / RECORD_FILE).read_text(encoding="utf-8"))
    assert record["remark"] == "=1+1, sagt Änne\n"
    assert record["after"]["infection"] == run_lengths(kept.masks.infection)
    assert record["before"]["infection"] == run_lengths(kept.outlined.infection)
    assert (record["unet"]["name"], record["file_sha256"]) == ("embedded", "0" * 64)


@pytest.mark.parametrize("size", [100, 300])
def test_masks_have_the_size_of_the_image_whatever_they_were_drawn_at(tmp_path, size):
    kept = corrected(size=size)
    write_record(tmp_path / "kept", kept)
    (row,) = load(str(tmp_path / "kept"))["train"]
    mask = read_mask(row["infection_mask"])
    assert mask.shape == (size, size)
    assert mask.mean() == pytest.approx(kept.masks.infection.mean(), abs=0.01)


def test_several_records_in_one_folder_are_one_data_set_and_one_without_a_class_is_unlabelled(tmp_path):
    for seed, label in ((1, "COVID-19"), (2, None), (3, "Normal")):
        write_record(tmp_path / "kept", corrected(seed, label=label))
    rows = load(str(tmp_path / "kept"))["train"]
    names = rows.features["label"].names
    assert sorted(names[label] for label in rows["label"]) == ["COVID-19", "Normal", "unlabelled"]


def test_a_record_that_was_not_finished_is_not_part_of_the_data_set(tmp_path: Path, monkeypatch):
    write_record(tmp_path / "kept", corrected())
    monkeypatch.setattr(Path, "rename", lambda path, target: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_record(tmp_path / "kept", corrected(2))
    assert len(load(str(tmp_path / "kept"))["train"]) == 1
