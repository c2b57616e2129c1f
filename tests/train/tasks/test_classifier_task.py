"""The inputs of a classifier's training, and of its teacher."""

import numpy as np
import pytest
import torch

from hub_models.models.labels import LABELS
from hub_models.models.views import make_views
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models
from train.data.augment import Augmentation
from train.data.lungs import png
from train.data.rows import read_picture
from train.tasks.classifier_task import ViewRows
from train.tasks.distillation import Teacher

PHANTOM = draw_phantom(3, size=256)
BATCH = {"image": [png(PHANTOM.image)], "lungs": [png(PHANTOM.lungs)], "label": [1]}
IMAGE = read_picture(BATCH["image"][0])


@pytest.fixture
def pupil():
    resnet = tiny_models.resnet()
    resnet.model.config.view = "soft_lungs"
    return resnet


@pytest.fixture
def teacher(checkpoints):
    return Teacher([str(checkpoints["clip-finetuned"])], list(LABELS))


def still(storage: float) -> Augmentation:
    """Changes of how an image is stored, and no others."""
    changes = Augmentation(flip=0.0, storage=storage)
    changes.geometry = lambda *images: images
    changes.expose = lambda image: image
    return changes


def test_a_teacher_sees_its_own_view_of_an_image_that_its_pupil_sees_stored_otherwise(pupil, teacher):
    torch.manual_seed(1)
    items = ViewRows(pupil, still(1.0), teacher)(BATCH)
    own = teacher.pixel_values(make_views(IMAGE, PHANTOM.lungs, "lungs", pupil.detail))[0]
    assert np.allclose(items["teacher_pixel_values"][0], own, atol=1e-5)
    as_stored = pupil.pixel_values(make_views(IMAGE, PHANTOM.lungs, "soft_lungs", pupil.detail))[0]
    assert np.abs(items["pixel_values"][0].numpy() - as_stored).max() > 0.05
    assert items["labels"] == [1]


def test_without_a_teacher_and_changes_rows_give_the_pixels_that_the_page_would(pupil):
    items = ViewRows(pupil)(BATCH)
    as_stored = pupil.pixel_values(make_views(IMAGE, PHANTOM.lungs, "soft_lungs", pupil.detail))[0]
    assert np.allclose(items["pixel_values"][0], as_stored, atol=1e-5)
    assert set(items) == {"pixel_values", "labels"}


def test_a_teacher_sees_an_image_moved_as_its_pupil_does(pupil, teacher):
    pupil.model.config.view = "full"
    teacher.view = "full"
    torch.manual_seed(2)
    items = ViewRows(pupil, Augmentation(flip=1.0), teacher)(BATCH)
    sizes = items["pixel_values"][0].shape[-2:]
    seen = torch.nn.functional.interpolate(items["teacher_pixel_values"][0][None], sizes, mode="bilinear")[0]
    similar, as_stored = (
        float(torch.corrcoef(torch.stack([items["pixel_values"][0].flatten(), other.flatten()]))[0, 1])
        for other in (seen, torch.from_numpy(pupil.pixel_values([IMAGE])[0]))
    )
    assert similar > 0.97 > as_stored
