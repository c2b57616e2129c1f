"""A checkpoint's folder -> its model, run by the fastest engine that there is for it."""

import json
import logging
import pickle
from collections.abc import Mapping

from safetensors import SafetensorError

from hub_models.checkpoints.folder import Checkpoint, CheckpointError, weights_digest
from hub_models.checkpoints.roles import ROLES
from hub_models.models.classifier import Classifier
from hub_models.models.clip import ClipClassifier
from hub_models.models.fusion import FusionClassifier
from hub_models.models.resnet import ResnetClassifier
from hub_models.models.unet import Segmenter

logger = logging.getLogger(__name__)

MODEL_CLASSES = {"unet": Segmenter, "resnet": ResnetClassifier, "clip": ClipClassifier, "fusion": FusionClassifier}
"""Family of a role -> the class that loads its checkpoint."""


def class_of(role: str) -> type[Segmenter | Classifier]:
    """The class that loads a role's checkpoint."""
    return MODEL_CLASSES[ROLES[role].family]


def join(role: str, models: Mapping[str, Classifier], checkpoints: Mapping[str, Checkpoint]) -> None:
    """Join a role's model to the models of its parts' roles.

    Args:
        role: a role that has parts.
        models: role -> model; the role's own and those of its parts are among them.
        checkpoints: role -> the checkpoint that a part's model was loaded from.

    Raises:
        NotJoined: if it was trained with others.
    """
    parts = ROLES[role].parts
    digests = {part: weights_digest(checkpoints[part].folder) for part in parts}
    models[role].join(*(models[part] for part in parts), digests)


def load_model(checkpoint: Checkpoint, engine_name: str | None = None) -> Segmenter | Classifier:
    """Load the model of a checkpoint, run by the fastest engine that there is for it, or by one of `ENGINES`.

    Raises:
        CheckpointError: if the folder holds another kind of model, its weights do not fit, the environment asks for an
            engine that is not there, or PyTorch is needed and not installed.
    """
    logger.info("Loading %s from %s", checkpoint.role, checkpoint.name)
    _check_kind(checkpoint)
    try:
        options = {"pickled": True} if checkpoint.pickled else {}
        return class_of(checkpoint.role).from_pretrained(checkpoint.folder, engine_name=engine_name, **options)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"The pickle in {checkpoint.name} holds more than tensors; it is not loaded.") from error
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, OSError, SafetensorError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise CheckpointError(f"The {checkpoint.role} model in {checkpoint.name} does not load: {reason}.") from error


def _check_kind(checkpoint: Checkpoint) -> None:
    """Refuse a model that is not of one of the role's kinds, before anything is loaded."""
    try:
        config = json.loads((checkpoint.folder / "config.json").read_text(encoding="utf-8"))
        kind = config.get("model_type") or config.get("_model_class")
    except (ValueError, AttributeError) as error:
        raise CheckpointError(
            f"The config.json in {checkpoint.name} is not a model's configuration: {error}."
        ) from error
    if kind not in ROLES[checkpoint.role].kinds:
        kinds = " or ".join(ROLES[checkpoint.role].kinds)
        raise CheckpointError(f"{checkpoint.name} holds a model of the kind {kind}; {checkpoint.role} takes {kinds}.")
