"""What CLIP learns from: prompts of the classes, or captions in which all images of one finding are right."""

import pytest
import torch
from torch.nn import functional as F

from tests import tiny
from train.arguments import XrayTrainingArguments
from train.augment import Augmentation
from train.clip import CaptionCollator, CaptionRows, CaptionTask, ClipArguments, PromptTask, make_trainer, temperature
from train.data import load
from train.evaluation import outline_lungs


@pytest.fixture
def classifier():
    return tiny.clip()


@pytest.fixture
def pixels():
    torch.manual_seed(3)
    return torch.randn(4, 3, 32, 32)


def test_evaluation_scores_an_image_against_the_mean_of_each_class_prompts(classifier, pixels):
    task = PromptTask(classifier).eval()
    labels = torch.tensor([0, 1, 2, 0])
    with torch.no_grad():
        images = classifier.embed_images(pixels)
        classes = torch.stack(
            [
                F.normalize(classifier.embed_texts(classifier.tokens(t)).mean(0), dim=0)
                for t in classifier.prompts.values()
            ]
        )
        expected = temperature(classifier.model) * images @ classes.T
        output = task(pixel_values=pixels, labels=labels)
    assert torch.allclose(output["logits"], expected, atol=1e-5)
    assert output["loss"].item() == pytest.approx(F.cross_entropy(expected, labels).item(), rel=1e-5)


def test_training_draws_one_prompt_a_class(classifier, pixels):
    task = PromptTask(classifier).train()
    torch.manual_seed(0)
    with torch.no_grad():
        drawn = torch.stack([task(pixels, torch.zeros(4, dtype=torch.long))["logits"] for _ in range(12)])
    for i, texts in enumerate(classifier.prompts.values()):
        with torch.no_grad():
            each = F.normalize(classifier.embed_texts(classifier.tokens(texts)), dim=-1)
            allowed = temperature(classifier.model) * classifier.embed_images(pixels) @ each.T
        distance = (drawn[:, :, i, None] - allowed[None]).abs().amax(dim=1)
        assert distance.min(dim=1).values.max() < 1e-4  # every draw is one of the prompts
        assert len(set(distance.argmin(dim=1).tolist())) > 1  # and not always the same


def test_captions_of_one_finding_are_no_negatives_of_one_another(classifier, pixels):
    task = CaptionTask(classifier).eval()
    tokens = classifier.tokens(["a chest X-ray", "COVID-19 lungs", "Normal lungs", "a X-ray"])
    with torch.no_grad():
        logits = temperature(classifier.model) * (classifier.embed_images(pixels) @ classifier.embed_texts(tokens).T)
        alike = task(pixel_values=pixels, findings=torch.tensor([0, 0, 1, 2]), **tokens)["loss"]
        distinct = task(pixel_values=pixels, findings=torch.arange(4), **tokens)["loss"]
    target = torch.eye(4)
    expected = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    assert distinct.item() == pytest.approx(expected.item(), rel=1e-5)
    target[:2, :2] = 0.5
    expected = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    assert alike.item() == pytest.approx(expected.item(), rel=1e-5)


def test_training_sometimes_shortens_a_caption_to_its_finding_and_evaluation_never(classifier, covid_qu_ex):
    rows = outline_lungs(load(str(covid_qu_ex))["validation"], tiny.unet())
    batch = rows[:]
    whole = CaptionRows(classifier)(batch)
    assert whole["caption"] == batch["caption"]
    assert whole["finding"] == batch["finding"]
    torch.manual_seed(0)
    seen = {caption for _ in range(4) for caption in CaptionRows(classifier, Augmentation(0.0))(batch)["caption"]}
    assert "Chest X-ray of healthy lungs, no finding." in seen
    assert seen & set(batch["caption"])


def test_a_batch_of_captions_carries_tokens_and_finding_positions(classifier):
    rows = [
        {"pixel_values": torch.full((3, 2, 2), float(i)), "caption": caption, "finding": finding}
        for i, (caption, finding) in enumerate([("a chest", "Pneumonia"), ("a chest X-ray of lungs", "No Finding")])
    ]
    batch = CaptionCollator(classifier, ["No Finding", "Pneumonia"])(rows)
    assert batch["findings"].tolist() == [1, 0]
    assert batch["pixel_values"][:, 0, 0, 0].tolist() == [0.0, 1.0]
    assert torch.equal(batch["input_ids"], classifier.tokens(["a chest", "a chest X-ray of lungs"])["input_ids"])


def test_each_tower_has_its_own_learning_rate_and_nothing_is_left_out(classifier, covid_qu_ex, tmp_path):
    rows = outline_lungs(load(str(covid_qu_ex))["validation"], tiny.unet())
    training_args = XrayTrainingArguments(output_dir=str(tmp_path), learning_rate=0.1, metric_for_best_model="accuracy")
    arguments = ClipArguments(method="full", text_learning_rate=0.01)
    trainer = make_trainer(classifier, {"train": rows, "validation": rows}, arguments, training_args)
    rates = {id(p): group["lr"] for group in trainer.optimizer.param_groups for p in group["params"]}
    for name, parameter in classifier.model.named_parameters():
        assert rates[id(parameter)] == (0.01 if name.startswith("text_model") else 0.1), name


def test_the_temperature_is_capped_at_100(classifier):
    classifier.model.logit_scale.data.fill_(9.0)
    assert temperature(classifier.model).item() == pytest.approx(100, rel=1e-4)
