"""Trainings that learn from what visitors corrected, too."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hub_models.checkpoints.resolve import embedded
from hub_models.models.unet import Segmenter
from hub_models.reports.corrections import Corrected, write_record
from hub_models.xray.images import read_image
from hub_models.xray.masks import Masks
from hub_models.xray.phantom import Phantom, draw_phantom
from train.data.arguments import DataArguments
from train.data.dataset import load_splits
from train.unet import main

SIDE = 64


def drawn(seed: int) -> Phantom:
    return draw_phantom(seed, size=SIDE, opacities=3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """X-rays of which somebody drew the lungs, but no infection."""
    folder = tmp_path_factory.mktemp("data")
    lines = ["file_name,label,split,lung_mask_file_name"]
    for seed, split in enumerate(["train"] * 8 + ["validation"] * 2 + ["test"] * 2):
        phantom = draw_phantom(seed, size=SIDE)
        Image.fromarray(phantom.image).save(folder / f"{seed}.png")
        Image.fromarray(phantom.lungs).save(folder / f"{seed}-lungs.png")
        lines.append(f"{seed}.png,COVID-19,{split},{seed}-lungs.png")
    (folder / "metadata.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def corrections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty X-rays on which visitors drew the infection."""
    folder = tmp_path_factory.mktemp("work") / "corrections"
    for seed in range(100, 120):
        phantom, blank = drawn(seed), np.zeros((SIDE, SIDE), bool)
        masks, before = Masks(phantom.lungs, phantom.infection), Masks(phantom.lungs, blank)
        image = np.float32(phantom.image / 255)
        write_record(folder, Corrected(image, masks, before, None, "", embedded("unet"), "0" * 64))
    return folder


def dice(segmenter: Segmenter, seeds: range) -> float:
    """The mean Dice of the infection of X-rays that nobody trained on."""
    scores = []
    for seed in seeds:
        phantom = drawn(seed)
        found = segmenter(read_image(phantom.image)).at(phantom.infection.shape).infection
        scores.append(2 * (found & phantom.infection).sum() / max(1, found.sum() + phantom.infection.sum()))
    return float(np.mean(scores))


def test_twenty_corrections_improve_the_dice_on_x_rays_that_nobody_trained_on(data, corrections, tmp_path):
    common = [
        "--dataset",
        str(data),
        "--encoder",
        "tu-mobilenetv3_small_050",
        "--encoder_weights",
        "none",
        "--image_size",
        str(SIDE),
    ]
    common += ["--max_steps", "40", "--per_device_train_batch_size", "8", "--learning_rate", "5e-3"]
    common += ["--average_decay", "0.8", "--augmentation", "0", "--early_stopping_patience", "0", "--use_cpu", "True"]
    common += ["--save_strategy", "no", "--eval_strategy", "no", "--load_best_model_at_end", "False"]
    reached = {}
    for name, more in {"without": [], "with": ["--corrections", str(corrections)]}.items():
        main([*common, *more, "--output_dir", str(tmp_path / name)])
        reached[name] = dice(Segmenter.from_pretrained(tmp_path / name / "release"), range(200, 210))
    assert reached["with"] > reached["without"] + 0.15, reached


def test_a_classifier_learns_from_corrected_classes_and_leaves_out_what_has_none(data, corrections, tmp_path):
    phantom = drawn(1)
    image, masks = np.float32(phantom.image / 255), Masks(phantom.lungs, phantom.infection)
    for label in ("COVID-19", "Pleural effusion"):
        write_record(tmp_path / "kept", Corrected(image, masks, masks, label, "", embedded("unet"), "0" * 64))
    arguments = DataArguments(str(data), corrections=str(tmp_path / "kept"))
    assert [len(load_splits(arguments, ["train"], labelled=labelled)["train"]) for labelled in (True, False)] == [9, 10]
    several = DataArguments(str(data), corrections=str(corrections), multi_label=True, label_column="label")
    with pytest.raises(ValueError, match="leave them out with --multi_label"):
        load_splits(several, ["train"])
