"""Where the models run. There is no graphics card here: PyTorch's device "meta", which holds no numbers, stands in."""

import numpy as np
import pytest
import torch

from hub_models import clip, device, fusion, resnet, unet
from hub_models.checkpoints import ROLES, Checkpoint
from hub_models.pipeline import PARTS, join, load_model

IMAGE, LUNGS = np.zeros((64, 64), np.float32), np.ones((64, 64), bool)


@pytest.mark.parametrize(("there", "kind"), [(True, "cuda"), (False, "cpu")])
def test_the_graphics_card_is_used_when_there_is_one(monkeypatch, there, kind):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert device.best_device().type == kind


@pytest.mark.parametrize("role", ROLES)
def test_a_loaded_model_computes_on_the_best_device_and_its_answer_is_fetched_from_there(
    role, checkpoints, monkeypatch
):
    for module in (unet, resnet, clip, fusion):
        monkeypatch.setattr(module, "best_device", lambda: torch.device("meta"))
    found = {role: Checkpoint(role, folder, "folder", "tiny") for role, folder in checkpoints.items()}
    model = load_model(found[role])
    if role == "fusion":
        join(model, {part: load_model(found[part]) for part in PARTS}, found)
    # Numbers left on another device would be a RuntimeError; an answer on "meta" has none to fetch.
    with pytest.raises((NotImplementedError, RuntimeError), match=r"out of meta tensor|on meta tensors|to_list.*meta"):
        model(IMAGE) if role == "unet" else model(IMAGE, LUNGS)
