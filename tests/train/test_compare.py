import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hub_models.models.clip import ClipClassifier
from hub_models.models.labels import LABELS
from hub_models.models.unet import Segmenter
from hub_models.pipeline import XrayPipeline
from hub_models.xray.images import read_image
from tests.support import tiny_models
from train import compare
from train.networks.baseline_unet import new_segmenter
from train.scoring.predictions import load_record, outlines_scores

SCORES = ("iou", "dice", "precision", "recall", "average_precision")
AVERAGES = ("pooled", "pooled_all_images", "mean_per_image", "mean_all_images")
SEGMENTATION = {"images", "images_all", "intervals", "bootstrap", *(f"{s}_{a}" for s in SCORES for a in AVERAGES)}
HEALTHY = {"images", "share_marked", "share_marked_over_1_percent", "mean_marked_area", "intervals", "bootstrap"}
MEANS = ("precision", "recall", "f1", "auroc", "average_precision")
CLASSIFICATION = {"accuracy", "confusion", "no_answer", "ece", "brier", "intervals", "bootstrap"} | {
    f"{score}_{which}" for score in MEANS for which in ("macro", "per_class")
}
CLASSIFIERS = ("resnet", "clip_zero_shot", "clip_finetuned", "fusion", "clip_zero_shot_one_prompt", "hybrid_averaged")
ROLES = [name.replace("_", "-") for name in CLASSIFIERS]


def words(checkpoints, dataset, output_dir):
    """The command line that compares these checkpoints."""
    named = [word for role, path in checkpoints.items() for word in (f"--{compare.key(role)}", str(path))]
    return ["--dataset", str(dataset), "--output_dir", str(output_dir), *named]


@pytest.fixture(scope="module")
def output(tmp_path_factory, covid_qu_ex, checkpoints):
    """The output of a comparison on the test split of a folder that holds nothing else."""
    folder = tmp_path_factory.mktemp("test-only")
    for part in ("Lung Segmentation Data", "Infection Segmentation Data"):
        shutil.copytree(covid_qu_ex / part / part / "Test", folder / part / part / "Test")
    returned = compare.main(words(checkpoints, folder, folder / "out"))
    assert json.loads((folder / "out" / "metrics.json").read_text()) == returned
    return folder / "out"


@pytest.fixture(scope="module")
def metrics(output):
    return json.loads((output / "metrics.json").read_text())


def test_metrics_json_has_exactly_the_promised_shape(metrics):
    assert list(metrics) == ["split", "images", "unet", *CLASSIFIERS, "pairs", "sources", "costs"]
    assert (metrics["split"], metrics["images"]) == ("test", 6)
    assert set(metrics["unet"]) == {"lungs", "infection", "healthy", "by_class"}  # no boxes, no sources
    assert set(metrics["unet"]["lungs"]) == SEGMENTATION | {"hd95_mean_per_image"}
    assert set(metrics["unet"]["infection"]) == SEGMENTATION
    assert set(metrics["unet"]["healthy"]) == HEALTHY
    assert all(set(metrics[name]) == CLASSIFICATION for name in CLASSIFIERS)


def test_the_segmentation_is_measured_where_somebody_drew_something(metrics, covid_qu_ex):
    # The tiny UNet outlines everything as lungs: its IoU is the share of the image that the drawn lungs take.
    part = covid_qu_ex / "Infection Segmentation Data" / "Infection Segmentation Data" / "Test"
    shares = [np.asarray(Image.open(path)).mean() / 255 for path in part.glob("*/lung masks/*.png")]
    assert metrics["unet"]["lungs"]["images"] == len(shares) == 3
    assert metrics["unet"]["lungs"]["iou_mean_per_image"] == pytest.approx(np.mean(shares))
    assert metrics["unet"]["lungs"]["iou_pooled"] == pytest.approx(np.mean(shares))  # equal sizes
    infection = metrics["unet"]["infection"]
    assert (infection["images"], infection["images_all"]) == (2, 3)
    for name in ("iou_pooled", "iou_mean_per_image", "dice_mean_per_image", "recall_pooled_all_images"):
        assert infection[name] == 0.0
    assert infection["dice_mean_all_images"] == pytest.approx(1 / 3)  # the blank one is answered blank
    assert metrics["unet"]["healthy"]["images"] == 2
    assert metrics["unet"]["healthy"]["share_marked"] == 0.0


