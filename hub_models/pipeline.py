"""From one X-ray to all that the page shows: outlines, involvement and every classifier's probabilities."""

import gc
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from hub_models.checkpoints.folder import Checkpoint, CheckpointError
from hub_models.checkpoints.resolve import resolve
from hub_models.checkpoints.roles import ROLES, of_family
from hub_models.engines.engine import Engine, cores_for
from hub_models.models.clip import Prompts
from hub_models.models.features import Looks
from hub_models.models.fusion import FusionClassifier, NotJoined
from hub_models.models.gradcam import Explanation, explain
from hub_models.models.loading import Classifier, join, load_model
from hub_models.models.unet import Masks, Segmenter
from hub_models.models.views import NoLungs
from hub_models.xray.masks import Involvement, measure_involvement

logger = logging.getLogger(__name__)


Answers = dict[str, dict[str, float]]
"""Role -> class -> probability."""
Sentences = list[dict[str, str | float]]


@dataclass(frozen=True)
class Report:
    """Everything about one X-ray.

    Attributes:
        image: float32 (H, W) in 0..1.
        masks: the outlines, of the image's size.
        involvement: infected share of each lung.
        classifiers: role -> class -> probability; a role that could not answer is missing.
        notes: one sentence for each role that could not answer, in plain words.
        engines: role -> what ran its networks, in words.
    """

    image: np.ndarray
    masks: Masks
    involvement: Involvement
    classifiers: dict[str, dict[str, float]]
    notes: list[str]
    engines: dict[str, str] = field(default_factory=dict)


