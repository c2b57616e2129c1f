"""Teachers: what a finished classifier says, and what its pupil learns of it."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from hub_models.engines.pytorch.networks import embed_images
from hub_models.models.clip import ClipClassifier
from hub_models.models.labels import LABELS
from tests.support import tiny_models
from train.resnet import ClassificationTask
from train.tasks.clip_tasks import PromptTask
from train.tasks.distillation import Teacher


@pytest.fixture
def folder(checkpoints: dict[str, Path]) -> str:
    return str(checkpoints["clip-finetuned"])


@pytest.fixture
def pixels() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(4, 3, 32, 32)


def probabilities(classifier: ClipClassifier, pixels: torch.Tensor) -> torch.Tensor:
    """A CLIP's probabilities for pixels of its own size."""
    with torch.no_grad():
        images = embed_images(classifier.model, pixels)
        texts = torch.from_numpy(classifier.embed_classes()[1])
        return (classifier.model.logit_scale.exp() * images @ texts.T).softmax(-1)


def test_a_teacher_says_what_its_checkpoint_does_in_the_order_that_is_asked(folder, pixels):
    expected = probabilities(ClipClassifier.from_pretrained(folder), pixels)
    assert torch.allclose(Teacher([folder], list(LABELS))(pixels), expected, atol=1e-6)
    swapped = Teacher([folder], list(LABELS)[::-1])
    assert torch.allclose(swapped(pixels), expected.flip(-1), atol=1e-6)


def test_several_teachers_say_the_mean_of_what_they_say_alone(folder, pixels, tmp_path):
    other = tiny_models.clip()
    with torch.no_grad():
        other.model.visual_projection.weight.mul_(-1)
    other.save_pretrained(tmp_path)
    alone = [Teacher([checkpoint], list(LABELS))(pixels) for checkpoint in (folder, str(tmp_path))]
    together = Teacher([folder, str(tmp_path)], list(LABELS))(pixels)
    assert torch.allclose(together, (alone[0] + alone[1]) / 2, atol=1e-6)
    assert not torch.allclose(*alone, atol=1e-4)


def test_a_teacher_of_other_classes_and_teachers_of_two_views_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"^The teacher scores COVID-19, Non-COVID, Normal; its pupil Cat, Dog\.$"):
        Teacher([folder], ["Cat", "Dog"])
    other = tiny_models.clip()
    other.model.config.view = "full"
    other.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"^Teachers are shown lungs and full; name those of one view\.$"):
        Teacher([folder, str(tmp_path)], list(LABELS))


@pytest.mark.parametrize("pupil", ["resnet", "clip"])
def test_a_taught_pupil_hears_the_teacher_where_it_is_right_while_it_trains_only(folder, pixels, pupil):
    teacher = Teacher([folder], list(LABELS))
    answers = teacher(pixels)
    true = answers.argmax(dim=-1)
    true[1] = (true[1] + 1) % 3  # on this image it is wrong
    if pupil == "resnet":
        task = ClassificationTask(tiny_models.resnet(), 0.0, teacher)
    else:
        task = PromptTask(tiny_models.clip(), teacher=teacher)
    output = task.train()(torch.randn_like(pixels), true, pixels)  # the pupil's pixels are others
    hard, soft = (F.cross_entropy(output["logits"], target, reduction="none") for target in (true, answers))
    expected = 0.3 * hard + 0.7 * soft
    expected[1] = hard[1]
    assert output["loss"].item() == pytest.approx(expected.mean().item(), rel=1e-5)
    output = task.eval()(pixels, true)
    assert output["loss"].item() == pytest.approx(F.cross_entropy(output["logits"], true).item(), rel=1e-6)
