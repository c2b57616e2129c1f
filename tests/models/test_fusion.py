"""The fusion of ResNet and CLIP: both answers weighed, its own parts only, free prompts still answered."""

import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hub_models.cards.facts import CardFacts
from hub_models.checkpoints.folder import weights_digest
from hub_models.models.fusion import FusionClassifier, NotJoined, directions
from hub_models.models.labels import LABELS
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models
from tests.support.datasets import dataset, rectangle
from train import fusion as script
from train.data.lungs import png
from train.data.rows import read_picture
from train.fusion import FusionTask

PHANTOM = draw_phantom(1, size=128)
IMAGE, LUNGS = PHANTOM.image.astype(np.float32) / 255, PHANTOM.lungs
PARTS = {"resnet": "a" * 64, "clip-finetuned": "b" * 64}


@pytest.fixture
def parts() -> tuple:
    return tiny_models.resnet(), tiny_models.clip()


@pytest.fixture
def two_classes(covid_qu_ex, tmp_path) -> Path:
    """The drawn data without one of the classes."""
    folder = shutil.copytree(covid_qu_ex, tmp_path / "data")
    for path in folder.rglob("Normal"):
        shutil.rmtree(path)
    (folder / "metadata.csv").unlink()
    return folder


@pytest.fixture
def fusion(parts) -> FusionClassifier:
    return FusionClassifier.new(*parts, PARTS)


def weigh(fusion: FusionClassifier, resnet: float, clip: float) -> None:
    """Give it weights."""
    with torch.no_grad():
        fusion.model.resnet_weight.fill_(resnet)
        fusion.model.clip_weight.fill_(clip)


def shares(powers: list[tuple[dict[str, float], float]]) -> dict[str, float]:
    """The product of some answers, each to a power, so that it sums to 1."""
    products = {label: float(np.prod([answer[label] ** power for answer, power in powers])) for label in powers[0][0]}
    return {label: product / sum(products.values()) for label, product in products.items()}


def test_untrained_it_answers_the_geometric_mean_of_both(fusion, parts):
    resnet, clip = (part(IMAGE, LUNGS) for part in parts)
    assert fusion(IMAGE, LUNGS) == pytest.approx(shares([(resnet, 0.5), (clip, 0.5)]), abs=1e-6)


def test_each_answer_counts_by_its_weight(fusion, parts):
    resnet, clip = (part(IMAGE, LUNGS) for part in parts)
    weigh(fusion, 1.7, 0.3)
    assert fusion(IMAGE, LUNGS) == pytest.approx(shares([(resnet, 1.7), (clip, 0.3)]), abs=1e-6)
    weigh(fusion, 0.0, 1.0)
    assert fusion(IMAGE, LUNGS) == pytest.approx(clip, abs=1e-6)


def test_classes_are_matched_by_name(parts):
    resnet = tiny_models.resnet(LABELS[::-1])
    joined = FusionClassifier.new(resnet, parts[1], PARTS)
    weigh(joined, 1.0, 0.0)
    assert joined(IMAGE, LUNGS) == pytest.approx(resnet(IMAGE, LUNGS), abs=1e-6)
    assert list(joined(IMAGE, LUNGS)) == list(LABELS)


def test_about_sentences_the_resnet_counts_as_far_as_they_differ_like_its_classes(fusion, parts):
    clip = parts[1]
    own = {label: clip.prompts[label] for label in reversed(LABELS)}
    weigh(fusion, 2.0, 1.0)
    assert fusion(IMAGE, LUNGS, own) == pytest.approx(fusion(IMAGE, LUNGS), abs=1e-6)
    same = {"a": ["a chest X-ray"], "b": ["a chest X-ray"]}  # which nobody can tell apart
    assert fusion(IMAGE, LUNGS, same) == pytest.approx({"a": 0.5, "b": 0.5})
    free = {"x": ["a chest"], "y": ["lungs", "a chest X-ray"]}
    heeds = fusion(IMAGE, LUNGS, free)
    weigh(fusion, 0.0, 1.0)
    assert fusion(IMAGE, LUNGS, free) == pytest.approx(clip(IMAGE, LUNGS, free), abs=1e-6)
    assert heeds != pytest.approx(clip(IMAGE, LUNGS, free), abs=1e-3)


def test_directions_give_opinions_back():
    generator = np.random.default_rng(0)
    texts = generator.normal(size=(4, 9)).astype(np.float32)
    opinions = generator.normal(size=(5, 4))
    again = opinions @ directions(texts) @ texts.T
    assert again - again.mean(axis=1, keepdims=True) == pytest.approx(
        opinions - opinions.mean(axis=1, keepdims=True), abs=1e-5
    )


def test_arrays_give_what_the_module_gives(fusion, parts):
    weigh(fusion, 0.8, 1.3)
    vectors = [part.embed(part.network_input(IMAGE, LUNGS)) for part in parts]
    classes, *logits = fusion.part_logits(*vectors)
    tensor = fusion.model(*map(torch.from_numpy, logits)).softmax(dim=-1)[0].tolist()
    assert fusion.answer(*vectors)[0] == pytest.approx(dict(zip(classes, tensor, strict=True)), abs=1e-6)


