"""X-rays -> reports: outlines, infected shares and every classifier's probabilities."""

import gc
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import repeat

import numpy as np

from hub_models.checkpoints.folder import Checkpoint, CheckpointError
from hub_models.checkpoints.resolve import resolve
from hub_models.checkpoints.roles import ROLES, ZERO_SHOT, of_family
from hub_models.engines.engine import Engine, cores_for
from hub_models.models.classifier import Classifier, NetworkClassifier, Refused
from hub_models.models.clip import compare_sentences
from hub_models.models.conclusion import conclude
from hub_models.models.features import SharedFeatures
from hub_models.models.fusion import NotJoined
from hub_models.models.gradcam import Explanation
from hub_models.models.labels import Prompts
from hub_models.models.loading import join, load_model
from hub_models.models.orientation import Suggestion, suggest
from hub_models.models.report import Answers, Classified, Headers, Outlines, Report, Sentences
from hub_models.models.stability import harmless_views, shares_with_ranges
from hub_models.models.unet import Segmenter
from hub_models.models.views import NoLungs
from hub_models.xray.geometry import to_square
from hub_models.xray.images import Xray
from hub_models.xray.masks import NOT_MEASURED, Masks
from hub_models.xray.verdict import reasons_against


class XrayPipeline:
    """A segmenter, and the classifiers that see the lungs that it outlined."""

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
            A function that puts the earlier model back; its memory is freed once nobody holds the function.

        Raises:
            CheckpointError: if it does not load; the model in place then stays.
        """
        model, before = load_model(checkpoint), self.models[checkpoint.role]
        put_back = partial(self._put, self.checkpoints[checkpoint.role], before)
        self._put(checkpoint, model)
        gc.collect()
        return put_back

    def _put(self, checkpoint: Checkpoint, model: Segmenter | Classifier) -> None:
        if checkpoint.role == "unet":
            self.segmenter = model
        else:
            self.classifiers[checkpoint.role] = model
        self.checkpoints[checkpoint.role] = checkpoint
        self._join(changed=checkpoint.role)

    def _join(self, changed: str | None = None) -> None:
        """Join classifiers to their parts after a change of one role, or of all; one that does not fit is silent."""
        for role, row in ROLES.items():
            if row.parts and role in self.classifiers and changed in (None, role, *row.parts):
                with suppress(NotJoined):
                    join(role, self.classifiers, self.checkpoints)

    @property
    def models(self) -> dict[str, Segmenter | Classifier]:
        """Role -> model, the segmenter among them."""
        return {"unet": self.segmenter} | self.classifiers

    @property
    def network_models(self) -> dict[str, Segmenter | NetworkClassifier]:
        """Role -> model, of those that have networks of their own."""
        return {role: model for role, model in self.models.items() if model.network_names}

    @property
    def engines(self) -> dict[str, Engine]:
        """Role -> the engine that runs its networks."""
        return {role: model.engine for role, model in self.network_models.items()}

    @property
    def engine_names(self) -> dict[str, str]:
        """Role -> the engine that runs its networks, in words."""
        return {role: str(engine) for role, engine in self.engines.items()}

    def release_memory(self) -> None:
        """Give back the memory that networks keep for calls as large as the largest so far; none may run meanwhile."""
        for engine in self.engines.values():
            engine.release_memory()

    def segment(self, images: Sequence[np.ndarray]) -> list[Outlines]:
        """Outline lungs and infection on X-rays, float32 (H, W) in 0..1, and measure the infected shares.

        Harmless views of each X-ray go through the network with it: the shares come with their ranges over them.
        """
        squares = [to_square(image) for image in images]
        views = [view for square in squares for view in harmless_views(square)]
        with cores_for([self.segmenter.engine]):
            outlined = self.segmenter.segment(squares, views)
        return list(zip(outlined, shares_with_ranges(outlined, len(images)), strict=False))

    def suggest(self, image: np.ndarray) -> Suggestion | None:
        """Suggest how to turn, invert or mirror a picture, float32 (H, W) in 0..1, as `orientation.suggest` does."""
        with cores_for([self.segmenter.engine]):
            return suggest(self.segmenter, image)

    def classify(
        self,
        images: Sequence[np.ndarray],
        masks: Sequence[Masks],
        prompts: Prompts | None = None,
        headers: Headers | None = None,
        anyway: bool = False,
    ) -> list[Classified]:
        """Classify X-rays with every classifier, in one pass of each network.

        Args:
            images: N X-rays, float32 (H, W) in 0..1.
            masks: their outlines, from `segment`.
            prompts: sentences of each class for the zero-shot CLIP; its own if not given.
            headers: of each X-ray the reasons that its file gives against it, `Xray.reasons`; none if not given.
            anyway: whether to classify also what is refused as a frontal chest X-ray.

        Returns:
            For each X-ray (role -> class -> probability, notes): no classes for one that is refused, unless `anyway`.
            The notes are why it is refused, then a sentence for each role that could not answer.

        Raises:
            ValueError: if a class has no prompt.
        """
        reports = self.report(images, [(outlined, NOT_MEASURED) for outlined in masks], prompts, headers, anyway)
        return [(report.classifiers, [*report.reasons, *report.notes]) for report in reports]

    def _answer(self, images: list[np.ndarray], masks: list[Masks], prompts: Prompts | None) -> list[Classified]:
        questions = {role: prompts if role in ZERO_SHOT else None for role in self.classifiers}
        return self._classify(questions, SharedFeatures(images, [outlines.lungs for outlines in masks]))

    def _classify(self, questions: Mapping[str, Prompts | None], features: SharedFeatures) -> list[Classified]:
        """Classify X-rays with some roles, those that there are: role -> its prompts, None for its own."""
        results: list[Classified] = [({}, []) for _ in features.images]
        questions = {role: prompts for role, prompts in questions.items() if role in self.classifiers}
        with cores_for([engine for role, engine in self.engines.items() if role in questions]):
            for role, prompts in questions.items():
                answers, reasons = self.classifiers[role].answer_features(features, prompts)
                for position, answer in answers.items():
                    results[position][0][role] = answer
                for position, reason in reasons.items():
                    results[position][1].append(str(Refused(role, reason)))
        return results

    def explain(self, image: np.ndarray, masks: Masks) -> dict[str, Explanation]:
        """Explain each classifier's most probable class by the places that speak for it; one X-ray at a time.

        Args:
            image: float32 (H, W) in 0..1.
            masks: its outlines, from `segment`.

        Returns:
            role -> explanation; a role that cannot answer, or has no networks of its own, is missing.
        """
        explanations = {}
        for role, classifier in self.classifiers.items():
            with suppress(NoLungs):
                explanations[role] = classifier.explain(image, masks.lungs)
        return {role: explanation for role, explanation in explanations.items() if explanation is not None}

    def compare_prompts(
        self, image: np.ndarray, masks: Masks, prompts: Prompts
    ) -> tuple[Answers, list[str], Sentences]:
        """Compare one X-ray with the same sentences by every CLIP, beside the ResNet, which knows its own classes only.

        Args:
            image: float32 (H, W) in 0..1.
            masks: its outlines, from `segment`.
            prompts: sentences of each class.

        Returns:
            (role -> class -> probability; a sentence for each role that could not answer; of each CLIP that answered
            what `compare_sentences` returns)

        Raises:
            ValueError: if a class has no prompt.
        """
        features = SharedFeatures([image], [masks.lungs])
        questions = dict.fromkeys(of_family("clip"), prompts) | dict.fromkeys(of_family("resnet"))
        ((answers, notes),) = self._classify(questions, features)
        clips = {role: self.classifiers[role] for role in of_family("clip") if role in answers}
        return answers, notes, compare_sentences(clips, features, prompts)

    def report(
        self,
        images: Sequence[np.ndarray],
        outlines: Sequence[Outlines] | None = None,
        prompts: Prompts | None = None,
        headers: Headers | None = None,
        anyway: bool = False,
    ) -> list[Report]:
        """Report on X-rays, in one pass of each network; `conclude` says what the classifiers' answers come to.

        Args:
            images: N X-rays, float32 (H, W) in 0..1.
            outlines: their outlines, from `segment`; it is called if they are not given.
            prompts, headers, anyway: as in `classify`.

        Raises:
            ValueError: if a class has no prompt.
        """
        squares = [to_square(image) for image in images]  # once: a large picture takes a while
        outlines = self.segment(squares) if outlines is None else outlines
        masks, shares = [each for each, _ in outlines], [share for _, share in outlines]
        reasons = [reasons_against(*each) for each in zip(masks, headers or repeat(()), strict=False)]
        chosen = [position for position, why in enumerate(reasons) if anyway or not why]
        readable = [squares[position] for position in chosen], [masks[position] for position in chosen]
        answered = dict(zip(chosen, self._answer(*readable, prompts) if chosen else [], strict=True))
        reports, engines = [], self.engine_names
        for i, image in enumerate(images):
            share = shares[i] if i in answered else NOT_MEASURED
            answers, notes = answered.get(i, ({}, []))
            conclusion = conclude(answers, self.classifiers, prompts, masks[i].strangeness)
            reports.append(Report(image, masks[i], share, answers, notes, engines, reasons[i], conclusion))
        return reports

    def __call__(self, xray: np.ndarray | Xray, prompts: Prompts | None = None, anyway: bool = False) -> Report:
        """Report on one X-ray.

        Args:
            xray: float32 (H, W) in 0..1, or an X-ray as `read_xray` gives it, with what its header says.
            prompts, anyway: as in `classify`.
        """
        xray = xray if isinstance(xray, Xray) else Xray(xray)
        return self.report([xray.image], prompts=prompts, headers=[xray.reasons], anyway=anyway)[0]
