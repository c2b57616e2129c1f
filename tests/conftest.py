"""Fixtures that several test files share. Nothing here needs a network or a file that is not drawn here."""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

from hub_models.checkpoints.choices import variable
from hub_models.checkpoints.roles import ROLES
from hub_models.engines.quiet import no_telemetry
from hub_models.export import __main__ as export
from hub_models.pipeline import XrayPipeline
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models

LOCAL = (None, "", "localhost", "127.0.0.1", "0.0.0.0", "::", "::1")


def pytest_configure(config: pytest.Config) -> None:
    """Give each process a folder for what its pages keep: a page that closes deletes files that another may share."""
    folder = tempfile.mkdtemp(prefix="xray-tests-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["GRADIO_TEMP_DIR"] = folder  # read when gradio is imported, too
    os.environ["XRAY_LUNGS_CACHE"] = str(Path(folder, "lungs"))
    no_telemetry()
    config.add_cleanup(_refuse_other_hosts())


def _refuse_other_hosts() -> Callable[[], None]:
    """Let no test look up the name of another host, which would wait for a network; returns what undoes that."""
    patch, look_up = pytest.MonkeyPatch(), socket.getaddrinfo

    def local_only(host: str | bytes | None, *args, **kwargs) -> list[tuple]:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in LOCAL:
            raise socket.gaierror(socket.EAI_NONAME, f"tests look up no {name}")
        return look_up(host, *args, **kwargs)

    patch.setattr(socket, "getaddrinfo", local_only)
    return patch.undo


@pytest.fixture(autouse=True)
def no_chosen_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees a checkpoint or an engine that the person who runs it has chosen."""
    for name in (*map(variable, ROLES), "XRAY_ENGINE", "XRAY_PRECISION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def chosen_checkpoints(checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment chooses the tiny checkpoints."""
    for role, folder in checkpoints.items():
        monkeypatch.setenv(variable(role), str(folder))


@pytest.fixture(scope="module")
def pipeline(checkpoints: dict[str, Path]) -> XrayPipeline:
    """The tiny checkpoints, loaded."""
    return XrayPipeline.from_pretrained({role: str(folder) for role, folder in checkpoints.items()})


@pytest.fixture
def loaded(pipeline: XrayPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """The models are not loaded again."""
    monkeypatch.setattr(XrayPipeline, "from_pretrained", lambda: pipeline)


@pytest.fixture(scope="session")
def covid_qu_ex(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 drawn X-rays as `tiny_models.write_covid_qu_ex` lays them out; not to be changed."""
    return tiny_models.write_covid_qu_ex(tmp_path_factory.mktemp("covid-qu-ex"))


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Role -> folder of a tiny checkpoint with random weights; not to be changed."""
    return tiny_models.write_checkpoints(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def exported(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Role -> folder of its one of `checkpoints` with a card and its networks as ONNX; not to be changed."""

    @cache  # each takes seconds, and few tests need all
    def of(role: str) -> Path:
        folder = tmp_path_factory.mktemp("exported") / role
        tiny_models.write_release(role, checkpoints[role], tiny_models.facts(), folder)
        export.main([str(folder)])
        return folder

    return of


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
    tiny_models.facts().save(folder)
    tiny_models.resnet(["COVID-19", "Normal"]).save_pretrained(folder)
    return folder
