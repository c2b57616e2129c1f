"""Fixtures that several test files share. Nothing here needs a network or a file that is not drawn here."""

from pathlib import Path

import pytest
from PIL import Image

from hub_models.cards import CardFacts
from hub_models.checkpoints import ROLES, variable
from hub_models.phantom import draw_phantom
from tests import tiny


@pytest.fixture(autouse=True)
def no_chosen_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees a checkpoint that the person who runs it has chosen."""
    for role in ROLES:
        monkeypatch.delenv(variable(role), raising=False)


@pytest.fixture(scope="session")
def covid_qu_ex(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 drawn X-rays as `tiny.write_covid_qu_ex` lays them out; not to be changed."""
    return tiny.write_covid_qu_ex(tmp_path_factory.mktemp("covid-qu-ex"))


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Role -> folder of a tiny checkpoint with random weights; not to be changed."""
    return tiny.write_checkpoints(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def xray(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn X-ray, 256 x 256 pixels, as a PNG file."""
    path = tmp_path_factory.mktemp("xrays") / "phantom.png"
    Image.fromarray(draw_phantom(1, size=256).image).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete checkpoint folder."""
    folder = tmp_path / "resnet"
    results = {"split": "test", "images": 4, "accuracy": 0.75, "precision_macro": 0.5, "recall_macro": 0.5}
    CardFacts(
        role="resnet",
        architecture="ResNet of one block",
        base_model=None,
        parameters=1000,
        labels=["COVID-19", "Normal"],
        image_size=32,
        view="lungs",
        data={
            "name": "phantoms",
            "fingerprint": "0123abcd",
            "license": "cc0-1.0",
            "images": {"test": {"COVID-19": 2, "Normal": 2}},
            "masks": {},
        },
        procedure={"epochs": 1},
        seconds=1.5,
        hardware="a laptop",
        results={**results, "f1_macro": 0.5, "confusion": [[2, 0], [1, 1]]},
    ).save(folder)
    tiny.resnet(["COVID-19", "Normal"]).save_pretrained(folder)
    return folder
