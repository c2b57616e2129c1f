"""The page, the command, the endpoints, heat maps, reports and prompts work where PyTorch is not installed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from hub_models.checkpoints.folder import Checkpoint, CheckpointError
from hub_models.checkpoints.resolve import EMBEDDED
from hub_models.checkpoints.roles import ROLES
from hub_models.engines import engine
from hub_models.export import __main__ as export
from hub_models.models.loading import load_model
from hub_models.page.results import heat_text
from hub_models.pipeline import XrayPipeline
from hub_models.xray.images import read_image
from tests.support.tiny_models import draw_xray

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Role -> a copy of the checkpoint that ships, with all its ONNX files newly made."""
    work, copies = tmp_path_factory.mktemp("shipped"), {}
    for role in ROLES:
        copies[role] = str(shutil.copytree(EMBEDDED / role, work / role))
        if ROLES[role].family != "fusion":
            export.main([copies[role]])
    return copies


@pytest.fixture(scope="module")
def xray(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("xray") / "drawn.png"
    Image.fromarray(draw_xray(1, 512, opacities=3).image).save(path)
    return path


@pytest.mark.timeout(900)
def test_everything_is_answered_without_pytorch_as_it_is_with_it(folders, xray, tmp_path, monkeypatch):
    command = [sys.executable, "-m", "tests.support.without_pytorch", str(tmp_path), str(xray)]
    command += [f"{role}={folder}" for role, folder in folders.items()]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert set(found["engines"].values()) == {"openvino, float32"}
    monkeypatch.setenv("XRAY_ENGINE", "torch")
    slow, image = XrayPipeline.from_pretrained(folders), read_image(xray)
    report = slow(image, anyway=True)
    assert found["answers"].keys() == report.classifiers.keys() == found["described"]["classifiers"].keys()
    assert found["answers"] == {role: pytest.approx(answer, abs=1e-3) for role, answer in report.classifiers.items()}
    assert found["conclusion"] == report.conclusion.describe()
    assert found["notes"] == [*report.reasons, *report.notes]
    assert found["shares"] == pytest.approx(report.involvement.shares, abs=1e-3)
    assert found["rows"] == 1
    explained = slow.explain(image, report.masks)
    assert found["heat"] == {role: heat_text(explained.get(role)) for role in found["heat"]}
    assert found["pictures"] == sorted(explained)
    prompts = {"ill": ["an opacity"], "well": ["healthy lungs, no finding"]}
    asked, _, _ = slow.compare_prompts(image, report.masks, prompts)
    assert found["asked"] == {role: pytest.approx(answer, abs=1e-3) for role, answer in asked.items()}
    assert found["kept"] == ["report.pdf", "report.json", "overlay.png"]
    kept = tmp_path / "predicted" / "drawn"
    assert {path.name for path in kept.iterdir()} >= {"lungs.png", "infection.png", "overlay.png", "report.json"}


@pytest.mark.parametrize("harm", ["missing", "stale"])
def test_where_there_is_neither_a_file_nor_pytorch_one_sentence_says_which_command_to_run(
    exported, tmp_path, monkeypatch, harm
):
    folder = shutil.copytree(exported("clip-finetuned"), tmp_path / "clip")
    reason = "text.onnx is missing"
    if harm == "missing":
        (folder / "text.onnx").unlink()
    else:
        (folder / "model.safetensors").write_bytes((exported("resnet") / "model.safetensors").read_bytes())
        reason = "image.onnx was not made of these weights; export it again, or delete it"
    monkeypatch.setattr(engine, "pytorch_is_installed", lambda: False)
    with pytest.raises(CheckpointError) as error:
        load_model(Checkpoint("clip-finetuned", folder, "folder", "mine"))
    assert str(error.value) == (
        f"The clip-finetuned model in mine does not load: {reason}, and PyTorch is not installed; run `pip install -r "
        f"requirements.txt && python -m hub_models.export {folder}`."
    )
