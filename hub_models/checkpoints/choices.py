"""What the environment chooses: a role's checkpoint, the engine, and the precision of its files."""

import importlib.util
import os

from hub_models.checkpoints.roles import repository

ENGINES = ("openvino", "onnxruntime", "torch")
"""By speed on a processor, the fastest first."""

PRECISIONS = ("int8", "float32")
"""Of the ONNX files, the fastest first."""


def variable(role: str) -> str:
    """Name of the environment variable that chooses a role's checkpoint: `XRAY_CLIP_ZERO_SHOT` for "clip-zero-shot"."""
    return "XRAY_" + role.upper().replace("-", "_")


def asked_for(role: str) -> str | None:
    """What the environment asks for: the role's own variable, or its repository in the namespace `XRAY_NAMESPACE`."""
    namespace = os.environ.get("XRAY_NAMESPACE")
    return os.environ.get(variable(role)) or (repository(namespace, role) if namespace else None)


def fastest_engine() -> str:
    """The first of `ENGINES` that is installed."""
    return next(name for name in ENGINES if importlib.util.find_spec(name))


def wanted_engine() -> str:
    """The engine that XRAY_ENGINE names; else the fastest that is installed.

    Raises:
        ValueError: there is no such engine, or it is not installed.
    """
    wish = os.environ.get("XRAY_ENGINE")
    if not wish:
        return fastest_engine()
    if wish not in ENGINES:
        raise ValueError(f"XRAY_ENGINE is {wish!r}; choose one of {', '.join(ENGINES)}")
    if not importlib.util.find_spec(wish):
        raise ValueError(f"XRAY_ENGINE is {wish}, which is not installed: pip install {wish}")
    return wish


def wanted_precisions() -> tuple[str, ...]:
    """The precision that XRAY_PRECISION names; else all, the fastest first.

    Raises:
        ValueError: there is no such precision.
    """
    wish = os.environ.get("XRAY_PRECISION")
    if wish and wish not in PRECISIONS:
        raise ValueError(f"XRAY_PRECISION is {wish!r}; choose one of {', '.join(PRECISIONS)}")
    return (wish,) if wish else PRECISIONS
