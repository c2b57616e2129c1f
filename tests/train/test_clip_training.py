"""The tasks of a CLIP: prompts of the classes, or captions in which all images of one finding are right."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hub_models.cards.facts import CardFacts
from hub_models.engines.pytorch.networks import embed_images, embed_texts
from hub_models.models.clip import ClipClassifier
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models
from train import clip
from train.clip import ClipArguments, make_trainer, task_options
from train.data.augment import Augmentation
from train.data.dataset import load
from train.data.lungs import outline_lungs
from train.script.arguments import XrayTrainingArguments
from train.tasks.clip_tasks import (
    CaptionCollator,
    CaptionRows,
    CaptionTask,
    LoraTask,
    ProbeTask,
    PromptTask,
    temperature,
)


@pytest.fixture
def classifier():
    return tiny_models.clip()


@pytest.fixture
def pixels():
    torch.manual_seed(3)
    return torch.randn(4, 3, 32, 32)


def tensors(classifier: ClipClassifier, texts: list[str]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in classifier.tokens(texts).items()}


def read(classifier: ClipClassifier, texts: list[str]) -> torch.Tensor:
    """The unit vectors of sentences, by PyTorch."""
    return embed_texts(classifier.model, **tensors(classifier, texts))


def test_evaluation_scores_an_image_against_the_mean_of_each_class_prompts(classifier, pixels):
    task = PromptTask(classifier).eval()
    labels = torch.tensor([0, 1, 2, 0])
    with torch.no_grad():
        images = embed_images(classifier.model, pixels)
        classes = torch.stack([F.normalize(read(classifier, t).mean(0), dim=0) for t in classifier.prompts.values()])
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
            each = F.normalize(read(classifier, texts), dim=-1)
            allowed = temperature(classifier.model) * embed_images(classifier.model, pixels) @ each.T
        distance = (drawn[:, :, i, None] - allowed[None]).abs().amax(dim=1)
        assert distance.min(dim=1).values.max() < 1e-4  # every draw is one of the prompts
        assert len(set(distance.argmin(dim=1).tolist())) > 1  # and not always the same


def test_captions_of_one_finding_are_no_negatives_of_one_another(classifier, pixels):
    task = CaptionTask(classifier).eval()
    tokens = tensors(classifier, ["a chest X-ray", "COVID-19 lungs", "Normal lungs", "a X-ray"])
    with torch.no_grad():
        images, texts = embed_images(classifier.model, pixels), embed_texts(classifier.model, **tokens)
        logits = temperature(classifier.model) * images @ texts.T
        alike = task(pixel_values=pixels, findings=torch.tensor([0, 0, 1, 2]), **tokens)["loss"]
        distinct = task(pixel_values=pixels, findings=torch.arange(4), **tokens)["loss"]
    target = torch.eye(4)
    expected = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    assert distinct.item() == pytest.approx(expected.item(), rel=1e-5)
    target[:2, :2] = 0.5
    expected = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    assert alike.item() == pytest.approx(expected.item(), rel=1e-5)


def test_training_sometimes_shortens_a_caption_that_somebody_wrote_and_evaluation_never(classifier, covid_qu_ex):
    rows = outline_lungs(load(str(covid_qu_ex))["validation"], tiny_models.unet())
    own = ["Healthy lungs, no finding. PA view. Age 25.", "An opacity. Drawn by a program."]
    batch = {**rows[:2], "caption": own}
    whole = CaptionRows(classifier)(batch)
    assert whole["caption"] == own
    assert whole["finding"] == batch["finding"]
    torch.manual_seed(0)
    seen = {text for _ in range(10) for text in CaptionRows(classifier, Augmentation(0.0))(batch)["caption"]}
    assert seen == {*own, "Healthy lungs, no finding.", "An opacity."}


def test_training_draws_another_wording_each_time_and_evaluation_never(classifier, covid_qu_ex):
    rows = outline_lungs(load(str(covid_qu_ex))["validation"], tiny_models.unet())
    batch = {**rows[:1], "finding": ["Pneumonia"]}
    evaluated = {CaptionRows(classifier)(batch)["caption"][0] for _ in range(5)}
    assert len(evaluated) == 1
    torch.manual_seed(0)
    seen = {CaptionRows(classifier, Augmentation(0.0))(batch)["caption"][0] for _ in range(30)}
    whole = {text for text in seen if "chest radiograph, PA view" in text}
    assert len(whole) > 3
    assert len(seen - whole) > 3  # cut to the finding


def test_a_batch_of_captions_carries_tokens_and_finding_positions(classifier):
    rows = [
        {"pixel_values": torch.full((3, 2, 2), float(i)), "caption": caption, "finding": finding}
        for i, (caption, finding) in enumerate([("a chest", "Pneumonia"), ("a chest X-ray of lungs", "No Finding")])
    ]
    batch = CaptionCollator(classifier, ["No Finding", "Pneumonia"])(rows)
    assert batch["findings"].tolist() == [1, 0]
    assert batch["pixel_values"][:, 0, 0, 0].tolist() == [0.0, 1.0]
    assert np.array_equal(batch["input_ids"], classifier.tokens(["a chest", "a chest X-ray of lungs"])["input_ids"])


def test_each_tower_has_its_own_learning_rate_and_nothing_is_left_out(classifier, covid_qu_ex, tmp_path):
    rows = outline_lungs(load(str(covid_qu_ex))["validation"], tiny_models.unet())
    training_args = XrayTrainingArguments(output_dir=str(tmp_path), learning_rate=0.1, metric_for_best_model="accuracy")
    arguments = ClipArguments(method="full", text_learning_rate=0.01)
    trainer = make_trainer(PromptTask(classifier), {"train": rows, "validation": rows}, arguments, training_args)
    rates = {id(p): group["lr"] for group in trainer.optimizer.param_groups for p in group["params"]}
    for name, parameter in classifier.model.named_parameters():
        assert rates[id(parameter)] == (0.01 if name.startswith("text_model") else 0.1), name


def test_the_temperature_is_capped_at_100(classifier):
    classifier.model.logit_scale.data.fill_(9.0)
    assert temperature(classifier.model).item() == pytest.approx(100, rel=1e-4)


def answers(classifier, prompts=None) -> np.ndarray:
    phantom = draw_phantom(1, size=64)
    return np.array(list(classifier(phantom.image.astype(np.float32) / 255, phantom.lungs, prompts).values()))


def test_a_probe_starts_as_the_prompts_and_learns_nothing_but_a_vector_a_class(classifier, pixels, tmp_path):
    before, own = answers(classifier), answers(classifier, {"a": ["a chest"], "b": ["lungs"]})
    task = ProbeTask(classifier)
    assert [name for name, p in task.named_parameters() if p.requires_grad] == ["vectors"]
    task.finish()
    assert answers(classifier) == pytest.approx(before, abs=1e-6)

    labels = torch.tensor([0, 1, 2, 2])
    optimizer = torch.optim.SGD([task.vectors], lr=0.1)
    losses = []
    for _ in range(20):
        loss = task.train()(pixels, labels)["loss"]
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    task.finish()
    assert abs(answers(classifier) - before).max() > 1e-3
    classifier.save_pretrained(tmp_path)
    again = ClipClassifier.from_pretrained(tmp_path)
    assert answers(again) == pytest.approx(answers(classifier), abs=2e-3)
    assert answers(again, {"a": ["a chest"], "b": ["lungs"]}) == pytest.approx(own, abs=2e-3)


def test_lora_learns_few_weights_and_leaves_a_plain_model_behind(classifier, pixels):
    names, before = set(classifier.model.state_dict()), answers(classifier)
    task = LoraTask(classifier).train()
    learned = {name for name, p in task.named_parameters() if p.requires_grad}
    assert learned
    assert all("lora_" in name for name in learned)
    for _ in range(2):  # the first step moves one half of a pair, which starts at zero, the second both
        task(pixels, torch.tensor([0, 1, 2, 2]))["loss"].backward()
        with torch.no_grad():
            for parameter in task.parameters():
                if parameter.grad is not None:
                    parameter -= parameter.grad
    task.eval()
    with torch.no_grad():
        tuned = task(pixels, torch.tensor([0, 1, 2, 2]))["logits"]
    task.finish()
    assert set(classifier.model.state_dict()) == names
    with torch.no_grad():
        merged = PromptTask(classifier).eval()(pixels, torch.tensor([0, 1, 2, 2]))["logits"]
    assert torch.allclose(tuned, merged, atol=1e-4)
    assert abs(answers(classifier) - before).max() > 1e-6


def test_lora_refuses_a_model_that_has_no_place_for_it():
    with pytest.raises(ValueError, match=r"^This model has neither attention nor pointwise convolutions"):
        LoraTask(SimpleNamespace(model=nn.Sequential(nn.Linear(2, 2))))


@pytest.mark.parametrize("method", ["lora", "probe"])
def test_a_tiny_run_of_each_method_makes_a_checkpoint_that_answers_free_prompts(
    method, covid_qu_ex, checkpoints, tmp_path
):
    named = ["--model_name_or_path", str(checkpoints["clip-zero-shot"]), "--unet", str(checkpoints["unet"])]
    sizes = ["--max_train_samples", "8", "--max_eval_samples", "4", "--max_steps", "2", "--use_cpu", "True"]
    words = ["--dataset", str(covid_qu_ex), "--method", method, "--output_dir", str(tmp_path)]
    clip.main([*words, *named, *sizes])
    classifier = ClipClassifier.from_pretrained(tmp_path / "release")
    assert (classifier.model.config.class_vectors is not None) == (method == "probe")
    assert answers(classifier).sum() == pytest.approx(1)
    assert len(answers(classifier, {"a": ["a chest"], "b": ["lungs"]})) == 2
    assert CardFacts.load(tmp_path / "release").procedure["method"] == method


def test_the_running_average_of_the_weights_answers_in_evaluation_and_is_what_is_kept(classifier, pixels):
    task = PromptTask(classifier, average_decay=0.5).train()
    scales = []
    for scale in (1.0, 2.0, 3.0):
        classifier.model.logit_scale.data.fill_(scale)
        scales.append(scale)
        task(pixels, torch.tensor([0, 1, 2, 0]))
    averaged = 0.5 * (0.5 * scales[0] + 0.5 * scales[1]) + 0.5 * scales[2]  # the first step starts the average
    with torch.no_grad():
        last = task.train()(pixels, torch.tensor([0, 1, 2, 0]))["logits"]
    assert task.eval().answering.model.logit_scale.item() == pytest.approx(0.5 * averaged + 0.5 * 3.0)
    answered = task(pixels, torch.tensor([0, 1, 2, 0]))["logits"]
    assert not torch.allclose(answered, last)
    task.finish()
    assert classifier.model.logit_scale.item() == pytest.approx(0.5 * averaged + 0.5 * 3.0)


def test_a_running_average_is_refused_for_methods_that_keep_none(classifier):
    arguments = ClipArguments(method="probe", average_decay=0.9)
    with pytest.raises(ValueError, match=r"^--average_decay is for --method full, and the method is probe"):
        task_options(arguments, classifier)
