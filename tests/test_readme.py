"""What the documents claim is tried: their commands exist, their code runs, their figures are the recorded ones."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import gradio
import pytest
import yaml

from hub_models.cards.facts import CardFacts
from hub_models.cards.scores import number
from hub_models.checkpoints.choices import variable
from hub_models.checkpoints.resolve import EMBEDDED
from hub_models.checkpoints.roles import ROLES

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
GUIDE = (PROJECT / "train" / "README.md").read_text(encoding="utf-8")
TITLES = {
    "resnet": "ResNet",
    "clip-zero-shot": "CLIP, zero-shot",
    "clip-finetuned": "CLIP, fine-tuned",
    "fusion": "ResNet and CLIP, joined",
}


def test_it_is_short_and_its_header_is_that_of_a_space():
    assert len(README.splitlines()) < 150
    header = yaml.safe_load(README.split("---")[1])
    assert header["sdk"] == "gradio"
    assert header["sdk_version"] == gradio.__version__
    assert f"gradio=={gradio.__version__}" in (PROJECT / "requirements.txt").read_text()
    assert (PROJECT / header["app_file"]).is_file()
    assert len(header["short_description"]) <= 60  # the Hub's limit


def test_the_figures_are_those_of_the_embedded_checkpoints():
    unet = CardFacts.load(EMBEDDED / "unet").results
    for mask in ("lungs", "infection"):
        scores = [unet[mask][key] for key in ("images", "iou_pooled", "iou_mean_per_image", "dice_mean_per_image")]
        assert f"| {mask} | {' | '.join(map(number, scores))} |" in README
    for role, title in TITLES.items():
        results = CardFacts.load(EMBEDDED / role).results
        scores = [results[key] for key in ("accuracy", "precision_macro", "recall_macro", "f1_macro")]
        assert f"| {title} | {' | '.join(map(number, scores))} |" in README
        assert f"all {results['images']} images" in README


def test_the_python_example_runs_and_prints_what_it_says(capsys):
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(next(example for example in examples if "XrayPipeline" in example), {})
    share, probabilities = capsys.readouterr().out.splitlines()[-2:]
    assert re.fullmatch(r"\d+\.\d% of the lungs outlined as infected", share)
    assert re.search(r"'COVID-19': [\d.e-]+, 'Non-COVID': [\d.e-]+, 'Normal': [\d.e-]+", probabilities)


def test_the_variables_are_those_that_are_read():
    for role in ROLES:
        assert f"`{variable(role)}`" in README


def door(name: str) -> ModuleType:
    """What `python -m` runs: a module, or the `__main__` of a package."""
    package = importlib.util.find_spec(name).submodule_search_locations is not None
    return importlib.import_module(f"{name}.__main__" if package else name)


@pytest.mark.parametrize("document", [README, GUIDE], ids=["README.md", "train/README.md"])
def test_every_module_that_is_run_exists_and_takes_the_arguments(document, capsys):
    commands = re.findall(r"python -m ([\w.]+)((?:[^\n`]*\\\n)*[^\n`]*)", document)
    assert {"hub_models.publish", "train.compare"} <= {module for module, _ in commands}
    for module, words in commands:
        with pytest.raises(SystemExit) as end:
            door(module).main(["--help"])
        assert end.value.code == 0
        own = words.split("#")[0].split("--arguments ")[0]  # what follows is for another module
        known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
        assert set(re.findall(r"--[\w-]+", own)) <= known, module


def test_the_make_targets_that_are_named_exist():
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README + GUIDE)) - {"no"} <= targets


def test_every_file_of_the_tree_exists():
    tree = README.split("## What is where")[1].split("## ")[0]
    folder = ""
    for indent, names in re.findall(r"^ {4}( {2})?(\S.*?)(?: {2,}|$)", tree, re.MULTILINE):
        folder = folder if indent else names
        for name in names.split(", "):
            assert (PROJECT / (folder if indent else "") / name).exists(), name


@pytest.mark.parametrize("document", ["README.md", "train/README.md", "train/SEGMENTATION.md"])
def test_links_inside_the_repository_lead_somewhere(document):
    path = PROJECT / document
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target
