import numpy as np
import pytest

from hub_models.models.unet import Segmenter
from train.data.arguments import check_sharpness
from train.script.arguments import last_complete_checkpoint, parse_arguments, run
from train.script.clock import Clock
from train.unet import UnetArguments

WORDS = ["--dataset", "somewhere", "--output_dir", "runs/x"]
RECIPES = {"ours": {}, "original": {"image_size": 128, "loss": "bce", "learning_rate": 0.25, "num_train_epochs": 20}}


def chosen(*words: str, **defaults) -> tuple:
    """The arguments that the recipe changes, as they are parsed."""
    _, unet, training = parse_arguments(UnetArguments, [*WORDS, *words], recipes=RECIPES, **defaults)
    return unet.recipe, unet.image_size, unet.loss, training.learning_rate, training.num_train_epochs


def test_a_checkpoint_that_was_cut_while_written_is_not_resumed_from(tmp_path):
    for step, complete in ((9, True), (10, True), (11, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if complete:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")  # 10 is newer than 9


def test_a_new_folder_has_nothing_to_resume_from(tmp_path):
    assert last_complete_checkpoint(tmp_path / "new") is None


def test_a_script_has_its_own_defaults_and_the_words_beat_them():
    data, unet, training = parse_arguments(UnetArguments, [*WORDS, "--seed", "7"], learning_rate=0.5, seed=3)
    assert (data.dataset, data.drop_duplicates, unet.image_size) == ("somewhere", False, 256)
    assert (training.learning_rate, training.seed) == (0.5, 7)
    assert training.load_best_model_at_end
    assert training.eval_strategy == training.save_strategy == "epoch"


@pytest.mark.parametrize("words", [["--recipe", "original"], ["--recipe=original"]])
def test_a_recipe_beats_the_scripts_defaults(words):
    assert chosen(*words, learning_rate=0.5, seed=3) == ("original", 128, "bce", 0.25, 20)


@pytest.mark.parametrize("words", [[], ["--recipe", "ours"]])
def test_without_a_recipe_that_changes_anything_the_defaults_stay(words):
    assert chosen(*words, learning_rate=0.5) == ("ours", 256, "dice_bce", 0.5, 3)


def test_what_is_said_beats_the_recipe_before_and_after_it():
    assert chosen("--image_size", "64", "--recipe", "original", "--loss", "dice_focal", "--learning_rate", "0.75") == (
        "original",
        64,
        "dice_focal",
        0.75,
        20,
    )


def test_the_recipe_is_read_from_the_process_when_no_words_are_given(monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.unet", *WORDS, "--recipe", "original"])
    _, unet, training = parse_arguments(UnetArguments, None, recipes=RECIPES)
    assert (unet.image_size, training.learning_rate) == (128, 0.25)


def test_a_recipe_there_is_not_is_answered_with_those_there_are(capsys):
    with pytest.raises(SystemExit):
        chosen("--recipe", "oriental")
    assert "argument --recipe: invalid choice: 'oriental'" in capsys.readouterr().err


def test_a_shortened_name_is_refused_or_the_recipe_would_be_named_and_not_followed():
    with pytest.raises(ValueError, match="There is no argument --recip;"):
        chosen("--recip", "original")


def test_early_stopping_can_be_turned_off():
    training = parse_arguments(UnetArguments, [*WORDS, "--early_stopping_patience", "3"])[2]
    assert [callback.early_stopping_patience for callback in training.callbacks()[1:]] == [3]
    never = parse_arguments(UnetArguments, [*WORDS, "--early_stopping_patience", "0"])[2]
    assert [type(callback) for callback in never.callbacks()] == [Clock]


def test_an_unknown_argument_is_refused():
    with pytest.raises(ValueError, match="--encodr"):
        parse_arguments(UnetArguments, [*WORDS, "--encodr", "resnet18"])


def test_what_the_project_refuses_ends_with_its_sentence():
    with pytest.raises(SystemExit) as end:
        run(lambda: Segmenter.new("resnet18", 33))
    assert end.value.code == "The image size is 33; a UNet of five levels needs a multiple of 32."


def test_an_error_from_deeper_down_keeps_its_traceback():
    with pytest.raises(ValueError, match="could not convert"):
        run(lambda: np.float64("ten"))


@pytest.mark.parametrize("sharpness", [0, -1.0, float("nan"), float("inf")])
def test_what_is_no_sharpness_is_refused(sharpness):
    with pytest.raises(ValueError, match=f"^--sentence_sharpness is {sharpness}; give a number over 0"):
        check_sharpness(sharpness)


def test_a_role_that_reads_no_sentences_has_none():
    with pytest.raises(ValueError, match="a checkpoint of the role resnet reads no sentences"):
        check_sharpness(5.0, "resnet")