def test_saved_and_joined_again_it_gives_the_same_answer(fusion, parts, tmp_path):
    weigh(fusion, 0.8, 1.3)
    fusion.divide_logits(2.0)
    fusion.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    again = FusionClassifier.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"^The fusion is not joined"):
        again(IMAGE, LUNGS)
    again.join(*parts, PARTS)
    assert again.labels == list(LABELS)
    again.model.config.id2label = {0: "x", 1: "y", 2: "z"}  # the classes that it answers about are those of its CLIP
    assert again.labels == list(again(IMAGE, LUNGS))
    assert again(IMAGE, LUNGS) == pytest.approx(fusion(IMAGE, LUNGS), abs=2e-3)


def test_it_refuses_parts_that_it_was_not_trained_with(fusion, parts):
    with pytest.raises(
        ValueError, match=r"^The fusion was trained with another resnet than the one in use; use that, or"
    ):
        fusion.join(*parts, PARTS | {"resnet": "c" * 64})
    with pytest.raises(NotJoined, match="another resnet"):
        fusion(IMAGE, LUNGS)


def test_it_refuses_parts_that_do_not_choose_among_the_same_classes(parts):
    with pytest.raises(NotJoined, match=r"^The ResNet scores a, b, and the CLIP COVID-19, Non-COVID, Normal; a fusion"):
        FusionClassifier.new(tiny_models.resnet(["a", "b"]), parts[1], PARTS)
    parts[0].model.config.problem_type = "multi_label_classification"
    with pytest.raises(NotJoined, match="Normal, of which an X-ray may have several, and the CLIP"):
        FusionClassifier.new(*parts, PARTS)


def test_a_missing_tensor_is_refused(fusion, tmp_path):
    fusion.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors.pop("clip_weight")
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"missing keys clip_weight"):
        FusionClassifier.from_pretrained(tmp_path)


def test_dividing_the_logits_leaves_the_clip_alone(fusion, parts):
    before, own = fusion(IMAGE, LUNGS), parts[1](IMAGE, LUNGS)
    fusion.divide_logits(4.0)
    sharp, soft = np.log(list(before.values())), np.log(list(fusion(IMAGE, LUNGS).values()))
    assert np.diff(soft) == pytest.approx(np.diff(sharp) / 4, rel=1e-3)
    assert parts[1](IMAGE, LUNGS) == own


def test_the_weights_learn_which_part_to_trust(fusion):
    task = FusionTask(fusion)
    assert {name for name, _ in task.named_parameters()} == {"model.resnet_weight", "model.clip_weight"}
    labels = torch.arange(60) % 3
    right, chance = 2.0 * torch.eye(3)[labels], torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(task.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        losses.append(task(chance, right, labels)["loss"])
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] - 0.1
    assert task.model.clip_weight > 1.0
    assert abs(task.model.resnet_weight) < 0.3


def test_a_run_saves_a_checkpoint_that_names_its_parts(covid_qu_ex, checkpoints, tmp_path, capsys):
    named = ["--resnet", str(checkpoints["resnet"]), "--clip", str(checkpoints["clip-finetuned"])]
    words = ["--dataset", str(covid_qu_ex), "--unet", str(checkpoints["unet"]), *named, "--output_dir", str(tmp_path)]
    scores = script.main([*words, "--num_train_epochs", "2", "--use_cpu", "True"])
    facts = CardFacts.load(tmp_path / "release")
    assert (facts.role, facts.results["accuracy"]) == ("fusion", scores["accuracy"])
    assert "Both weights were learned from the 6 validation images" in (tmp_path / "release" / "README.md").read_text()
    fusion = FusionClassifier.from_pretrained(tmp_path / "release")
    assert fusion.model.config.parts == {
        role: weights_digest(checkpoints[role]) for role in ("resnet", "clip-finetuned")
    }
    assert fusion.calibration.temperature > 0
    assert capsys.readouterr().out.count("Outlining the lungs of train") == 0


def test_the_answers_to_learn_from_are_those_of_both_parts(fusion, parts):
    outline = rectangle(128, slice(20, 110))
    rows = dataset({"side": 128, "label": "Normal"}, {"side": 128, "label": "COVID-19"})
    rows = rows.add_column("lungs", [png(outline)] * 2, feature=datasets.Image())
    inputs = script.part_answers(rows, fusion)
    assert inputs["labels"][:].tolist() == [2, 0]
    for name, part in zip(("resnet_logits", "clip_logits"), parts, strict=True):
        answer = part(read_picture(rows[1]["image"]), outline)
        expected = [answer[label] for label in rows.features["label"].names]
        assert inputs[name][:][1].softmax(dim=-1).tolist() == pytest.approx(expected, abs=1e-5)


def test_data_of_other_classes_is_refused(two_classes, checkpoints, tmp_path):
    named = ["--resnet", str(checkpoints["resnet"]), "--clip", str(checkpoints["clip-finetuned"])]
    words = ["--dataset", str(two_classes), "--unet", str(checkpoints["unet"]), *named, "--output_dir", str(tmp_path)]
    with pytest.raises(ValueError, match=r"^The CLIP scores COVID-19, Non-COVID, Normal, and the data's classes are"):
        script.main(words)
