"""What the page says of a result, word for word."""

from pathlib import Path

from hub_models.cards.facts import CardFacts
from hub_models.checkpoints.folder import Checkpoint
from hub_models.engines.engine import Engine
from hub_models.page.results import checkpoints_table, control_text


def checkpoint(folder: Path) -> Checkpoint:
    return Checkpoint("resnet", folder, "folder", "given")


def test_a_score_stands_beside_the_one_with_the_lungs_hidden(folder):
    assert control_text(checkpoint(folder)) == "How much of its score needs the lungs is not measured."
    facts = CardFacts.load(folder)
    figures = {"shown its own view": 0.84, "shown lungs hidden": 0.4051}
    facts.results["controls"] = {name: {"accuracy": figure, "images": 562} for name, figure in figures.items()}
    facts.save(folder)
    said = "It named the right class on 84% of 562 test images, and on 41% of them with the lungs hidden."
    assert control_text(checkpoint(folder)) == said


def test_a_checkpoint_without_figures_gets_no_sentence(tmp_path):
    assert control_text(checkpoint(tmp_path)) == control_text(None) == ""


def test_the_table_of_checkpoints_names_what_runs_each_and_why_it_is_nothing_faster(tmp_path):
    places = {role: Checkpoint(role, tmp_path, "folder", "given") for role in ("unet", "resnet", "fusion")}
    engines = {"unet": Engine("openvino", "int8"), "resnet": Engine(problem="network.onnx is torn.")}
    lines = checkpoints_table(places, engines).splitlines()
    assert lines[0] == "| Role | Checkpoint | Origin | Revision | Runs in |"
    assert [line.split(" | ")[-1] for line in lines[2:5]] == ["openvino, int8 |", "torch, float32 |", "- |"]
    assert lines[5:] == ["", "resnet runs in PyTorch: network.onnx is torn."]
