"""Choices that the environment makes: a role's checkpoint, the engine, and the precision of its files."""

import importlib.util
import os

from hub_models.checkpoints.roles import repository

ENGINES = ("openvino", "onnxruntime", "torch")
"""Engines, the fastest on a processor first."""

PRECISIONS = ("int8", "float32")
"""Precisions of ONNX files, the fastest first."""


def variable(role: str) -> str:
    """Name of the environment variable that chooses a role's checkpoint: `XRAY_CLIP_ZERO_SHOT` for "clip-zero-shot"."""
    return "XRAY_" + role.upper().replace("-", "_")


def chosen_checkpoint(role: str) -> str | None:
    """The environment's choice: the role's own variable, else its repository in the namespace `XRAY_NAMESPACE`."""
    namespace = os.environ.get("XRAY_NAMESPACE")
    return os.environ.get(variable(role)) or (repository(namespace, role) if namespace else None)


def fastest_engine() -> str:
    """The first of `ENGINES` that is installed.

    Raises:
        ValueError: none is.
    """
    for name in ENGINES:
        if importlib.util.find_spec(name):
            return name
    raise ValueError("no engine for the networks is installed: pip install -r requirements-page.txt")


def chosen_engine() -> str:
    """The engine that XRAY_ENGINE names; else the fastest that is installed.

    Raises:
        ValueError: there is no such engine, or it is not installed.
    """
    engine = os.environ.get("XRAY_ENGINE")
    if not engine:
        return fastest_engine()
    if engine not in ENGINES:
        raise ValueError(f"XRAY_ENGINE is {engine!r}; choose one of {', '.join(ENGINES)}")
    if not importlib.util.find_spec(engine):
        raise ValueError(f"XRAY_ENGINE is {engine}, which is not installed: pip install {engine}")
    return engine


def chosen_precisions() -> tuple[str, ...]:
    """The precision that XRAY_PRECISION names; else all, the fastest first.

    Raises:
        ValueError: there is no such precision.
    """
    precision = os.environ.get("XRAY_PRECISION")
    if precision and precision not in PRECISIONS:
        raise ValueError(f"XRAY_PRECISION is {precision!r}; choose one of {', '.join(PRECISIONS)}")
    return (precision,) if precision else PRECISIONS
