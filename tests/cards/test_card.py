import copy
import io
import json
import re
from contextlib import redirect_stdout
from dataclasses import asdict, replace

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image
from transformers import AutoModel, AutoProcessor, pipeline

from hub_models.cards.card import render_card
from hub_models.cards.facts import CardFacts
from hub_models.cards.scores import metrics_of
from hub_models.checkpoints.choices import variable
from hub_models.checkpoints.roles import ROLES
from hub_models.models.labels import LABELS
from hub_models.models.resnet import ResnetClassifier
from hub_models.models.unet import Segmenter
from hub_models.xray.geometry import DETAIL
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models

MASK_SCORES = {
    "lungs": {"images": 17, "iou_pooled": 0.9012, "iou_mean_per_image": 0.8923, "dice_mean_per_image": 0.9434},
    "infection": {"images": 5, "iou_pooled": 0.4545, "iou_mean_per_image": 0.4156, "dice_mean_per_image": 0.5667},
}
CLASS_SCORES = {
    "accuracy": 0.7378,
    "precision_macro": 0.7189,
    "recall_macro": 0.7291,
    "f1_macro": 0.7213,
    "precision_per_class": [0.8123, 0.6234, 0.7345],
    "recall_per_class": [0.8456, 0.5567, 0.7678],
    "f1_per_class": [0.8289, 0.5891, 0.7512],
    "confusion": [[1181, 121, 131], [141, 1151, 161], [171, 181, 1191]],
    "auroc_macro": 0.8931,
    "average_precision_macro": 0.8642,
    "ece": 0.0413,
    "brier": 0.3514,
    "temperature": 1.3721,
    "ece_before": 0.0912,
    "brier_before": 0.3734,
    "set_level": 0.9,
    "set_least": 0.1731,
    "set_coverage": 0.9077,
    "set_size_mean": 1.2633,
    "set_sizes": [431, 115, 16],
}


def facts(role: str) -> CardFacts:
    """What a run of a role might have recorded; no two figures are alike."""
    labels = ["COVID-19", "Non-COVID", "Normal"]
    train, test = {labels[0]: 645, labels[1]: 1743, labels[2]: 524}, {labels[0]: 189, labels[1]: 221, labels[2]: 152}
    return CardFacts(
        role=role,
        architecture="a network of a few layers",
        base_model="someone/some-weights",
        parameters=6_123_457,
        labels=["lungs", "infection"] if role == "unet" else labels,
        image_size=224,
        view=None if role == "unet" else "lungs",
        data={
            "name": "chest X-rays in the COVID-QU-Ex layout",
            "fingerprint": "0123456789abcdef",
            "license": "cc-by-nc-sa-4.0",
            "citations": ["A. M. Tahir et al. 2021.", "J. P. Cohen et al. 2020."],
            "images": {"train": train, "test": test},
            "masks": {
                "train": {"lungs": 267, "infection drawn": 50, "infection blank": 40},
                "test": {"lungs": 82, "infection drawn": 18, "infection blank": 16},
            },
        },
        procedure={"epochs": 25, "learning rate": 0.00053, "optimizer": "adamw_torch_fused", "seed": 42},
        seconds=4021.0,
        hardware="2 CPU threads (x86_64)",
        results={"split": "test", "images": 562, "validation": {"dice": 0.6789}}
        | (MASK_SCORES if role == "unet" else CLASS_SCORES),
        notes=["Some images show children."],
    )


def numbers(value: object) -> list[int | float]:
    """Every number in nested facts."""
    if isinstance(value, dict):
        return numbers(list(value.values()))
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [] if isinstance(value, str | None) else [value]


def body(card: str) -> str:
    """A card without its metadata."""
    return card.split("\n---\n", 1)[1]


def table_cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]


