"""The rows of an epoch of the UNet, and its script with recipes and labels that `test_training` does not try."""

import csv
import io
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import set_seed

from hub_models.cards.facts import CardFacts
from hub_models.models.unet import Segmenter
from hub_models.publish.check import check_folder
from tests.support.datasets import dataset, rectangle
from train.data.dataset import load
from train.data.rows import has_mask, positions, read_mask
from train.data.selftraining import repeat_infected
from train.networks import baseline_unet
from train.networks.baseline_unet import OriginalUnet
from train.networks.encoders import load_encoder
from train.script.samples import TAG
from train.unet import UnetArguments, architecture, main, new_segmenter, training_rows

HALF, BLANK = rectangle(32, slice(0, 16)), rectangle(32, slice(0, 0))


@pytest.fixture(scope="module")
def rows() -> datasets.Dataset:
    """Of each kind of label one X-ray: what is drawn, boxed or not known of its lungs and its infection."""
    return dataset(
        {"side": 32, "label": "COVID-19", "file": "drawn", "lung_mask": HALF, "infection_mask": HALF},
        {"side": 32, "label": "Normal", "file": "blank", "lung_mask": HALF, "infection_mask": BLANK},
        {"side": 32, "label": "COVID-19", "file": "boxed", "infection_boxes": [[1, 2, 9, 8]]},
        {"side": 32, "label": "Non-COVID", "file": "looked at", "lung_boxes": [[1, 2, 9, 8]], "infection_boxes": []},
        {"side": 32, "label": "Normal", "file": "healthy"},
        {"side": 32, "label": "Non-COVID", "file": "unknown"},
    )


def times(rows: datasets.Dataset) -> dict[str, int]:
    """How often each file is shown."""
    files = rows["file"][:]
    return {file: files.count(file) for file in files}


def test_only_images_with_a_drawn_infection_are_repeated(covid_qu_ex):
    rows = load(str(covid_qu_ex))["train"]
    rows = rows.select(positions(rows, has_mask))
    repeated = repeat_infected(rows, 3)
    infected = {row["file"] for row in rows if row["infection_mask"] and read_mask(row["infection_mask"]).any()}
    assert len(infected) == 2
    assert times(repeated) == {file: 3 if file in infected else 1 for file in rows["file"]}


def test_a_boxed_infection_is_repeated_like_a_drawn_one(rows):
    expected = {"drawn": 4, "blank": 1, "boxed": 4, "looked at": 1, "healthy": 1, "unknown": 1}
    assert times(repeat_infected(rows, 4)) == expected
    assert repeat_infected(rows, 1)["file"][:] == rows["file"][:]


def test_an_epoch_holds_the_drawn_images_or_with_boxes_also_the_boxed_ones(rows):
    drawn_and_boxed = {
        "side": 32,
        "label": "COVID-19",
        "file": "both",
        "lung_mask": HALF,
        "infection_boxes": [[1, 2, 9, 8]],
    }
    (both,) = training_rows(dataset(drawn_and_boxed), UnetArguments(), 0)
    assert both["infection_boxes"] is None
    masks = training_rows(rows, UnetArguments(), 0)
    assert times(masks) == {"drawn": 3, "blank": 1}
    assert all(boxes is None for boxes in masks["lung_boxes"])
    boxed = training_rows(rows, UnetArguments(supervision="boxes", repeat_infected=2), 0)
    assert times(boxed) == {"drawn": 2, "blank": 1, "boxed": 2, "looked at": 1}
    assert all(mask is None for column in ("lung_mask", "infection_mask") for mask in boxed[column])
    boxes_of = dict(zip(boxed["file"], boxed["infection_boxes"], strict=True))
    assert boxes_of == {"drawn": [[0, 0, 16, 32]], "blank": [], "boxed": [[1, 2, 9, 8]], "looked at": []}


def test_with_boxes_a_share_of_the_outlines_stays_and_the_seed_draws_it():
    drawn = {"side": 32, "label": "COVID-19", "lung_mask": HALF}
    rows = dataset(*[drawn] * 8)

    def stay(seed: int) -> list[bool]:
        chosen = training_rows(rows, UnetArguments(supervision="boxes", outlines=0.25), seed)
        assert [mask is None for mask in chosen["lung_mask"]] == [boxes is not None for boxes in chosen["lung_boxes"]]
        return [mask is not None for mask in chosen["lung_mask"]]

    assert [sum(stay(seed)) for seed in range(3)] == [2, 2, 2]
    assert len({tuple(stay(seed)) for seed in range(5)}) > 1


