"""The machine that networks compute on: its number of threads, and whether there is a graphics card."""

import ctypes
import importlib.util
import math
import os
from functools import cache
from pathlib import Path

from threadpoolctl import LibController, ThreadpoolController

CGROUP = Path("/sys/fs/cgroup/cpu.max")

DRIVERS = ("libcuda.so.1", "libcuda.dylib", "nvcuda.dll")
"""Libraries that a driver of NVIDIA's graphics cards installs, by system."""

AMD_DEVICE = Path("/dev/kfd")
"""The device of AMD's graphics cards."""


def pytorch_is_installed() -> bool:
    """Whether the PyTorch engine can run; the page works without it."""
    return importlib.util.find_spec("torch") is not None


def has_graphics_card() -> bool:
    """Whether PyTorch is installed and finds a graphics card, also one that ZeroGPU lends.

    PyTorch, which takes seconds to import, is asked only where there is a driver for one.
    """
    lent = bool(os.environ.get("SPACES_ZERO_GPU"))
    if not pytorch_is_installed() or not (lent or AMD_DEVICE.exists() or any(map(_loads, DRIVERS))):
        return False
    from hub_models.engines.pytorch.device import best_device

    return best_device().type != "cpu"


def threads() -> int:
    """Number of threads for a network: OMP_NUM_THREADS, else the cores that this process may use.

    A container sees all cores of its machine, also those that its quota does not cover. Threads that wait for such
    cores make a network slower than a single thread.
    """
    if (number := os.environ.get("OMP_NUM_THREADS", "")).isdecimal() and int(number):
        return int(number)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _quota()))


@cache
def blas_threads() -> dict[LibController, int]:
    """Return the BLAS libraries that are loaded at the first call, and the number of threads of each at that time."""
    return {library: library.num_threads for library in ThreadpoolController().select(user_api="blas").lib_controllers}


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _quota() -> int:
    """Cores that the control group grants; a huge number where it sets no limit."""
    try:
        quota, period = CGROUP.read_text(encoding="utf-8").split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # another system, or "max"
        return 1 << 16
