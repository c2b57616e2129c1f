"""The exchange of a checkpoint for everyone: only where the owner allows it, and all or nothing."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

import app
from hub_models.checkpoints.folder import CheckpointError
from hub_models.checkpoints.resolve import resolve
from hub_models.page import exchange
from hub_models.page.exchange import VARIABLE, Exchange
from hub_models.page.layout import Layout
from hub_models.page.results import plain
from hub_models.pipeline import XrayPipeline
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models
from tests.support.fake_hub import Repository, start, used
from tests.support.fake_pipeline import ready


@pytest.fixture
def real(checkpoints: dict[str, Path]) -> XrayPipeline:
    """A pipeline of tiny checkpoints."""
    return XrayPipeline.from_pretrained({role: str(folder) for role, folder in checkpoints.items()})


@pytest.fixture(autouse=True)
def nothing_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def release(folder: Path, labels: list[str] | None = None) -> str:
    """A tiny ResNet with card and record, as a folder that the owner may name."""
    model = tiny_models.resnet(labels or ["COVID-19", "Normal"])
    tiny_models.facts().save(folder)
    model.save_pretrained(folder)
    return str(folder)


def page_with(pipeline: XrayPipeline, *named: str) -> Layout:
    """The parts of a page whose owner named checkpoints, or allows all of the Hub."""
    return app.build_demo(ready(pipeline), Exchange(named)).layout


def look_of(pipeline: XrayPipeline) -> tuple:
    answers = pipeline(read_image(draw_phantom(seed=4, opacities=1).image)).classifiers
    return dict(pipeline.checkpoints), {role: tuple(found.items()) for role, found in answers.items()}


def test_it_is_off_unless_the_owner_asks_for_it(monkeypatch):
    assert Exchange.from_environment() is None
    assert Exchange.from_environment([]) == Exchange()
    assert Exchange.from_environment(["a/b", "folder"]) == Exchange(("a/b", "folder"))
    for value, allowed in (("0", None), ("1", Exchange()), ("a/b, folder", Exchange(("a/b", "folder")))):
        monkeypatch.setenv(VARIABLE, value)
        assert Exchange.from_environment() == allowed


@pytest.mark.parametrize("space", [None, "someone/xray"])
def test_a_page_without_it_has_no_event_for_it(real, monkeypatch, space):
    if space:
        monkeypatch.setenv("SPACE_ID", space)
    for allowed in (None, Exchange()):
        events = app.build_demo(ready(real), allowed).fns.values()
        assert any(event.fn and event.fn.__name__ == "put_in_place" for event in events) == (allowed is not None)


def test_another_checkpoint_that_the_owner_named_is_used_from_then_on(real, tmp_path):
    folder = release(tmp_path / "resnet")
    layout = page_with(real, folder)
    layout.tabs["models"].chooser.put_in_place("resnet", f" {folder} ")
    told = layout.tell("resnet")
    assert f"| resnet | <code>{plain(folder)}</code> | folder | <code>-</code> |" in told[layout.tabs["models"].table]
    assert layout.tabs["prompts"].prompts not in told  # what the visitor wrote for zero-shot CLIP stays
    assert real.classifiers["resnet"].labels == ["COVID-19", "Normal"]


def test_another_zero_shot_checkpoint_brings_its_own_prompts(real, tmp_path):
    tiny_models.clip(["Cat", "Dog"]).save_pretrained(tmp_path)
    layout = page_with(real, str(tmp_path))
    layout.tabs["models"].chooser.put_in_place("clip-zero-shot", str(tmp_path))
    told = layout.tell("clip-zero-shot")[layout.tabs["prompts"].prompts]
    assert told["value"].startswith("Cat: a chest X-ray of Cat\n")
    assert told["interactive"] is True


def test_a_download_is_told_to_the_visitor(real, monkeypatch):
    def found(role, wish, progress, **options):
        progress(5_000_000, 20_000_000)
        return replace(real.checkpoints[role], name=wish)

    told = []
    monkeypatch.setattr(exchange, "resolve", found)
    monkeypatch.setattr(exchange, "read_record", lambda checkpoint: None)
    page_with(real).tabs["models"].chooser.put_in_place(
        "resnet", "someone/resnet", lambda done, **words: told.append((done, words["desc"]))
    )
    assert told == [((5_000_000, 20_000_000), "Downloading 20 MB"), (1.0, "Loading")]


@pytest.mark.parametrize("wish", ["no such thing", "/etc", "{resnet}", "runs/unet/release", "someone/other"])
def test_what_the_owner_has_not_named_is_refused_with_the_list(real, checkpoints, wish):
    before = look_of(real)
    page = page_with(real, "someone/unet@v1").tabs["models"].chooser
    with pytest.raises(gr.Error, match=r"not on the list.*choose one of embedded, someone/unet@v1\. The unet in use"):
        page.put_in_place("unet", wish.format(**checkpoints))
    assert look_of(real) == before


def test_without_a_list_a_folder_is_refused_even_if_it_is_named_like_a_hub_id(real, checkpoints, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(checkpoints["resnet"], tmp_path / "someone" / "resnet")
    assert resolve("resnet", "someone/resnet").origin == "folder"
    page = page_with(real).tabs["models"].chooser
    with pytest.raises(gr.Error, match="is not a Hub id; write user/repo"):
        page.put_in_place("resnet", str(checkpoints["resnet"]))
    with pytest.raises(gr.Error, match="No resnet model"):
        page.put_in_place("resnet", "someone/resnet")


def damage_record(folder: Path) -> None:
    facts = json.loads((folder / "metrics.json").read_text())
    facts["results"]["controls"] = {"shown its own view": {}, "shown lungs hidden": {}}
    (folder / "metrics.json").write_text(json.dumps(facts))


def damage_confusion(folder: Path) -> None:
    facts = json.loads((folder / "metrics.json").read_text())
    facts["results"]["confusion"] = [[1]]
    (folder / "metrics.json").write_text(json.dumps(facts))


def swell_card(folder: Path) -> None:
    (folder / "README.md").write_text("x" * 2_000_000)


def damage_config(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["view"] = "no such view"
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("damage", [damage_record, damage_confusion, swell_card, damage_config])
def test_whatever_is_wrong_with_it_all_is_as_it_was_and_the_tabs_go_on(real, tmp_path, damage):
    folder = release(tmp_path / "resnet")
    damage(Path(folder))
    before, layout = look_of(real), page_with(real, folder)
    with pytest.raises(gr.Error, match=r"The resnet in use stays\.") as refused:
        layout.tabs["models"].chooser.put_in_place("resnet", folder)
    assert folder in refused.value.message
    assert look_of(real) == before
    assert layout.tell()
    assert layout.tabs["compare"].compare(None, None)


def test_a_checkpoint_of_another_kind_leaves_the_one_in_use(real, checkpoints):
    folder, before, model = str(checkpoints["resnet"]), real.checkpoints["unet"], real.segmenter
    with pytest.raises(gr.Error, match=r"holds a model of the kind resnet; unet takes Unet.*The unet in use stays\."):
        page_with(real, folder).tabs["models"].chooser.put_in_place("unet", folder)
    assert real.checkpoints["unet"] is before
    assert real.segmenter is model


def test_a_fusion_joins_its_parts_again_when_an_exchange_is_taken_back(real, tmp_path):
    folder = release(tmp_path / "resnet")
    before = look_of(real)
    put_back = real.use(resolve("resnet", folder))
    assert "fusion" not in look_of(real)[1]
    put_back()
    assert look_of(real) == before


@pytest.fixture
def published(checkpoints: dict[str, Path], tmp_path: Path) -> Iterator[str]:
    """A ResNet on a Hub of its own, with the files that a model from there has."""
    with start() as hub, used(hub.url, tmp_path / "cache"):
        hub.repositories["someone/resnet"] = Repository()
        files = {path.name: path.read_bytes() for path in checkpoints["resnet"].iterdir() if path.is_file()}
        hub.repositories["someone/resnet"].commit(files)
        yield "someone/resnet"


def test_a_repository_is_bounded_in_size_before_anything_is_downloaded(published, tmp_path):
    with pytest.raises(CheckpointError, match=r"someone/resnet has \d+ MB; at most 0 MB are loaded here\."):
        resolve("resnet", published, hub_only=True, max_bytes=1000)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    checkpoint = resolve("resnet", published, hub_only=True, max_bytes=50_000_000)
    assert checkpoint.origin == "hub"
    assert (checkpoint.folder / "model.safetensors").is_file()
