"""CLIP: a segmented chest X-ray compared with sentences, zero-shot or fine-tuned."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from hub_models.engines.engine import Engine
from hub_models.models.classifier import NetworkClassifier
from hub_models.models.features import SharedFeatures
from hub_models.models.gradcam import position_of
from hub_models.models.labels import LABELS, Prompts, prompts_for
from hub_models.models.report import Sentences
from hub_models.models.saved import SavedModel
from hub_models.models.sentence_pooling import pool, vector_near
from hub_models.models.tokens import SavedTokenizer
from hub_models.models.views import View
from hub_models.xray.geometry import DETAIL

if TYPE_CHECKING:  # the page runs without transformers
    from transformers import PreTrainedModel, ProcessorMixin

MAX_KNOWN_PROMPTS = 256  # classes whose sentences' vectors are remembered

SCALE, PROJECTION = "logit_scale", "visual_projection.weight"
"""Names of a dual encoder's learned temperature and of its image tower's last layer."""


class ClipClassifier(NetworkClassifier):
    """Any CLIP-style dual encoder that `AutoModel` loads, with its processor and the prompts of each class.

    The probability of a class is the softmax over the classes of its cosine similarity times the learned temperature
    (Radford et al. 2021, section 3.1); a class's text embedding is the mean over its prompts, or, for the classes of a
    linear probe, a vector that was learned in its place. With a `sentence_sharpness` there is no such mean: the
    similarity to a class is that to its sentences, and the nearer ones count more. Classes, prompts, vectors, sharpness
    and view stand in the config as `label2id`, `prompts`, `class_vectors`, `sentence_sharpness` and `view`; a
    checkpoint without them gets the default classes and the whole image.
    """

    family = "clip"
    network_names = ("image", "text")

    def __init__(self, model: Any, processor: Any, engine: Engine | None = None) -> None:
        super().__init__(model, processor, engine)
        self._tokenizer: SavedTokenizer | None = None
        self._known_sentences: dict[tuple[Engine, tuple[str, ...]], np.ndarray] = {}

    @classmethod
    def new(
        cls, model: "PreTrainedModel", processor: "ProcessorMixin", labels: Sequence[str], view: View
    ) -> "ClipClassifier":
        """Make a classifier of a dual encoder and class names; `prompts_for` gives the prompts of each class."""
        model.config.label2id = {label: i for i, label in enumerate(labels)}
        model.config.id2label = dict(enumerate(labels))
        model.config.prompts = prompts_for(labels)
        model.config.class_vectors = model.config.sentence_sharpness = None
        model.config.view, model.config.detail = view, DETAIL
        return cls(model, processor)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, pickled: bool = False, engine_name: str | None = None
    ) -> "ClipClassifier":
        """Load a saved folder strictly, with the fastest engine or one of `ENGINES`.

        Args:
            folder: the folder.
            pickled: read a pickle's tensors, and nothing else in it, instead of safetensors.
            engine_name: the engine.

        Raises:
            ValueError: if a tensor is missing or left over, the model has no image and text features, or PyTorch is
                needed and not installed.
        """
        classifier = cls(*cls._open(folder, pickled, engine_name))
        if isinstance(classifier.model, SavedModel):
            positions = classifier.model.config.text_config.max_position_embeddings
            classifier._tokenizer = SavedTokenizer(folder, positions)
        return classifier

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json, model.safetensors (float16), processor_config.json and the tokenizer's files.

        Its model is a PyTorch module.
        """
        from hub_models.engines.pytorch import weights

        weights.save_pretrained(self.model, folder)
        self.processor.save_pretrained(folder)

    @property
    def prompts(self) -> dict[str, list[str]]:
        """Sentences of each class, in the order of `labels`."""
        prompts = getattr(self.model.config, "prompts", None)
        if not prompts:
            return prompts_for(LABELS)
        # A saved config sorts its keys; the order of the classes stands in label2id.
        order = self.model.config.label2id
        return {label: prompts[label] for label in sorted(prompts, key=lambda label: order.get(label, len(order)))}

    @property
    def labels(self) -> list[str]:
        """Classes in the order of the probabilities."""
        return list(self.prompts)

    def divide_logits(self, temperature: float) -> None:
        """Make all logits smaller by a factor, in the learned temperature of its PyTorch module."""
        self.model.logit_scale.data -= float(np.log(temperature))

    @property
    def pixel_processor(self) -> Any:
        """The image processor, which turns a view into the image tower's input."""
        return getattr(self.processor, "image_processor", self.processor)

    def tokens(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Token ids and attention mask, int64 (N, L) each, of N sentences; long ones are cut at the tower's length."""
        if self._tokenizer:
            return self._tokenizer(texts)
        tokenizer = self.processor.tokenizer
        limit = min(tokenizer.model_max_length, self.model.config.text_config.max_position_embeddings)
        encoded = tokenizer(list(texts), padding=True, truncation=True, max_length=limit, return_tensors="np")
        return {name: np.int64(encoded[name]) for name in ("input_ids", "attention_mask")}

    def outputs(self, pixel_values: np.ndarray) -> tuple[np.ndarray, ...]:
        """Unit vectors, float32 (N, D), and the maps of an image tower that ends in some, by the engine."""
        return self.run("image", pixel_values)

    @property
    def sentence_sharpness(self) -> float | None:
        """How much the nearer of a class's sentences count more (see `sentence_pooling`); None for all alike."""
        return getattr(self.model.config, "sentence_sharpness", None)

    def embed_prompts(self, prompts: Prompts) -> np.ndarray:
        """Unit vectors, float32 (C, D), one a class: the mean of its prompts' vectors, normalised.

        Raises:
            ValueError: if there is no class, or a class has no prompt.
        """
        means = np.stack([sentences.mean(axis=0) for sentences in self._embed_sentences(prompts)])
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    def embed_classes(
        self, prompts: Prompts | None = None, near: np.ndarray | None = None
    ) -> tuple[list[str], np.ndarray]:
        """The classes to compare an image with, and their vectors, float32 (C, D).

        Without prompts these are its own classes, with learned vectors if it has them, else with those of its prompts.

        Args:
            prompts: sentences of each class; its own if not given.
            near: an image's unit vector, float32 (D,). With a `sentence_sharpness` it decides how much each sentence
                counts in the vectors: those returned have the similarities of this image, and their gradients.

        Raises:
            ValueError: if there is no class, or a class has no prompt.
        """
        own = self._learned_vectors if prompts is None else None
        if own is not None:
            return self.labels, np.float32([own[label] for label in self.labels])
        classes = list(self.prompts if prompts is None else prompts)
        if near is None or (sentences := self._sentences_to_pool(prompts)) is None:
            return classes, self.embed_prompts(self.prompts if prompts is None else prompts)
        return classes, np.stack([vector_near(near, vectors, self.sentence_sharpness) for vectors in sentences])

    def class_similarities(
        self, embeddings: np.ndarray, prompts: Prompts | None = None
    ) -> tuple[list[str], np.ndarray]:
        """Compare N images, unit vectors float32 (N, D), with classes; prompts and errors as in `embed_classes`.

        Returns:
            The C classes; float64 (N, C), -1 to 1.
        """
        if (sentences := self._sentences_to_pool(prompts)) is None:
            classes, texts = self.embed_classes(prompts)
            return classes, np.float64(embeddings @ texts.T)
        pooled = [pool(embeddings @ vectors.T, self.sentence_sharpness) for vectors in sentences]
        return list(self.prompts if prompts is None else prompts), np.stack(pooled, axis=1)

    @property
    def _learned_vectors(self) -> dict[str, list[float]] | None:
        return getattr(self.model.config, "class_vectors", None)

    def _sentences_to_pool(self, prompts: Prompts | None) -> list[np.ndarray] | None:
        """The sentences' vectors, float32 (n, D), of each class; None where a class is compared by one vector."""
        if self.sentence_sharpness is None or (prompts is None and self._learned_vectors is not None):
            return None
        return self._embed_sentences(self.prompts if prompts is None else prompts)

    def similarities(self, embeddings: np.ndarray, texts: Sequence[str]) -> list[list[float]]:
        """Cosine similarities, -1 to 1, of N unit vectors, float32 (N, D), with sentences, none of them blank."""
        return (embeddings @ self._read(texts).T).astype(np.float64).tolist()

    def score_class(
        self, vectors: np.ndarray, maps: np.ndarray, label: str | None, prompts: Prompts | None
    ) -> tuple[str, np.ndarray | None]:
        """The class, and the gradient of its logit through the unit length and the tower's last layer.

        It is None where the vectors are not the maps' means times that layer.
        """
        labels, texts = self.embed_classes(prompts, near=vectors[0])
        position = int((texts @ vectors[0]).argmax()) if label is None else position_of(label, labels)
        if PROJECTION not in self.model.shapes or self.model.shapes[PROJECTION][1] != maps.shape[1]:
            return labels[position], None
        projection = self.array(PROJECTION)
        projected = projection @ maps[0].mean(axis=(1, 2))
        length = np.linalg.norm(projected)
        unit, text = projected / length, texts[position]
        if not np.allclose(unit, vectors[0], atol=1e-3):
            return labels[position], None
        return labels[position], self.scale * (text - unit * (unit @ text)) @ projection / length

    @property
    def scale(self) -> float:
        """The learned factor on the similarities."""
        return float(np.exp(self.array(SCALE)))

    def answer(self, embeddings: np.ndarray, prompts: Prompts | None = None) -> list[dict[str, float]]:
        """Probability of each class, of each of N unit vectors, float32 (N, D); prompts and errors as in `classify`."""
        classes, similarities = self.class_similarities(embeddings, prompts)
        return [dict(zip(classes, row, strict=True)) for row in softmax(self.scale * similarities, axis=1).tolist()]

    def _embed_sentences(self, prompts: Prompts) -> list[np.ndarray]:
        """Unit vectors, float32 (n, D), of the sentences of each class; errors as in `embed_prompts`."""
        if not prompts or not all(any(text.strip() for text in texts) for texts in prompts.values()):
            raise ValueError("Every class needs at least one prompt; write a sentence for each.")
        return [self._embed_class(tuple(text for text in texts if text.strip())) for texts in prompts.values()]

    def _embed_class(self, texts: tuple[str, ...]) -> np.ndarray:
        key = self.engine, texts
        vectors = self._known_sentences.get(key)
        if vectors is None:
            if len(self._known_sentences) >= MAX_KNOWN_PROMPTS:
                self._known_sentences.clear()
            vectors = self._known_sentences[key] = self._read(texts)
        return vectors

    def _read(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, float32 (N, D), of sentences, by the engine."""
        return self.run("text", *self.tokens(texts).values())[0]


def compare_sentences(clips: Mapping[str, ClipClassifier], features: SharedFeatures, prompts: Prompts) -> Sentences:
    """Compare one X-ray with sentences, by several CLIPs.

    Args:
        clips: role -> classifier, each of which can answer about the X-ray.
        features: of that X-ray alone.
        prompts: sentences of each class, none of them blank.

    Returns:
        Of each sentence its "class", "sentence", and of each CLIP role -> cosine similarity, -1 to 1.
    """
    rows: Sentences = [{"class": label, "sentence": text} for label, texts in prompts.items() for text in texts]
    for role, clip in clips.items():
        (similarities,) = clip.similarities(features.stacked(clip, [0]), [row["sentence"] for row in rows])
        for row, similarity in zip(rows, similarities, strict=True):
            row[role] = similarity
    return rows
