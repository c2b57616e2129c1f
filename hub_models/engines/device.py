"""The device that the models run on: a graphics card if there is one, else the processor, a thread for each core."""

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
    """Number of threads for a network: OMP_NUM_THREADS, else the cores that this process may use.

    A container sees all cores of its machine, also those that its quota does not cover. Threads that wait for such
    cores make a network slower than a single thread.
    """
    if (number := os.environ.get("OMP_NUM_THREADS", "")).isdecimal() and int(number):
        return int(number)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _quota()))


def _quota() -> int:
    """Cores that the control group grants; a huge number where it sets no limit."""
    try:
        quota, period = CGROUP.read_text(encoding="utf-8").split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # another system, or "max"
        return 1 << 16
