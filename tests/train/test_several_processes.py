"""Two processes of one training, as torchrun and accelerate start them: one release, and the figures of one process."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hub_models.publish.check import check_folder
from train import resnet
from train.script.repeats import flat

PROJECT = Path(resnet.__file__).parents[1]
LAUNCHERS = {
    "torchrun": ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29631", "-m"],
    "accelerate": [
        *("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"),
        *("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "29632", "-m"),
    ],
}  # accelerate's --cpu starts one process; the script's own --use_cpu is what keeps two of them on the processor


@pytest.mark.parametrize(
    ("launcher", "script"), [("torchrun", "train.resnet"), ("accelerate", "train.resnet"), ("torchrun", "train.unet")]
)
def test_two_processes_train_together_and_one_saves_and_measures(launcher, script, covid_qu_ex, tmp_path):
    own = {"train.resnet": ["--depth", "10"], "train.unet": ["--encoder", "resnet18", "--encoder_weights", "none"]}
    command = [sys.executable, *LAUNCHERS[launcher], script, "--dataset", str(covid_qu_ex), "--use_cpu", "True"]
    command += ["--max_steps", "2", "--per_device_train_batch_size", "2", "--image_size", "32", *own[script]]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "XRAY_LUNGS_CACHE": str(tmp_path / "lungs"),
    }
    done = subprocess.run(
        [*command, "--output_dir", str(tmp_path / "run")], cwd=PROJECT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("Saved ") == 1
    facts = check_folder(tmp_path / "run" / "release")
    assert (facts.procedure["batch size"], facts.procedure["steps run"]) == (4, 2)
    assert facts.results["images"] == (4 if script == "train.unet" else 6)
    if script == "train.resnet":
        (file,) = (tmp_path / "lungs").glob("*.sqlite")
        connection = sqlite3.connect(file)
        assert connection.execute("SELECT COUNT(*) FROM lungs").fetchone() == (24,)
        connection.close()


@pytest.mark.parametrize(
    ("script", "own"),
    [
        ("train.resnet", ["--depth", "10", "--balance", "0.5"]),
        ("train.unet", ["--encoder", "resnet18", "--encoder_weights", "none"]),
    ],
)
def test_two_processes_reach_the_figures_of_one_with_the_same_batches(script, own, covid_qu_ex, tmp_path):
    results = []
    for name, launcher, batch in (("one", ["-m"], 4), ("two", LAUNCHERS["torchrun"], 2)):
        command = [sys.executable, *launcher, script, "--dataset", str(covid_qu_ex), "--use_cpu", "True", *own]
        command += ["--num_train_epochs", "2", "--image_size", "32", "--output_dir", str(tmp_path / name)]
        command += [f"--per_device_{part}_batch_size={batch}" for part in ("train", "eval")]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        results.append(flat(check_folder(tmp_path / name / "release").results))
    one, two = results
    assert one.keys() == two.keys()
    assert len(one) > 15
    assert two == pytest.approx(one, abs=1e-3, rel=1e-3)  # relative for the temperature, which may be 10
