"""Where the models run: the graphics card when there is one, else the processor, on as many threads as it has cores."""

import math
import os
from pathlib import Path

import torch
from torch import nn

CGROUP = Path("/sys/fs/cgroup/cpu.max")


def best_device() -> torch.device:
    """The first CUDA device, also one that ZeroGPU lends for the length of a call; else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_of(module: nn.Module) -> torch.device:
    """The device of a module's weights."""
    return next(module.parameters()).device


def threads() -> int:
    """How many threads a network gets: OMP_NUM_THREADS, else the cores that this process may use.

    A container sees all cores of its machine, also those that its quota leaves to others; threads that wait for those
    make a network slower than one thread is.
    """
    if (wish := os.environ.get("OMP_NUM_THREADS", "")).isdecimal() and int(wish):
        return int(wish)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _quota()))


def _quota() -> int:
    """Cores' worth of time that the control group grants; a huge number where it grants any."""
    try:
        quota, period = CGROUP.read_text(encoding="utf-8").split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # another system, or "max"
        return 1 << 16
