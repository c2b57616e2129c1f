from pathlib import Path

import pytest

from train import unet
from train.resnet import ResnetArguments
from train.script.arguments import parse_arguments


def parsed(folder: Path, text: str, *words: str, arguments: type = ResnetArguments, **options) -> tuple:
    (folder / "config.yaml").write_text(text)
    return parse_arguments(arguments, ["--config", str(folder / "config.yaml"), *words], **options)


def test_a_file_says_what_the_command_line_does_not(tmp_path):
    text = "dataset: XRAYS\noutput_dir: runs/a\nlearning_rate: 1e-4\nuse_cpu: true\ndepth: 10\n"
    text += "teacher: [a, b]\nlabels: A,B\neval_strategy: no\ncitation: One of 2026.\n"
    data, resnet, training = parsed(tmp_path, text, "--depth", "26", "--max_steps=3")
    assert (data.dataset, data.labels, resnet.depth, resnet.teacher) == ("XRAYS", "A,B", 26, ["a", "b"])
    assert (training.learning_rate, training.use_cpu, training.max_steps) == (1e-4, True, 3)
    assert (training.output_dir, training.eval_strategy, data.citation) == ("runs/a", "no", ["One of 2026."])


def test_a_recipe_may_stand_in_the_file(tmp_path):
    text = "dataset: XRAYS\noutput_dir: runs/a\nrecipe: original\n"
    _, arguments, training = parsed(tmp_path, text, arguments=unet.UnetArguments, recipes=unet.RECIPES)
    assert (arguments.encoder, training.learning_rate) == ("original", 1e-4)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("dataset: XRAYS\ndepht: 10\n", "There is no argument depht for the file of --config"),
        ("- dataset\n", "is not a list of arguments; write a line `name: value`"),
        ("a: [\n", "cannot be read"),
        (
            "dataset: XRAYS\nview: sideways\n",
            "view is 'sideways' in the file of --config; it takes soft_lungs, lungs, crop,",
        ),
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        parsed(tmp_path, text)
    with pytest.raises(ValueError, match=r"--config .*none.yaml cannot be read"):
        parse_arguments(ResnetArguments, ["--config", str(tmp_path / "none.yaml")])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--report_to", "trackio"], r"--report_to trackio needs the package trackio; pip install -r"),
        (["--eval_strategy", "steps"], "requires the save and eval strategy to match"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused_in_a_sentence_before_anything_starts(
    tmp_path, monkeypatch, words, sentence
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=sentence):
        parse_arguments(ResnetArguments, ["--dataset", "XRAYS", "--output_dir", str(tmp_path), *words])


@pytest.mark.parametrize("strategy", ["eval_strategy", "save_strategy"])
def test_without_evaluation_or_saving_no_best_epoch_is_chosen(tmp_path, strategy):
    words = ["--dataset", "XRAYS", "--output_dir", str(tmp_path), f"--{strategy}", "no"]
    training = parse_arguments(ResnetArguments, words)[-1]
    assert (training.load_best_model_at_end, training.early_stopping_patience) == (False, 0)
