"""Where the models run. There is no graphics card here: PyTorch's device "meta", which holds no numbers, stands in."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from hub_models.checkpoints.folder import Checkpoint
from hub_models.checkpoints.roles import ROLES
from hub_models.engines import device
from hub_models.engines.pytorch import load
from hub_models.engines.pytorch.device import best_device
from hub_models.models.loading import join, load_model

IMAGE, LUNGS = np.zeros((64, 64), np.float32), np.ones((64, 64), bool)


@pytest.mark.parametrize(("there", "kind"), [(True, "cuda"), (False, "cpu")])
def test_the_graphics_card_is_used_when_there_is_one(monkeypatch, there, kind):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert best_device().type == kind
    monkeypatch.setattr(device, "_loads", lambda library: library == "libcuda.so.1")
    assert device.has_graphics_card() is there


def test_pytorch_is_asked_for_a_graphics_card_only_where_there_is_a_driver_or_one_is_lent(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device, "_loads", lambda library: False)
    monkeypatch.setattr(device, "AMD_DEVICE", tmp_path / "kfd")
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert not device.has_graphics_card()
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert device.has_graphics_card()
    monkeypatch.setattr(device, "pytorch_is_installed", lambda: False)
    assert not device.has_graphics_card()


@pytest.mark.parametrize("role", ROLES)
def test_a_loaded_model_computes_on_the_best_device_and_its_answer_is_fetched_from_there(
    role, checkpoints, monkeypatch
):
    monkeypatch.setattr(load, "best_device", lambda: torch.device("meta"))
    found = {role: Checkpoint(role, folder, "folder", "tiny") for role, folder in checkpoints.items()}
    model = load_model(found[role])
    if role == "fusion":
        join("fusion", {"fusion": model} | {part: load_model(found[part]) for part in ROLES["fusion"].parts}, found)
    # Numbers left on another device would be a RuntimeError; an answer on "meta" has none to fetch.
    with pytest.raises((NotImplementedError, RuntimeError), match=r"out of meta tensor|on meta tensors|to_list.*meta"):
        model(IMAGE) if role == "unet" else model(IMAGE, LUNGS)


@pytest.fixture
def machine(monkeypatch, tmp_path) -> Path:
    """One of eight cores whose control group tells nothing yet; the file in which it would."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(device, "CGROUP", tmp_path / "cpu.max")
    return tmp_path / "cpu.max"


def test_a_network_gets_a_thread_for_each_core_that_this_process_may_use(machine, monkeypatch):
    assert device.threads() == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 5})
    assert device.threads() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert device.threads() == 4
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert device.threads() == 1


@pytest.mark.parametrize(
    ("quota", "threads"),
    [
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("1600000 100000", 8),
        ("max 100000", 8),
        ("", 8),
    ],
)
def test_a_container_gets_no_more_threads_than_its_share_of_the_cores(machine, quota, threads):
    machine.write_text(quota + "\n")
    assert device.threads() == threads


@pytest.mark.parametrize(("wish", "threads"), [("3", 3), ("16", 16), ("0", 8), ("", 8), ("-1", 8), ("4,2", 8)])
def test_the_environment_says_how_many_threads_unless_it_is_no_number(machine, monkeypatch, wish, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", wish)
    assert device.threads() == threads
