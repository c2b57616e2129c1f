from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from train.script.release import procedure, without_path


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("someone/chest-xray-unet", "someone/chest-xray-unet"),
        ("{folder}/runs/unet/release", "local unet"),
        ("{folder}/runs/unet", "local unet"),
        ("lungs", "lungs"),
        (0.1, 0.1),
        (18, 18),
        (["{folder}/runs/unet/release", "someone/clip"], "local unet, someone/clip"),
        ([], ""),
    ],
)
def test_a_card_tells_no_folder_of_the_machine(tmp_path: Path, setting, text):
    (tmp_path / "runs" / "unet" / "release").mkdir(parents=True)
    given = [one.format(folder=tmp_path) if isinstance(one, str) else one for one in np.atleast_1d(setting).tolist()]
    assert without_path(given if isinstance(setting, list) else given[0]) == text


def test_the_procedure_lists_settings_and_versions_and_leaves_out_what_was_not_set(tmp_path: Path):
    trainer = SimpleNamespace(
        state=SimpleNamespace(epoch=1.999, global_step=8, best_global_step=4),
        args=SimpleNamespace(
            num_train_epochs=2,
            train_batch_size=4,
            gradient_accumulation_steps=2,
            world_size=1,
            optim=SimpleNamespace(value="adamw_torch"),
            learning_rate=0.001,
            lr_scheduler_type=SimpleNamespace(value="cosine"),
            warmup_steps=0.1,
            weight_decay=0.01,
            seed=42,
        ),
    )
    settings = procedure(SimpleNamespace(image_size=64, unet=str(tmp_path), model_name_or_path=None), trainer)
    assert settings["image size"] == 64
    assert settings["unet"] == f"local {tmp_path.name}"
    assert "model name or path" not in settings
    assert (settings["epochs run"], settings["steps run"], settings["best step"], settings["batch size"]) == (
        2.0,
        8,
        4,
        8,
    )
    assert {"torch", "transformers", "datasets"} <= settings.keys()