def snippets(card: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", card, re.DOTALL)


@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_a_card_in_which_nothing_is_empty(role):
    card = render_card(facts(role))
    prose = re.sub(r"```.*?```", "code", body(card), flags=re.DOTALL)
    for leftover in ("{{", "{%", "None", "nan", "undefined", "[]", "()", "``", "|  |", "| |", "not measured\n"):
        assert leftover not in prose
    assert not re.search(r"^(#+ .*\n+(#|\Z)|- *$|.*: *\n+#)", prose, re.MULTILINE)
    assert "\n\n\n" not in card
    assert not re.search(r"[ \t]$", card, re.MULTILINE)
    tables = [table_cells(table) for table in re.findall(r"(?:^\|.*\n)+", prose, re.MULTILINE)]
    assert len(tables) == (5 if role == "unet" else 7)
    for head, line, *rows in tables:
        assert set(line) == {"---"}
        assert rows
        assert {len(row) for row in (line, *rows)} == {len(head)}
        assert all(all(row) for row in (head, *rows))


@pytest.mark.parametrize("role", ROLES)
def test_every_recorded_figure_stands_in_the_card(role):
    recorded = facts(role)
    text = body(render_card(recorded))
    for figure in numbers([recorded.data, recorded.results]):
        shown = f"{figure:,}" if isinstance(figure, int) else f"{figure:.3f}"
        assert re.search(rf"(?<![\d.,]){re.escape(shown)}(?![\d])", text), figure
    for value in [*recorded.procedure.values(), recorded.hardware, recorded.notes[0], "6,123,457", "67.0 minutes"]:
        assert str(value) in text
    counts = recorded.data["images"]["train"]
    assert f"| train | 645 | 1,743 | 524 | {sum(counts.values()):,} |" in text


@pytest.mark.parametrize("role", ROLES)
def test_a_figure_is_in_the_card_only_if_it_was_recorded(role):
    recorded = facts(role)
    text = re.sub(r"```.*?```|\(x86_64\)|## Citation.*", "", body(render_card(recorded)), flags=re.DOTALL)
    known = {f"{figure:,}" if isinstance(figure, int) else f"{figure:.3f}" for figure in numbers(asdict(recorded))}
    known |= {str(value) for value in recorded.procedure.values()} | {"67.0", "2"}  # minutes, CPU threads
    known |= {f"{sum(counts.values()):,}" for counts in recorded.data["images"].values()}
    known |= {f"{sum(row):,}" for row in recorded.results.get("confusion", [])} | {
        str(i + 1) for i in range(len(recorded.labels))
    }
    for word in (recorded.data["fingerprint"], recorded.data["license"], "COVID-19", "F1"):
        text = text.replace(word, "")
    assert set(re.findall(r"\d[\d.,]*\d|\d", text)) <= known


@pytest.mark.parametrize("role", ROLES)
def test_the_metadata_reads_back_with_the_recorded_values(role, tmp_path):
    recorded = facts(role)
    recorded.save(tmp_path)
    data = ModelCard.load(tmp_path / "README.md").data
    kind = ROLES[role]
    assert (data.license, data.library_name, data.pipeline_tag) == ("cc-by-nc-sa-4.0", kind.library, kind.pipeline_tag)
    assert (data.base_model, data.model_name) == ("someone/some-weights", kind.card_title)
    assert {"chest-x-ray", kind.tag} <= set(data.tags)
    assert {result.metric_type for result in data.eval_results} == set(data.metrics)
    assert {result.dataset_split for result in data.eval_results} == {"test"}
    shown = {result.metric_name: result.metric_value for result in data.eval_results}
    if role == "unet":
        averages = {
            "IoU, pooled over all pixels": "iou_pooled",
            "IoU, mean per image": "iou_mean_per_image",
            "Dice, mean per image": "dice_mean_per_image",
        }
        expected = {f"{mask}: {name}": MASK_SCORES[mask][key] for mask in MASK_SCORES for name, key in averages.items()}
    else:
        expected = {name: CLASS_SCORES[key] for key, (_, name) in metrics_of(role).items()}
        assert expected["accuracy"] == 0.7378
        assert expected["F1, macro average"] == 0.7213
        assert expected["Brier score, summed over the classes"] == 0.3514
    assert shown == expected


def test_a_base_model_in_words_is_told_but_is_no_metadata(tmp_path):
    replace(facts("unet"), base_model="ImageNet weights of EfficientNet-Lite0").save(tmp_path)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.base_model is None
    assert "- **Started from:** ImageNet weights of EfficientNet-Lite0\n" in card.text
    assert "- **Started from:** random weights\n" in render_card(replace(facts("unet"), base_model=None))


def test_a_data_set_of_the_hub_is_named_in_the_metadata(tmp_path):
    recorded = facts("resnet")
    recorded.data["name"] = "someone/x-rays"
    recorded.save(tmp_path)
    data = ModelCard.load(tmp_path / "README.md").data
    assert data.datasets == data.eval_results[0].dataset_type == "someone/x-rays"


@pytest.mark.parametrize("role", ROLES)
def test_facts_are_saved_and_loaded_unchanged(role, tmp_path):
    recorded = facts(role)
    recorded.save(tmp_path / "new" / "folder")
    assert CardFacts.load(tmp_path / "new" / "folder") == recorded
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {"metrics.json", "README.md"}


def test_numpy_figures_are_saved_as_plain_ones_and_missing_ones_as_not_measured(tmp_path):
    recorded = facts("unet")
    results = copy.deepcopy(recorded.results)
    results["lungs"]["iou_pooled"] = np.float32(0.75)
    results["lungs"]["images"] = np.int64(12)
    results["infection"] = {"images": 0} | dict.fromkeys(list(MASK_SCORES["lungs"])[1:], float("nan"))
    replace(recorded, results=results).save(tmp_path)

    saved = json.loads((tmp_path / "metrics.json").read_text())["results"]
    assert saved["lungs"]["iou_pooled"] == 0.75
    assert saved["lungs"]["images"] == 12
    assert saved["infection"]["iou_pooled"] is None
    card = ModelCard.load(tmp_path / "README.md")
    assert "| infection: Dice, mean per image | not measured | 0 |" in card.text
    assert len(card.data.eval_results) == 3


@pytest.mark.parametrize("role", ROLES)
def test_a_card_says_when_the_controls_are_not_measured_and_shows_them_when_they_are(role):
    warning = "They are not measured yet for this checkpoint"
    recorded = facts(role)
    assert warning in render_card(recorded)
    controls = {"accuracy with the lungs hidden": 0.6123, "lungs only": {"accuracy": 0.5932, "images": 77}}
    card = render_card(replace(recorded, results={**recorded.results, "controls": controls}))
    assert warning not in card
    assert "- accuracy with the lungs hidden: 0.612\n- lungs only: accuracy 0.593, images 77\n" in card


@pytest.mark.parametrize("role", ROLES)
def test_a_card_shows_answers_to_x_rays_stored_otherwise_once_they_are_measured(role):
    recorded = facts(role)
    plain = render_card(recorded)
    assert "stored otherwise" not in plain
    if role == "unet":
        one = {"infected_images": 148, "infected_median": 1.2512, "infected_percentile_95": None, "lungs_dice": 0.9871}
        figures, row = {"changes": {"gamma 1.2": one}}, "| gamma 1.2 | 1.251 | not measured | 148 | 0.987 |"
    else:
        one = {
            "changed": 0.0267,
            "accuracy": 0.8133,
            "intervals": {"changed": [0.0104, 0.0667], "accuracy": [0.7, 0.9]},
        }
        figures = {"accuracy": 0.8267, "intervals": {"accuracy": [0.7, 0.9]}, "changes": {"gamma 1.2": one}}
        row = "| gamma 1.2 | 0.027 | 0.010 to 0.067 | 0.813 |"
    measured = {"split": "test", "images": 150, "patients": 113, **figures}
    card = render_card(replace(recorded, results={**recorded.results, "invariance": measured}))
    start, end = card.index("### The same X-ray stored otherwise\n"), card.index("## Limits\n")
    section = card[start:end]
    assert card[:start] + card[end:] == plain
    assert f"|\n{row}\n" in section
    assert "Each of 150 X-rays of the test split (113 patients)" in section
    assert ("On the files as stored the accuracy is 0.827." in " ".join(section.split())) == (role != "unet")


@pytest.mark.parametrize("role", ROLES)
def test_a_card_says_that_it_is_no_medical_device_and_cites_its_sources(role):
    card = render_card(facts(role))
    own = {"unet": ("Ronneberger", "Iakubovskii"), "resnet": ("He,",)}.get(role, ("Radford",))
    for words in ("not a medical device", "the disease", "Tahir", "Cohen", *own):
        assert words in card


@pytest.mark.parametrize("role", ROLES)
def test_a_card_of_other_data_says_of_it_only_what_somebody_said(role):
    recorded = facts(role)
    counts = {"train": {"Healthy": 7, "Tuberculosis": 9}, "test": {"Healthy": 3, "Tuberculosis": 4}}
    data = {"name": "chest X-rays", "license": None, "fingerprint": "0123456789abcdef", "images": counts, "masks": {}}
    labels = recorded.labels if role == "unet" else list(counts["train"])
    card = render_card(replace(recorded, data=data, labels=labels, results={"split": "test", "images": 7}))
    assert not re.search("covid|tahir|cohen|licence|license", card, re.IGNORECASE)
    assert "None" not in re.sub(r"```python.*?```", "", card, flags=re.DOTALL)
    assert "Trained on chest X-rays (fingerprint `0123456789abcdef`). Images in each split:" in card
    said = {**data, "name": "TB of our clinic", "license": "cc-by-4.0", "citations": ["A. Body. *TB.* 2026."]}
    card = render_card(replace(recorded, data=said, labels=labels, results={"split": "test", "images": 7}))
    assert "license: cc-by-4.0\n" in card
    assert "Trained on TB of our clinic (" in card
    assert "\n## Citation\n\n- A. Body. *TB.* 2026.\n" in card


def test_a_unet_card_shows_four_figures_before_all_of_them():
    card = render_card(facts("unet"))
    short = card.index("| lungs | 17 | 0.901 | 0.892 | 0.943 |\n| infection | 5 | 0.455 | 0.416 | 0.567 |\n")
    assert short < card.index("| lungs: IoU, pooled over all pixels |")
    assert "All figures:" not in render_card(facts("resnet"))


@pytest.mark.parametrize("role", ["resnet", "clip-zero-shot", "clip-finetuned"])
@pytest.mark.parametrize("view", ["lungs", "crop", "full"])
def test_the_first_example_is_the_right_one(role, view):
    ours, public = "from hub_models import", "from transformers import"
    first, second = snippets(render_card(replace(facts(role), view=view)))
    if view == "full":
        first, second = second, first
    assert ours in first
    assert public in second


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_a_task_only_if_the_lines_that_the_hub_shows_for_it_run(role, checkpoints):
    tag = ROLES[role].pipeline_tag
    if tag is None:
        with pytest.raises(ValueError, match="xray-fusion"):
            pipeline("zero-shot-image-classification", model=str(checkpoints[role]))
        return
    if role == "unet":  # the Hub shows no lines for its library
        assert ROLES[role].library == "segmentation-models-pytorch"
        return
    words = {"candidate_labels": ["animals", "humans", "landscape"]} if role.startswith("clip") else {}
    answers = pipeline(tag, model=str(checkpoints[role]))(Image.fromarray(draw_phantom(0).image), **words)
    assert sum(answer["score"] for answer in answers) == pytest.approx(1, abs=1e-3)
    assert {answer["label"] for answer in answers} == set(words.get("candidate_labels", LABELS))
    if words:
        AutoModel.from_pretrained(checkpoints[role])
        AutoProcessor.from_pretrained(checkpoints[role])


def test_facts_of_an_unknown_role_or_with_a_licence_in_words_are_refused():
    with pytest.raises(ValueError, match="no card for the role 'vit'"):
        replace(facts("resnet"), role="vit")
    with pytest.raises(ValueError, match="write the Hub's id"):
        replace(facts("resnet"), data={**facts("resnet").data, "license": "CC BY 4.0"})


def run(code: str) -> str:
    """What a snippet prints."""
    with redirect_stdout(io.StringIO()) as out:
        exec(code, {})
    return out.getvalue().splitlines()[-1]


@pytest.mark.parametrize("role", ROLES)
def test_the_examples_of_a_card_run_and_agree(role, tmp_path, monkeypatch):
    recorded = facts(role) if role == "unet" else replace(facts(role), view="full")
    recorded = replace(recorded, detail=None if role == "fusion" else DETAIL)
    segmenter = tmp_path / "unet"
    Segmenter.new("resnet18", 32).save_pretrained(segmenter)
    folder = tmp_path / role
    if role == "resnet":
        ResnetClassifier.new(10, recorded.labels, "full", 32).save_pretrained(folder)
    elif role == "fusion":
        made = tiny_models.write_checkpoints(tmp_path / "all")
        folder = made["fusion"].rename(folder)
        for part in ("resnet", "clip-finetuned"):
            monkeypatch.setenv(variable(part), str(made[part]))
    elif role != "unet":
        classifier = tiny_models.clip(recorded.labels, "full")
        # One sentence a class: the public example reads the first only, ours averages them all.
        classifier.model.config.prompts = {label: [f"a chest X-ray of {label}"] for label in recorded.labels}
        classifier.save_pretrained(folder)
    recorded.save(folder)
    Image.fromarray(draw_phantom(0).image).save(folder / "xray.png")
    monkeypatch.setenv("XRAY_UNET", str(segmenter))
    monkeypatch.chdir(folder)

    *public, ours = map(run, snippets((folder / "README.md").read_text()))  # of the view full the public one first
    assert len(public) == (role != "fusion")  # no public library knows its network

    if role == "unet":
        assert re.fullmatch(r"\{'lungs': '[\d.]+% of the image', 'infection': '[\d.]+% of the image'\}", public[0])
        assert all(0 <= float(share) <= 1 for share in ours.split())
    elif role == "fusion":
        assert list(eval(ours)) == recorded.labels
    else:
        assert list(eval(public[0])) == recorded.labels
        assert eval(public[0]) == pytest.approx(eval(ours), abs=1e-5)


def test_a_card_says_how_much_the_nearer_sentences_of_a_class_count():
    recorded = facts("clip-zero-shot")
    assert "sentences of a class" not in render_card(recorded)
    sharp = replace(recorded, procedure=recorded.procedure | {"sentence sharpness": 12.5})
    assert "class gets log(mean(exp(12.5 c))) / 12.5\n" in render_card(sharp)


def test_a_card_of_a_model_for_several_findings_tells_each_and_no_accuracy():
    ranked = {"auroc_macro": 0.7311, "average_precision_macro": 0.2412, "auroc_per_class": [0.8123, 0.6512, None]}
    each = {"average_precision_per_class": [0.3123, 0.1722, None], "images_per_class": [55, 17, 0]}
    card = render_card(replace(facts("resnet"), results={"split": "test", "images": 562, **ranked, **each}))
    assert "| COVID-19 | 0.812 | 0.312 | 55 |" in card
    assert "| Normal | not measured | not measured | 0 |" in card
    assert "Confusion matrix" not in card
    assert "model(**inputs).logits.sigmoid()[0]" in card
    assert "| AUROC of each class against the others, macro average | 0.731 | 562 |" in card


GROUPS = {
    "boxes": {
        "images": 31,
        "boxes": 47,
        "share_hit": 0.7021,
        "hit_iou": 0.3,
        "intervals": {"share_hit": [0.5512, 0.8234]},
        "bootstrap": {"patients": 29, "resamples": 1000, "level": 0.95},
    },
    "by_class": {
        "COVID-19": {"lungs": {"images": 75, "dice_mean_per_image": 0.9571, "iou_pooled": 0.9182}},
        "Normal": {
            "lungs": {
                "images": 21,
                "dice_mean_per_image": 0.9672,
                "iou_pooled": 0.9363,
                "intervals": {"dice_mean_per_image": [0.95, 0.98], "iou_pooled": [0.91, 0.96]},
            },
            "healthy": {"images": 152, "share_marked_over_1_percent": 0.0197},
        },
    },
    "by_source": {"a children's hospital": {"healthy": {"images": 44, "share_marked_over_1_percent": 0.1136}}},
}


def test_a_unet_card_shows_boxes_that_are_hit_and_lungs_and_healthy_images_by_class_and_source():
    recorded = facts("unet")
    card = render_card(replace(recorded, results=recorded.results | GROUPS))
    assert "| boxes: drawn boxes that the outlined infection hits | 0.702 | 0.551 to 0.823 | 31 |\n" in card
    assert "47 on 31 images. A box is hit if" in card
    assert "with an IoU of at least 0.300. An\noutline" in card
    assert "| class COVID-19 | 75 | 0.957 | 0.918 | - | - |\n" in card
    assert "| class Normal | 21 | 0.967 (0.95-0.98) | 0.936 (0.91-0.96) | 152 | 0.020 |\n" in card
    assert "| source a children's hospital | - | - | - | 44 | 0.114 |\n" in card
    assert "Lungs and healthy images by class and source of the images, intervals in brackets." in card
    (table,) = [t for t in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE) if "class COVID-19" in t]
    assert {len(row) for row in table_cells(table)} == {6}
    assert not re.search(r"[ \t]$|\n\n\n", card, re.MULTILINE)


def test_a_unet_card_says_nothing_of_boxes_and_groups_that_were_not_scored():
    card = render_card(facts("unet"))
    assert "A box is hit" not in card
    assert "boxes: " not in card
    assert "Lungs and healthy images by" not in card
    classes = render_card(replace(facts("unet"), results=facts("unet").results | {"by_class": GROUPS["by_class"]}))
    assert "Lungs and healthy images by class of the images. Few" in classes