class XrayPipeline:
    """A segmenter and the classifiers that are shown what it outlined."""

    def __init__(
        self, segmenter: Segmenter, classifiers: dict[str, Classifier], checkpoints: dict[str, Checkpoint]
    ) -> None:
        self.segmenter = segmenter
        self.classifiers = classifiers
        self.checkpoints = checkpoints
        self._join()

    @classmethod
    def from_pretrained(cls, overrides: Mapping[str, str] | None = None) -> "XrayPipeline":
        """Load every role's checkpoint.

        Args:
            overrides: role -> folder or Hub id; the others come from the environment or ship with the project.

        Raises:
            CheckpointError: if a checkpoint cannot be had or does not load.
        """
        overrides = overrides or {}
        if unknown := sorted(overrides.keys() - set(ROLES)):
            raise CheckpointError(f"There is no role {unknown[0]!r}; the roles are {', '.join(ROLES)}.")
        checkpoints = {role: resolve(role, overrides.get(role)) for role in ROLES}
        models = {role: load_model(checkpoint) for role, checkpoint in checkpoints.items()}
        return cls(models.pop("unet"), models, checkpoints)

    def use(self, checkpoint: Checkpoint) -> Callable[[], None]:
        """Load a checkpoint and put it in place of its role's model.

        Returns:
            A function that puts back what was there; the memory of that is freed once nobody holds the function.

        Raises:
            CheckpointError: if it does not load; the model in place then stays.
        """
        role, model = checkpoint.role, load_model(checkpoint)
        before = self.segmenter if role == "unet" else self.classifiers[role]
        put_back = partial(self._put, self.checkpoints[role], before)
        self._put(checkpoint, model)
        gc.collect()
        return put_back

    def _put(self, checkpoint: Checkpoint, model: Segmenter | Classifier) -> None:
        if checkpoint.role == "unet":
            self.segmenter = model
        else:
            self.classifiers[checkpoint.role] = model
        self.checkpoints[checkpoint.role] = checkpoint
        if checkpoint.role in ("fusion", *ROLES["fusion"].parts):
            self._join()

    def _join(self) -> None:
        """Put the fusion between its parts; where others are in use, it says so instead of an answer."""
        if isinstance(fusion := self.classifiers.get("fusion"), FusionClassifier):
            with suppress(NotJoined):
                join(fusion, self.classifiers, self.checkpoints)

    @property
    def engines(self) -> dict[str, Engine]:
        """Role -> what runs its networks; the fusion has none of its own."""
        models = {"unet": self.segmenter} | self.classifiers
        return {role: model.engine for role, model in models.items() if not isinstance(model, FusionClassifier)}

    @property
    def engine_names(self) -> dict[str, str]:
        """The same in words."""
        return {role: str(engine) for role, engine in self.engines.items()}

    def segment(self, image: np.ndarray) -> tuple[Masks, Involvement]:
        """Outline lungs and infection on an X-ray, float32 (H, W) in 0..1, and measure the infected shares."""
        return self.outline([image])[0]

    def outline(self, images: list[np.ndarray]) -> list[tuple[Masks, Involvement]]:
        """What `segment` gives, of each of some X-rays, in one pass of the network."""
        with cores_for([self.segmenter.engine]):
            found = self.segmenter.outline(images)
        return [(masks, measure_involvement(masks.lungs, masks.infection)) for masks in found]

    def classify(
        self, image: np.ndarray, masks: Masks, prompts: Prompts | None = None
    ) -> tuple[dict[str, dict[str, float]], list[str]]:
        """Ask every classifier about an X-ray.

        Args:
            image: float32 (H, W) in 0..1.
            masks: what `segment` outlined on it.
            prompts: sentences of each class for the zero-shot CLIP; its own if not given.

        Returns:
            (role -> class -> probability, a sentence for each role that could not answer)

        Raises:
            ValueError: if a class has no prompt.
        """
        return self._ask(self._all(prompts), Looks([image], [masks.lungs]))[0]

    def _all(self, prompts: Prompts | None) -> dict[str, Prompts | None]:
        return dict.fromkeys(self.classifiers) | {"clip-zero-shot": prompts}

    def _ask(self, asked: Mapping[str, Prompts | None], looks: Looks) -> list[tuple[Answers, list[str]]]:
        """What `classify` gives of each X-ray, of the roles that are there.

        Args:
            asked: role -> the sentences that it is asked, or None for its own.
            looks: the X-rays.
        """
        found: list[tuple[Answers, list[str]]] = [({}, []) for _ in looks.images]
        asked = {role: prompts for role, prompts in asked.items() if role in self.classifiers}
        with cores_for([engine for role, engine in self.engines.items() if role in asked]):
            for role, prompts in asked.items():
                for (answers, notes), one in zip(found, self._ask_one(role, prompts, looks), strict=True):
                    if isinstance(one, dict):
                        answers[role] = one
                    else:
                        notes.append(f"{role} gave no answer: {one}")
        return found

    def _ask_one(
        self, role: str, prompts: Prompts | None, looks: Looks
    ) -> list[dict[str, float] | NoLungs | NotJoined | None]:
        """Of each X-ray one classifier's probabilities, or why there are none."""
        classifier, options = self.classifiers[role], {} if prompts is None else {"prompts": prompts}
        try:
            eyes = classifier.eyes
        except NotJoined as refusal:
            return [refusal] * len(looks.images)
        refusals = [[looks.refusal(eye, position) for eye in eyes] for position in range(len(looks.images))]
        found = [next(filter(None, refused), None) for refused in refusals]
        seen = [position for position, refused in enumerate(found) if refused is None]
        if seen:
            vectors = (torch.stack([looks.vectors(eye)[position] for position in seen]) for eye in eyes)
            for position, answer in zip(seen, classifier.answer(*vectors, **options), strict=True):
                found[position] = answer
        return found

    def explain(self, image: np.ndarray, masks: Masks) -> dict[str, Explanation]:
        """Where each classifier finds what speaks for its most probable class.

        Args:
            image: float32 (H, W) in 0..1.
            masks: what `segment` outlined on it.

        Returns:
            role -> explanation; a role that cannot answer is missing, and the fusion, which looks through its parts.
        """
        found = {}
        for role, classifier in self.classifiers.items():
            if isinstance(classifier, FusionClassifier):
                continue
            with suppress(NoLungs):
                found[role] = explain(classifier, image, masks.lungs)
        return found

    def compare_prompts(
        self, image: np.ndarray, masks: Masks, prompts: Prompts
    ) -> tuple[Answers, list[str], Sentences]:
        """What both CLIPs make of the same sentences, beside the ResNet, which knows its own classes only.

        Args:
            image: float32 (H, W) in 0..1.
            masks: what `segment` outlined on it.
            prompts: sentences of each class.

        Returns:
            (role -> class -> probability; a sentence for each role that could not answer; of each sentence its "class",
            "sentence", and of each CLIP that answered role -> cosine similarity, -1 to 1)

        Raises:
            ValueError: if a class has no prompt.
        """
        looks = Looks([image], [masks.lungs])
        ((answers, notes),) = self._ask(dict.fromkeys(of_family("clip"), prompts) | {"resnet": None}, looks)
        sentences = [{"class": label, "sentence": text} for label, texts in prompts.items() for text in texts]
        for role in of_family("clip"):
            if role in answers:
                texts = [row["sentence"] for row in sentences]
                clip = self.classifiers[role]
                (found,) = clip.similarities(looks.vectors(clip)[0][None], texts)
                for row, similarity in zip(sentences, found, strict=True):
                    row[role] = similarity
        return answers, notes, sentences

    def __call__(self, image: np.ndarray, prompts: Prompts | None = None) -> Report:
        """Everything about one X-ray, float32 (H, W) in 0..1; `prompts` as in `classify`."""
        return self.many([image], prompts)[0]

    def many(self, images: list[np.ndarray], prompts: Prompts | None = None) -> list[Report]:
        """What a call gives, of each of some X-rays, in one pass of each network."""
        outlined = self.outline(images)
        looks = Looks(images, [masks.lungs for masks, _ in outlined])
        asked, engines = self._ask(self._all(prompts), looks), self.engine_names
        found = zip(images, outlined, asked, strict=True)
        return [Report(image, *outlines, *answers, engines) for image, outlines, answers in found]

    def report(
        self, image: np.ndarray, masks: Masks, involvement: Involvement, prompts: Prompts | None = None
    ) -> Report:
        """What a call gives, of an X-ray that `segment` has outlined."""
        return Report(image, masks, involvement, *self.classify(image, masks, prompts), self.engine_names)
