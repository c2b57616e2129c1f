"""Each training script from its command line to a folder that the page loads, also after it was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hub_models.cards.facts import CardFacts
from hub_models.models.calibration import Calibration
from hub_models.models.labels import LABELS
from hub_models.models.views import apply_view
from hub_models.pipeline import XrayPipeline
from hub_models.publish.check import check_folder
from hub_models.xray.images import read_image
from tests.support import tiny_models
from train import clip, resnet, unet

PROJECT = Path(unet.__file__).parents[1]
EVERY_STEP = ["--save_strategy=steps", "--eval_strategy=steps", "--save_steps=1", "--eval_steps=1"]
TINY = ["--max_train_samples=8", "--max_eval_samples=4", "--per_device_train_batch_size=4", "--logging_steps=1"]
RUNS = {
    "unet": (unet, ["--encoder", "resnet18", "--encoder_weights", "none", "--image_size", "64"]),
    "resnet": (resnet, ["--depth", "10", "--image_size", "32", "--unet", "{unet}"]),
    "clip-zero-shot": (clip, ["--method", "captions", "--model_name_or_path", "{clip-zero-shot}", "--unet", "{unet}"]),
    "clip-finetuned": (clip, ["--method", "full", "--model_name_or_path", "{clip-zero-shot}", "--unet", "{unet}"]),
}
FILES = {"README.md", "config.json", "metrics.json", "model.safetensors", "predictions.csv"}
OWN_FILES = {
    "unet": {"preprocessor_config.json"},
    "resnet": {"preprocessor_config.json"},
    "clip-zero-shot": {"processor_config.json", "tokenizer.json", "tokenizer_config.json"},
    "clip-finetuned": {"processor_config.json", "tokenizer.json", "tokenizer_config.json"},
}


def words(role: str, dataset: Path, output_dir: Path, checkpoints: dict[str, Path], steps: int) -> list[str]:
    """The command line of a tiny run of a role."""
    own = [word.format(**checkpoints) for word in RUNS[role][1]]
    return ["--dataset", str(dataset), "--output_dir", str(output_dir), "--max_steps", str(steps), *TINY, *own]


@pytest.mark.parametrize("role", RUNS)
def test_a_tiny_run_makes_a_checkpoint_that_is_whole_and_loads_by_path(role, covid_qu_ex, checkpoints, tmp_path, xray):
    scores = RUNS[role][0].main(words(role, covid_qu_ex, tmp_path, checkpoints, steps=2))

    release = tmp_path / "release"
    assert {path.name for path in release.iterdir()} == FILES | OWN_FILES[role]
    facts = check_folder(release)
    assert facts.role == role
    assert facts.procedure["steps run"] == 2
    assert facts.data["images"]["train"] != facts.data["images"]["test"]
    assert sum(facts.data["images"]["train"].values()) == (4 if role == "unet" else 8)  # with a mask, or at all
    assert json.dumps(scores, sort_keys=True) == json.dumps(
        {name: facts.results[name] for name in scores}, sort_keys=True
    )
    pipeline = XrayPipeline.from_pretrained({**checkpoints, role: str(release)})
    report = pipeline(read_image(xray))
    if role == "unet":
        assert report.masks.lungs.shape == (256, 256)
    else:
        assert list(report.classifiers[role]) == list(LABELS)
        assert sum(report.classifiers[role].values()) == pytest.approx(1)


@pytest.mark.parametrize("role", ["unet", "resnet", "clip-finetuned"])
def test_a_killed_run_goes_on_where_it_was(role, covid_qu_ex, checkpoints, tmp_path):
    module = RUNS[role][0]
    command = [*words(role, covid_qu_ex, tmp_path, checkpoints, steps=8), *EVERY_STEP, "--save_total_limit=20"]
    process = subprocess.Popen(
        [sys.executable, "-m", module.__name__, *command],
        cwd=PROJECT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    first = tmp_path / "checkpoint-1" / "trainer_state.json"
    deadline = time.monotonic() + 200
    while not first.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL  # it was still running
    assert not (tmp_path / "release").exists()
    written = first.stat().st_mtime_ns

    module.main(command)

    assert first.stat().st_mtime_ns == written  # the first step was not taken again
    assert (tmp_path / "checkpoint-8").is_dir()
    assert CardFacts.load(tmp_path / "release").procedure["steps run"] == 8


def test_findings_are_those_of_the_classes_of_covid_qu_ex_and_needed_for_others(checkpoints, tmp_path, caplog):
    bare = tiny_models.write_covid_qu_ex(tmp_path / "no-metadata", metadata=False)
    clip.main(words("clip-zero-shot", bare, tmp_path / "out", checkpoints, steps=1))
    notes = " ".join(CardFacts.load(tmp_path / "out" / "release").notes)
    assert "the captions name their finding: COVID-19, No Finding, Pneumonia." in notes
    assert "The data tell no findings; captions are made of the classes." in caplog.messages
    for place in bare.rglob("Non-COVID"):
        place.rename(place.with_name("Tuberculosis"))
    with pytest.raises(ValueError, match=r"^--method captions needs a finding for every image.*--method full\.$"):
        clip.main(words("clip-zero-shot", bare, tmp_path / "other", checkpoints, steps=1))
    assert not (tmp_path / "other" / "release").exists()


def test_a_wrong_data_set_ends_with_one_sentence_and_no_traceback(tmp_path):
    command = [sys.executable, "-m", "train.unet", "--dataset", "./nowhere", "--output_dir", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "There is no folder ./nowhere; --dataset takes a folder or a Hub id" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_resnet_learns_several_findings_an_image_and_a_clip_refuses_them(covid_qu_ex, checkpoints, tmp_path, xray):
    multi = ["--multi_label", "True", "--label_column", "label", "--labels", "COVID-19,Normal"]
    command = [*words("resnet", covid_qu_ex, tmp_path, checkpoints, steps=2), *multi, "--max_eval_samples=6"]
    scores = resnet.main(command)
    assert scores["images_per_class"] == [2, 2]
    facts = check_folder(tmp_path / "release")
    assert facts.results["auroc_per_class"] == scores["auroc_per_class"]
    pipeline = XrayPipeline.from_pretrained({**checkpoints, "resnet": str(tmp_path / "release")})
    answer = pipeline(read_image(xray)).classifiers["resnet"]
    assert list(answer) == ["COVID-19", "Normal"]
    classifier, image = pipeline.classifiers["resnet"], read_image(xray)
    view = apply_view(image, pipeline.segmenter(image).lungs, "lungs")
    logits = classifier.model(torch.from_numpy(classifier.pixel_values([view]))).logits[0]
    assert list(answer.values()) == pytest.approx(logits.sigmoid().tolist(), abs=1e-5)
    with pytest.raises(ValueError, match=r"^A CLIP shares one probability among the classes"):
        clip.main([*words("clip-finetuned", covid_qu_ex, tmp_path / "clip", checkpoints, steps=2), *multi])


def test_a_classifier_learns_classes_that_metadata_names(covid_qu_ex, checkpoints, tmp_path):
    named = ["--label_column=finding", "--labels=No Finding,Pneumonia", "--max_eval_samples=4"]
    resnet.main([*words("resnet", covid_qu_ex, tmp_path, checkpoints, steps=2), *named])
    facts = check_folder(tmp_path / "release")
    assert facts.labels == ["No Finding", "Pneumonia"]
    assert facts.data["images"]["test"] == {"No Finding": 2, "Pneumonia": 2}


def test_a_training_that_starts_from_a_calibrated_checkpoint_is_calibrated_anew(
    covid_qu_ex, checkpoints, folder, tmp_path
):
    classifier = tiny_models.resnet()
    Calibration(temperature=5.0, least=0.1).write(classifier.model.config)
    classifier.save_pretrained(tmp_path / "bare")
    facts = replace(CardFacts.load(folder), labels=list(LABELS))
    first = tiny_models.write_release("resnet", tmp_path / "bare", facts, tmp_path / "first")
    command = [*words("resnet", covid_qu_ex, tmp_path / "out", checkpoints, steps=1), "--learning_rate=0"]
    results = resnet.main([*command, f"--model_name_or_path={first}"])
    release_facts = CardFacts.load(tmp_path / "out" / "release")
    assert release_facts.base_model == "the resnet checkpoint of this project, itself from random weights"
    again = resnet.main([*command, f"--model_name_or_path={checkpoints['resnet']}", f"--output_dir={tmp_path / 'two'}"])
    assert results["temperature"] == pytest.approx(again["temperature"], rel=1e-3)  # the same weights


class Stopped(BaseException):
    """The end of a process, which no handler of the product sees."""


def test_a_run_that_was_interrupted_stops_early_where_it_would_have(covid_qu_ex, tmp_path, monkeypatch):
    def trained(folder: str, stop_at: int | None = None) -> int:
        """Train with a learning rate of nearly 0, so that no epoch is better than the first; returns the last step."""
        save = resnet.XrayTrainer._save_checkpoint

        def save_and_stop(trainer, *args, **kwargs) -> None:
            save(trainer, *args, **kwargs)
            if trainer.state.global_step == stop_at:
                raise Stopped

        monkeypatch.setattr(resnet.XrayTrainer, "_save_checkpoint", save_and_stop)
        command = ["--dataset", str(covid_qu_ex), "--output_dir", str(tmp_path / folder), "--depth", "10"]
        command += [
            "--image_size",
            "32",
            "--view",
            "full",
            "--learning_rate",
            "1e-12",
            "--early_stopping_patience",
            "3",
        ]
        resnet.main([*command, "--num_train_epochs", "9", "--label_smoothing", "0"])
        monkeypatch.setattr(resnet.XrayTrainer, "_save_checkpoint", save)
        return CardFacts.load(tmp_path / folder / "release").procedure["steps run"]

    whole = trained("whole")
    assert 4 <= whole < 9
    with pytest.raises(Stopped):
        trained("stopped", stop_at=whole - 1)
    monkeypatch.undo()
    assert trained("stopped") == whole


def test_a_tracker_gets_the_losses_and_scores(covid_qu_ex, tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "log"))
    command = ["--dataset", str(covid_qu_ex), "--output_dir", str(tmp_path), "--depth", "10", "--image_size", "32"]
    resnet.main([*command, "--view", "full", "--max_steps", "2", "--logging_steps", "1", "--report_to", "tensorboard"])
    (file,) = (tmp_path / "log").rglob("events.out.tfevents.*")
    assert b"train/loss" in file.read_bytes()
    assert b"eval/accuracy" in file.read_bytes()
