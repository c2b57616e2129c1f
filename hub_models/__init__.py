"""Models for lung X-rays: everything that makes a checkpoint usable, shared by the page and the training scripts.

The names in `__all__` are the public ones. Each is imported on its first use, so that importing the package takes no
time. Modules deeper down may move.
"""

import importlib

_HOMES = {
    "CardFacts": "hub_models.cards.facts",
    "CheckpointError": "hub_models.checkpoints.folder",
    "ClipClassifier": "hub_models.models.clip",
    "FusionClassifier": "hub_models.models.fusion",
    "ImageRefused": "hub_models.xray.images_grey",
    "ResnetClassifier": "hub_models.models.resnet",
    "Segmenter": "hub_models.models.unet",
    "XrayPipeline": "hub_models.pipeline",
    "draw_phantom": "hub_models.xray.phantom",
    "read_image": "hub_models.xray.images",
    "resolve": "hub_models.checkpoints.resolve",
    "weights_digest": "hub_models.checkpoints.folder",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    """Import a public name from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names beside what the module holds."""
    return sorted({*globals(), *_HOMES})
