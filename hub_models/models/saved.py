"""A checkpoint's files as settings and arrays: what a model needs beside its networks, without PyTorch."""

import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
from safetensors import safe_open

from hub_models.checkpoints.folder import WEIGHTS_FILE

UNNAMED = {0: "LABEL_0", 1: "LABEL_1"}
"""Classes of a config that names none; transformers leaves these two out when it writes one."""


class SavedModel:
    """The config and the weights of a checkpoint whose networks another engine than PyTorch runs.

    Attributes:
        folder: the checkpoint's folder.
        config: its settings as attributes; `id2label` has whole numbers as keys, and parts named `..._config` are
            settings themselves.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._arrays: dict[str, np.ndarray] = {}
        settings = read_json(self.folder / "config.json")
        labels = settings.get("id2label")
        settings["id2label"] = {int(position): label for position, label in labels.items()} if labels else UNNAMED
        self.config = _as_attributes(
            {"num_labels": len(settings["id2label"]), "problem_type": None, "label2id": {}} | settings
        )

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name of a weight -> its shape."""
        with safe_open(self.folder / WEIGHTS_FILE, "numpy") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118

    def check(self, wanted: dict[str, tuple[int, ...]]) -> None:
        """Compare the weights with names and shapes, of all of them.

        Raises:
            ValueError: if one is missing, left over or of another shape.
        """
        problems = {
            "missing": wanted.keys() - self.shapes.keys(),
            "unexpected": self.shapes.keys() - wanted.keys(),
            "mismatched": {name for name in wanted.keys() & self.shapes.keys() if wanted[name] != self.shapes[name]},
        }
        for problem, names in problems.items():
            if names:
                self._refuse(problem, sorted(names)[:3])

    def _refuse(self, problem: str, names: Iterable[str]) -> NoReturn:
        text = f"The weights in {self.folder} do not fit their config: {problem} keys {', '.join(names)}."
        raise ValueError(text)

    def array(self, name: str) -> np.ndarray:
        """Read a weight by its name, float32, once; it is not to be changed.

        Raises:
            ValueError: if there is none of this name.
        """
        if name not in self.shapes:
            self._refuse("missing", [name])
        if name not in self._arrays:
            with safe_open(self.folder / WEIGHTS_FILE, "numpy") as tensors:
                self._arrays[name] = tensors.get_tensor(name).astype(np.float32)
        return self._arrays[name]


class SavedProcessor(SimpleNamespace):
    """The settings of an image processor as attributes: `size`, `image_mean`, ..., those of this project among them."""

    @classmethod
    def read(cls, folder: str | Path) -> "SavedProcessor":
        """Read a checkpoint's folder.

        Raises:
            ValueError: if it says nothing of pixels.
        """
        whole, own = Path(folder, "processor_config.json"), Path(folder, "preprocessor_config.json")
        if whole.is_file() and (settings := read_json(whole).get("image_processor")):
            return cls(**settings)
        if own.is_file():
            return cls(**read_json(own))
        raise ValueError(f"{folder} holds no preprocessor_config.json, which says how pixels are made.")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings."""
        return dict(vars(self))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _as_attributes(settings: dict[str, Any]) -> SimpleNamespace:
    inner = {
        name: _as_attributes(value)
        for name, value in settings.items()
        if name.endswith("_config") and isinstance(value, dict)
    }
    return SimpleNamespace(**settings | inner)
