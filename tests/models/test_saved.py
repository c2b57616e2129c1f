"""A checkpoint's files as settings and arrays."""

import json

import numpy as np
import pytest

from hub_models.models.saved import UNNAMED, SavedModel
from tests.support import tiny_models


def test_settings_are_attributes_and_classes_have_whole_numbers(checkpoints):
    config = SavedModel(checkpoints["clip-finetuned"]).config
    wanted = tiny_models.clip().model.config
    assert (config.id2label, config.num_labels) == (wanted.id2label, 3)
    assert (config.prompts, config.view, config.problem_type) == (wanted.prompts, "lungs", None)
    assert config.text_config.max_position_embeddings == wanted.text_config.max_position_embeddings


def test_a_config_that_names_no_classes_has_the_two_that_transformers_leaves_out(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "resnet"}))
    config = SavedModel(tmp_path).config
    assert (config.id2label, config.num_labels) == (UNNAMED, 2)


def test_a_weight_is_read_by_its_name_as_float32(checkpoints):
    model = SavedModel(checkpoints["resnet"])
    wanted = tiny_models.resnet().model.get_parameter("classifier.1.weight").detach().half().float()
    assert model.array("classifier.1.weight").dtype == np.float32
    assert np.array_equal(model.array("classifier.1.weight"), wanted)
    with pytest.raises(ValueError, match=r"do not fit their config: missing keys head\.$"):
        model.array("head")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"clip_weight": None}, "unexpected keys clip_weight"),
        ({"more": ()}, "missing keys more"),
        ({"resnet_weight": (9,)}, "mismatched keys resnet_weight"),
    ],
)
def test_weights_of_other_names_and_shapes_are_refused(checkpoints, change, problem):
    model = SavedModel(checkpoints["fusion"])
    model.check(model.shapes)
    wanted = {name: shape for name, shape in (model.shapes | change).items() if shape is not None}
    with pytest.raises(ValueError, match=problem):
        model.check(wanted)