def test_predictions_are_those_of_the_pipeline_and_make_the_scores(output, metrics, covid_qu_ex, checkpoints):
    table = pd.read_csv(output / "predictions.csv")
    assert sorted(table["label"]) == sorted(LABELS * 2)
    pipeline = XrayPipeline.from_pretrained({role: str(folder) for role, folder in checkpoints.items()})
    row = table.iloc[3]
    report = pipeline(read_image(next(covid_qu_ex.glob(f"Lung*/Lung*/Test/*/images/{row['file']}"))))
    for role, answers in report.classifiers.items():
        probabilities = table[[f"{role}: {label}" for label in LABELS]]
        assert probabilities.iloc[3].tolist() == pytest.approx([answers[label] for label in LABELS], abs=1e-6)
        correct = [LABELS[best] for best in probabilities.to_numpy().argmax(axis=1)] == table["label"]
        assert metrics[compare.key(role)]["accuracy"] == pytest.approx(correct.mean())
        assert np.sum(metrics[compare.key(role)]["confusion"]) == 6


def test_the_report_shows_the_figures_with_what_they_were_measured_on(output, metrics):
    text = (output / "report.md").read_text()
    lungs = metrics["unet"]["lungs"]
    assert "# All checkpoints on the split test (6 images)" in text
    for average, words in (("pooled", "pooled over all pixels"), ("mean_per_image", "mean per image")):
        cells = " | ".join(f"{lungs[f'{score}_{average}']:.3f}" for score in SCORES)
        assert f"| unet | lungs | {words} | 3 | {cells} |" in text
    assert f"| unet | 3 | {lungs['hd95_mean_per_image']:.3f} |" in text
    assert "| unet | 2 | 0.000 | 0.000 | 0.000 |" in text  # healthy images, on which nothing is marked
    for role in ROLES:
        scores = metrics[compare.key(role)]
        (row,) = [line.split(" | ") for line in text.splitlines() if line.startswith(f"| {role} | 0.") and "(" in line]
        low, high = scores["intervals"]["accuracy"]
        assert row[1] == f"{scores['accuracy']:.3f} ({low:.2f}-{high:.2f})"
    assert "the accuracy with the lungs hidden" in text


def test_pairs_and_sources_follow_from_the_predictions(output, metrics):
    table = pd.read_csv(output / "predictions.csv")
    right = {
        role: table[[f"{role}: {label}" for label in LABELS]].to_numpy().argmax(axis=1)
        == np.array([LABELS.index(label) for label in table["label"]])
        for role in ROLES
    }
    (pair,) = [pair for pair in metrics["pairs"] if (pair["first"], pair["second"]) == ("resnet", "clip-finetuned")]
    assert pair["only_first"] == (right["resnet"] & ~right["clip-finetuned"]).sum()
    assert metrics["sources"] == [
        {"source": "not told", "images": 6} | {role: pytest.approx(hits.mean()) for role, hits in right.items()}
    ]


def test_sizes_and_times_are_those_of_the_checkpoints(metrics, checkpoints):
    for cost in metrics["costs"]:
        weights = checkpoints[cost["role"]] / "model.safetensors"
        assert cost["megabytes"] == weights.stat().st_size / 1e6
        assert cost["engine"] == ("those of its parts" if cost["role"] == "fusion" else "torch, float32")
        assert cost["milliseconds_median"] > 0


def test_every_classifier_gets_a_plot_of_its_confusion_matrix(output):
    for role in ROLES:
        picture = Image.open(output / f"confusion-{role}.png")
        assert picture.size == (624, 528)
        assert len(picture.convert("RGB").getcolors(1 << 16)) > 50


@pytest.mark.parametrize(("name", "size"), [("roc", (1512, 528)), ("pr", (1512, 528)), ("reliability", (624, 576))])
def test_curves_of_all_classifiers_are_drawn_together(output, name, size):
    picture = Image.open(output / f"{name}.png")
    assert picture.size == size
    assert len(picture.convert("RGB").getcolors(1 << 20)) > 50


def test_a_classifier_of_other_classes_is_named_and_left_out(tmp_path, covid_qu_ex, checkpoints, caplog):
    tiny_models.resnet(["Cat", "Dog"]).save_pretrained(tmp_path / "pets")
    named = words(checkpoints | {"resnet": tmp_path / "pets"}, covid_qu_ex, tmp_path)
    metrics = compare.main([*named, "--max_eval_samples", "3", "--split", "validation"])
    left = [*CLASSIFIERS[1:3], "clip_zero_shot_one_prompt"]
    assert list(metrics) == ["split", "images", "unet", *left, "pairs", "sources", "costs"]
    assert ("clip-zero-shot", "clip-finetuned") in [(pair["first"], pair["second"]) for pair in metrics["pairs"]]
    assert "Left out resnet: it scores Cat, Dog, and the data's classes are COVID-19, Non-COVID, Normal." in caplog.text
    assert "Left out fusion: The fusion was trained with another resnet than the one in use" in caplog.text