@pytest.mark.parametrize(("share", "count"), [(0.01, 1), (0.25, 2), (0.5, 4), (1.0, 8)])
def test_a_share_of_the_labelled_images_is_drawn_by_the_seed_before_any_is_repeated(share, count):
    rows = dataset(*[{"side": 32, "label": "COVID-19", "infection_mask": HALF}] * 8)

    def drawn(seed: int) -> dict[str, int]:
        return times(training_rows(rows, UnetArguments(labelled_share=share), seed))

    assert [list(drawn(seed).values()) for seed in range(5)] == [[3] * count] * 5
    assert drawn(1) == drawn(1)
    assert (len({frozenset(drawn(seed)) for seed in range(5)}) > 1) == (share < 1)


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5])
def test_a_share_that_is_none_is_refused(rows, share):
    with pytest.raises(ValueError, match=rf"^--labelled_share is {share}; it takes more than 0, and at most 1\.$"):
        training_rows(rows, UnetArguments(labelled_share=share), 0)


def test_healthy_and_taught_images_are_added_once_the_labelled_ones_are_repeated(rows, checkpoints):
    healthy = training_rows(rows, UnetArguments(healthy=5), 0)
    assert times(healthy) == {"drawn": 3, "blank": 1, "healthy": 1}
    assert not read_mask(healthy[-1]["infection_mask"]).any()
    taught = training_rows(rows, UnetArguments(taught=9, teacher=str(checkpoints["unet"])), 0)
    assert times(taught) == {"drawn": 3, "blank": 1, "boxed": 1, "looked at": 1, "healthy": 1, "unknown": 1}
    assert all(read_mask(mask).all() for mask in taught["lung_mask"][4:])  # this teacher takes everything for lungs


def test_with_boxes_no_labelled_image_is_added_once_more_as_one_without_a_label(rows, checkpoints):
    arguments = UnetArguments(supervision="boxes", repeat_infected=1, taught=9, teacher=str(checkpoints["unet"]))
    expected = ["drawn", "blank", "boxed", "looked at", "healthy", "unknown"]
    assert times(training_rows(rows, arguments, 0)) == dict.fromkeys(expected, 1)


@pytest.mark.parametrize(("detail", "seen"), [(None, 192), (128, 128)])
def test_a_segmenter_sees_the_detail_that_is_asked_for_else_that_of_its_start(checkpoints, detail, seen):
    segmenter, _ = new_segmenter(
        UnetArguments(encoder="resnet18", encoder_weights="none", image_size=64, detail=detail)
    )
    assert segmenter.detail == seen
    segmenter, _ = new_segmenter(UnetArguments(encoder=baseline_unet.NAME, image_size=64, detail=detail))
    assert segmenter.detail == seen
    start = Segmenter.from_pretrained(checkpoints["unet"]).detail
    segmenter, _ = new_segmenter(UnetArguments(model_name_or_path=str(checkpoints["unet"]), detail=detail))
    assert segmenter.detail == (detail or start)


def test_lungs_are_outlined_from_the_detail_that_is_asked_for_else_that_of_the_start(checkpoints, tmp_path):
    segmenter, _ = new_segmenter(UnetArguments(model_name_or_path=str(checkpoints["unet"])))
    assert segmenter.lungs_detail is None
    segmenter, _ = new_segmenter(UnetArguments(model_name_or_path=str(checkpoints["unet"]), lungs_detail=128))
    assert segmenter.lungs_detail == 128
    segmenter.save_pretrained(tmp_path)
    segmenter, _ = new_segmenter(UnetArguments(model_name_or_path=str(tmp_path)))
    assert segmenter.lungs_detail == 128


def test_a_new_segmenter_is_of_the_encoder_that_is_asked_for(tmp_path):
    arguments = UnetArguments(encoder="resnet18", encoder_weights="none", image_size=64)
    weights = Segmenter.new("resnet18", 64).network.encoder.state_dict()
    torch.save(weights, tmp_path / "weights.pth")
    segmenter, words = new_segmenter(arguments)
    assert (segmenter.image_size, words) == (64, None)
    assert architecture(segmenter, arguments) == (
        "smp.Unet, encoder resnet18, one input channel, outputs lungs and infection"
    )
    arguments.encoder_weights = str(tmp_path / "weights.pth")
    segmenter, words = new_segmenter(arguments)
    assert words == load_encoder(segmenter.network, "resnet18", arguments.encoder_weights)
    assert torch.equal(segmenter.network.encoder.conv1.weight, weights["conv1.weight"])
    arguments.encoder = baseline_unet.NAME
    segmenter, words = new_segmenter(arguments)
    assert (type(segmenter.network), segmenter.image_size, words) == (OriginalUnet, 64, None)
    assert architecture(segmenter, arguments) == "OriginalUnet, one input channel, outputs lungs and infection"


