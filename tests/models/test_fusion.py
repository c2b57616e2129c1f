"""The fusion of ResNet and CLIP: identity before training, its own parts only, free prompts still answered."""

import datasets
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hub_models.cards.facts import CardFacts
from hub_models.checkpoints.folder import weights_digest
from hub_models.models.fusion import FusionClassifier, NotJoined, condition, shapes_of
from hub_models.models.labels import LABELS
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models
from tests.support.datasets import dataset, rectangle
from train import fusion as script
from train.data.augment import Augmentation
from train.data.lungs import png
from train.data.rows import read_picture
from train.fusion import FusionTask

PHANTOM = draw_phantom(1, size=128)
IMAGE, LUNGS = PHANTOM.image.astype(np.float32) / 255, PHANTOM.lungs
CHANGED = ["--copies", "1", "--storage", "1.0", "--balance", "0.5"]
PARTS = {"resnet": "a" * 64, "clip-finetuned": "b" * 64}


@pytest.fixture
def parts() -> tuple:
    return tiny_models.resnet(), tiny_models.clip()


@pytest.fixture
def fusion(parts) -> FusionClassifier:
    return FusionClassifier.new(*parts, PARTS, 512)


def bend(fusion: FusionClassifier) -> None:
    """Give an untrained one weights."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in (fusion.model.scale.weight, fusion.model.shift.weight):
            parameter.normal_(0, 0.1)


def test_untrained_it_answers_as_the_clip(fusion, parts):
    assert fusion(IMAGE, LUNGS) == pytest.approx(parts[1](IMAGE, LUNGS), abs=1e-6)
    prompts = {"a": ["a chest"], "b": ["lungs", "a chest X-ray"]}
    assert fusion(IMAGE, LUNGS, prompts) == pytest.approx(parts[1](IMAGE, LUNGS, prompts), abs=1e-6)


def test_trained_it_heeds_the_resnet_and_the_prompts(fusion, parts):
    bend(fusion)
    answer = fusion(IMAGE, LUNGS)
    assert answer != pytest.approx(parts[1](IMAGE, LUNGS), abs=1e-3)
    with torch.no_grad():
        parts[0].model.resnet.encoder.stages[-1].layers[-1].layer[0].convolution.weight.mul_(-3)
    assert fusion(IMAGE, LUNGS) != pytest.approx(answer, abs=1e-4)
    assert list(fusion(IMAGE, LUNGS, {"x": ["a chest"], "y": ["lungs"]})) == ["x", "y"]


def test_the_bent_embedding_is_what_the_formula_says(fusion):
    bend(fusion)
    features, embedding = torch.randn(2, 512), torch.nn.functional.normalize(torch.randn(2, 8), dim=-1)
    seen = torch.nn.functional.layer_norm(features, (512,))
    expected = embedding * (1 + seen @ fusion.model.scale.weight.T) + seen @ fusion.model.shift.weight.T
    expected = expected / expected.norm(dim=-1, keepdim=True)
    assert torch.allclose(fusion.model(features, embedding), expected, atol=1e-5)
    weights = {name: parameter.detach().numpy() for name, parameter in fusion.model.named_parameters()}
    assert {name: weight.shape for name, weight in weights.items()} == shapes_of(512, 8)
    np.testing.assert_allclose(condition(weights, features.numpy(), embedding.numpy()), expected.detach(), atol=1e-5)


def test_saved_and_joined_again_it_gives_the_same_answer(fusion, parts, tmp_path):
    bend(fusion)
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


def test_a_missing_tensor_is_refused(fusion, tmp_path):
    fusion.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors.pop("scale.weight")
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"missing keys scale\.weight"):
        FusionClassifier.from_pretrained(tmp_path)


def test_dividing_the_logits_leaves_the_clip_alone(fusion, parts):
    before, own = fusion(IMAGE, LUNGS), parts[1](IMAGE, LUNGS)
    fusion.divide_logits(4.0)
    sharp, soft = np.log(list(before.values())), np.log(list(fusion(IMAGE, LUNGS).values()))
    assert np.diff(soft) == pytest.approx(np.diff(sharp) / 4, rel=1e-3)
    assert parts[1](IMAGE, LUNGS) == own


def test_only_what_stands_between_the_parts_learns(fusion):
    task = FusionTask(fusion, label_smoothing=0.0, dropout=0.0)
    assert {name.split(".")[1] for name, _ in task.named_parameters()} == {"normalise", "scale", "shift", "logit_scale"}
    features, embeddings = torch.randn(4, 512), torch.nn.functional.normalize(torch.randn(4, 8), dim=-1)
    labels, answers = torch.tensor([0, 1, 2, 0]), torch.full((4, 3), 1 / 3)
    first = task(features, embeddings, labels, answers)["loss"]
    optimizer = torch.optim.Adam(task.parameters(), lr=0.05)
    for _ in range(30):
        optimizer.zero_grad()
        loss = task(features, embeddings, labels, answers)["loss"]
        loss.backward()
        optimizer.step()
    assert loss.item() < first.item() - 0.1


def test_it_learns_the_mean_answer_of_both_parts_where_that_is_right(fusion):
    features, embeddings = torch.randn(2, 512), torch.nn.functional.normalize(torch.randn(2, 8), dim=-1)
    answers = torch.tensor([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1]])
    labels = torch.tensor([0, 2])  # of the second image the mean answer is wrong
    task = FusionTask(fusion, label_smoothing=0.0, dropout=0.0, mean_teaches=True)
    output = task.train()(features, embeddings, labels, answers)
    hard, soft = (
        torch.nn.functional.cross_entropy(output["logits"], target, reduction="none") for target in (labels, answers)
    )
    expected = (0.3 * hard[0] + 0.7 * soft[0] + hard[1]) / 2
    assert output["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    output = task.eval()(features, embeddings, labels, answers)
    assert output["loss"].item() == pytest.approx(hard.mean().item(), rel=1e-5)


def test_a_run_saves_a_checkpoint_that_names_its_parts(covid_qu_ex, checkpoints, tmp_path):
    named = ["--resnet", str(checkpoints["resnet"]), "--clip", str(checkpoints["clip-finetuned"])]
    words = ["--dataset", str(covid_qu_ex), "--unet", str(checkpoints["unet"]), *named, "--output_dir", str(tmp_path)]
    scores = script.main([*words, "--max_steps", "2", "--use_cpu", "True", "--max_train_samples", "6", *CHANGED])
    facts = CardFacts.load(tmp_path / "release")
    assert (facts.role, facts.results["accuracy"]) == ("fusion", scores["accuracy"])
    fusion = FusionClassifier.from_pretrained(tmp_path / "release")
    assert fusion.model.config.parts == {
        role: weights_digest(checkpoints[role]) for role in ("resnet", "clip-finetuned")
    }
    assert fusion.calibration.temperature > 0


def test_changed_copies_follow_the_rows_with_the_same_classes(fusion):
    outline = rectangle(128, slice(20, 110))
    lungs = [png(outline)] * 2
    rows = dataset({"side": 128, "label": "Normal"}, {"side": 128, "label": "COVID-19"})
    rows = rows.add_column("lungs", lungs, feature=datasets.Image())
    flipped = Augmentation(flip=1.0)
    flipped.move = lambda image, lungs: (image.flip(-1), lungs.flip(-1))
    inputs = script.embedded(rows, fusion, flipped, copies=1)
    assert inputs["labels"][:].tolist() == [2, 0, 2, 0]
    features = inputs["features"][:]
    assert torch.equal(features[:2], script.embedded(rows, fusion)["features"][:])
    assert not torch.allclose(features[0], features[2], atol=1e-4)
    assert not torch.allclose(features[1], features[3], atol=1e-4)
    parts = [part(read_picture(rows[0]["image"]), outline) for part in fusion.encoders]
    mean = [np.mean([part[label] for part in parts]) for label in fusion.labels]
    assert inputs["answers"][0].tolist() == pytest.approx(mean, abs=1e-5)
    assert torch.equal(inputs["answers"][:2], inputs["answers"][2:])