def test_probabilities_are_put_in_the_order_of_the_data(tmp_path, covid_qu_ex, checkpoints):
    swapped = tiny_models.resnet(["Normal", "COVID-19", "Non-COVID"])  # the same weights under other names
    swapped.save_pretrained(tmp_path / "swapped")
    named = words(checkpoints | {"resnet": tmp_path / "swapped"}, covid_qu_ex, tmp_path)
    compare.main([*named, "--max_eval_samples", "2"])
    table = pd.read_csv(tmp_path / "predictions.csv")
    image = read_image(next(covid_qu_ex.glob(f"Lung*/Lung*/Test/*/images/{table['file'][0]}")))
    expected = swapped(image, np.ones(image.shape, bool))
    assert table.loc[0, [f"resnet: {label}" for label in LABELS]].tolist() == pytest.approx(
        [expected[label] for label in LABELS], abs=2e-3
    )


def test_the_hybrid_is_the_mean_of_two_classifiers(output):
    table = pd.read_csv(output / "predictions.csv")
    for label in LABELS:
        mean = (table[f"resnet: {label}"] + table[f"clip-finetuned: {label}"]) / 2
        assert table[f"hybrid-averaged: {label}"].tolist() == pytest.approx(mean.tolist())


def test_the_zero_shot_clip_is_also_asked_one_sentence_a_class(output, covid_qu_ex, checkpoints):
    classifier = ClipClassifier.from_pretrained(checkpoints["clip-zero-shot"])
    table = pd.read_csv(output / "predictions.csv")
    image = read_image(next(covid_qu_ex.glob(f"Lung*/Lung*/Test/*/images/{table['file'][0]}")))
    lungs = Segmenter.from_pretrained(checkpoints["unet"])(image).lungs
    first = {label: sentences[:1] for label, sentences in classifier.prompts.items()}
    expected = classifier(image, lungs, first)
    probabilities = table.loc[0, [f"clip-zero-shot-one-prompt: {label}" for label in LABELS]].tolist()
    assert probabilities == pytest.approx([expected[label] for label in LABELS])
    assert probabilities != pytest.approx(
        table.loc[0, [f"clip-zero-shot: {label}" for label in LABELS]].tolist(), rel=1e-4
    )


def test_more_classifiers_are_measured_beside_the_others_under_their_own_names(tmp_path, covid_qu_ex, checkpoints):
    also = ["--also", f"again={checkpoints['clip-finetuned']}", f"deep={checkpoints['resnet']}"]
    metrics = compare.main([*words(checkpoints, covid_qu_ex, tmp_path), *also, "--max_eval_samples", "3"])
    assert metrics["again"] == metrics["clip_finetuned"]
    assert metrics["deep"]["confusion"] == metrics["resnet"]["confusion"]
    assert [cost["role"] for cost in metrics["costs"]][-2:] == ["again", "deep"]
    with pytest.raises(ValueError, match=r"^--also takes NAME=FOLDER, .*; nowhere is not that\.$"):
        compare.main([*words(checkpoints, covid_qu_ex, tmp_path), "--also", "nowhere"])


def test_a_baseline_is_measured_on_the_same_images_in_the_same_run(tmp_path, covid_qu_ex, checkpoints):
    new_segmenter(32).save_pretrained(tmp_path / "plain")
    file = next(covid_qu_ex.glob("Lung*/Lung*/Test/Non-COVID/images/*")).name
    box = {"name": "infection", "bndbox": {"xmin": 1, "ymin": 1, "xmax": 9, "ymax": 9}}
    (tmp_path / "boxes.json").write_text(json.dumps([{"filename": file, "object": [box]}]))
    named = [*words(checkpoints, covid_qu_ex, tmp_path / "out"), "--boxes", str(tmp_path / "boxes.json")]
    metrics = compare.main([*named, "--baseline", str(tmp_path / "plain")])
    assert [metrics[unet]["boxes"]["boxes"] for unet in ("unet", "unet_baseline")] == [1, 1]
    assert metrics["unet_baseline"]["lungs"]["images"] == metrics["unet"]["lungs"]["images"]
    record = load_record(tmp_path / "out", "outlines-unet_baseline.csv")
    again = outlines_scores(record)["lungs"]["iou_pooled"]
    assert again == pytest.approx(metrics["unet_baseline"]["lungs"]["iou_pooled"])
    assert "| unet_baseline | lungs | pooled over all pixels |" in (tmp_path / "out" / "report.md").read_text()