def words(dataset: Path, output_dir: Path, *more: str) -> list[str]:
    """The command line of a run of two steps."""
    sizes = ["--max_eval_samples", "4", "--per_device_train_batch_size", "2", "--max_steps", "2", "--image_size", "32"]
    return ["--dataset", str(dataset), "--output_dir", str(output_dir), *sizes, *more]


def test_the_original_recipe_makes_a_checkpoint_that_loads_and_tells_its_settings(covid_qu_ex, tmp_path, capsys):
    results = main(words(covid_qu_ex, tmp_path, "--recipe", "original"))
    facts = CardFacts.load(tmp_path / "release")
    assert (facts.parameters, facts.base_model) == (8_556_418, None)
    assert facts.architecture == "OriginalUnet, one input channel, outputs lungs and infection"
    settings = {name: facts.procedure[name] for name in ("recipe", "encoder", "loss", "image size", "learning rate")}
    assert settings == {
        "recipe": "original",
        "encoder": "original",
        "loss": "bce",
        "image size": 32,  # said on the command line
        "learning rate": 1e-4,
    }
    assert facts.results["split"] == "test"
    assert results["lungs"] == facts.results["lungs"]
    assert {path.name for path in (tmp_path / "release").iterdir()} == {
        "config.json",
        "metrics.json",
        "model.safetensors",
        "predictions.csv",
        "preprocessor_config.json",
    }
    assert f"python -m train.compare --baseline {tmp_path / 'release'}\n" in capsys.readouterr().out
    loaded = baseline_unet.load_segmenter(tmp_path / "release")
    assert (type(loaded.network), loaded.image_size) == (OriginalUnet, 32)


def test_a_run_with_boxes_saves_its_average_and_what_it_chose_and_is_measured_where_it_is_told(covid_qu_ex, tmp_path):
    more = ["--encoder", "resnet18", "--encoder_weights", "none", "--supervision", "boxes", "--mirror", "true"]
    slow = ["--average_decay", "0.9999999", "--learning_rate", "0.1", "--seed", "5"]
    main(words(covid_qu_ex, tmp_path, *more, *slow, "--measure_on", "validation"))
    facts = check_folder(tmp_path / "release")
    assert facts.procedure["supervision"] == "boxes"
    assert (facts.results["split"], facts.results["images"]) == ("validation", 4)
    with (tmp_path / "release" / "predictions.csv").open(encoding="utf-8") as stream:
        assert [row["image"] for row in csv.DictReader(stream)] == ["0", "1", "2", "3"]
    with (tmp_path / "release_files.csv").open(encoding="utf-8") as stream:
        measured = {row["file"] for row in csv.DictReader(stream)}
    assert len(measured) == 4
    assert measured <= set(load(str(covid_qu_ex))["validation"]["file"])
    loaded = Segmenter.from_pretrained(tmp_path / "release")
    assert loaded.processor.mirror
    assert loaded.thresholds == {name: facts.procedure[f"threshold of {name}"] for name in ("lungs", "infection")}
    set_seed(5)
    first = Segmenter.new("resnet18", 32).network.encoder.conv1.weight  # from which so slow an average does not move
    torch.testing.assert_close(loaded.network.encoder.conv1.weight, first, atol=1e-3, rtol=0)


def test_tensorboard_gets_outlines_of_validation_images_each_time(covid_qu_ex, tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "log"))
    command = ["--dataset", str(covid_qu_ex), "--output_dir", str(tmp_path / "run"), "--encoder", "resnet18"]
    command += ["--encoder_weights", "none", "--image_size", "32", "--num_train_epochs", "2", "--max_eval_samples", "2"]
    main([*command, "--report_to", "tensorboard"])
    accumulator = EventAccumulator(str(tmp_path / "log"))
    accumulator.Reload()
    assert sorted(accumulator.Tags()["images"]) == [f"{TAG}/{number}" for number in range(2)]
    pictures = accumulator.Images(f"{TAG}/0")
    steps = [event.step for event in accumulator.Scalars("eval/dice")]
    assert [picture.step for picture in pictures] == steps
    assert len(set(steps)) >= 2
    drawn = np.array(Image.open(io.BytesIO(pictures[-1].encoded_image_string)))
    assert drawn.shape == (128, 128, 3)
    assert np.ptp(drawn.astype(int), axis=2).max() > 50  # an outline is coloured, an X-ray is grey
