"""CLIP: a segmented chest X-ray compared with sentences, zero-shot or fine-tuned."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModel, AutoProcessor, BaseImageProcessor, PreTrainedModel, ProcessorMixin

from hub_models.engines.device import best_device
from hub_models.engines.engine import Engine
from hub_models.models import weights
from hub_models.models.classifier import NetworkClassifier
from hub_models.models.features import SharedFeatures
from hub_models.models.labels import LABELS, Prompts, prompts_for
from hub_models.models.networks import ImageTower, TextTower
from hub_models.models.report import Sentences
from hub_models.models.views import View
from hub_models.xray.geometry import DETAIL

MAX_KNOWN_PROMPTS = 256  # classes whose vectors are remembered


class ClipClassifier(NetworkClassifier):
    """Any CLIP-style dual encoder that `AutoModel` loads, with its processor and the prompts of each class.

    The probability of a class is the softmax over the classes of its cosine similarity times the learned temperature
    (Radford et al. 2021, section 3.1); a class's text embedding is the mean over its prompts, or, for the classes of a
    linear probe, a vector that was learned in its place. Classes, prompts, vectors and view stand in the config as
    `label2id`, `prompts`, `class_vectors` and `view`; a checkpoint without them gets the default classes and the whole
    image.
    """

    network_names = ("image", "text")

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        self.model = model.eval()
        self.processor = processor
        self.engine = Engine()
        self._known_prompts: dict[tuple[Engine, tuple[str, ...]], torch.Tensor] = {}

    @classmethod
    def new(
        cls, model: PreTrainedModel, processor: ProcessorMixin, labels: Sequence[str], view: View
    ) -> "ClipClassifier":
        """Make a classifier of a dual encoder and class names; `prompts_for` gives the prompts of each class."""
        model.config.label2id = {label: i for i, label in enumerate(labels)}
        model.config.id2label = dict(enumerate(labels))
        model.config.prompts = prompts_for(labels)
        model.config.class_vectors = None
        model.config.view, model.config.detail = view, DETAIL
        return cls(model, processor)

    @classmethod
    def from_pretrained(cls, folder: str | Path, pickled: bool = False) -> "ClipClassifier":
        """Load a saved folder strictly, from safetensors or, if `pickled`, from a pickle's tensors.

        Raises:
            ValueError: if a tensor is missing or left over, or the model has no image and text features.
        """
        model = weights.load_strictly(AutoModel, folder, pickled)
        if not hasattr(model, "get_image_features") or not hasattr(model, "get_text_features"):
            raise ValueError(
                f"{folder} holds a {type(model).__name__}, which is not a CLIP: it has no image and text towers."
            )
        return cls(model.to(best_device()), AutoProcessor.from_pretrained(folder))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json, model.safetensors (float16), processor_config.json and the tokenizer's files."""
        weights.save_pretrained(self.model, folder)
        self.processor.save_pretrained(folder)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks that `engine` runs, by the names of their files."""
        return {"image": ImageTower(self.model), "text": TextTower(self.model)}

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

    @torch.no_grad()
    def divide_logits(self, temperature: float) -> None:
        """Make all logits smaller by a factor, in the learned temperature of the similarities."""
        self.model.logit_scale -= float(np.log(temperature))

    @property
    def pixel_processor(self) -> BaseImageProcessor:
        """The image processor, which turns a view into the image tower's input."""
        return self.processor.image_processor

    def tokens(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Token ids and attention mask, int64 (N, L) each, of N sentences; long ones are cut at the tower's length."""
        limit = min(self.processor.tokenizer.model_max_length, self.model.config.text_config.max_position_embeddings)
        encoded = self.processor.tokenizer(
            list(texts), padding=True, truncation=True, max_length=limit, return_tensors="pt"
        )
        return {name: encoded[name] for name in ("input_ids", "attention_mask")}

    def embed_images(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Unit vectors, float32 (N, D), of network input, by PyTorch, with gradients."""
        return ImageTower(self.model)(pixel_values)[0]

    def embed(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Unit vectors, float32 (N, D), of network input, by the engine."""
        return self.engine.run("image", self.networks["image"], pixel_values)[0]

    def embed_texts(self, tokens: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Unit vectors, float32 (N, D), of sentences, by PyTorch, with gradients."""
        return TextTower(self.model)(**tokens)[0]

    @torch.inference_mode()
    def embed_prompts(self, prompts: Prompts) -> torch.Tensor:
        """Unit vectors, float32 (C, D), one a class: the mean of its prompts' vectors, normalised.

        Raises:
            ValueError: if there is no class, or a class has no prompt.
        """
        if not prompts or not all(any(text.strip() for text in texts) for texts in prompts.values()):
            raise ValueError("Every class needs at least one prompt; write a sentence for each.")
        return torch.stack(
            [self._embed_class(tuple(text for text in texts if text.strip())) for texts in prompts.values()]
        )

    def embed_classes(self, prompts: Prompts | None = None) -> tuple[list[str], torch.Tensor]:
        """The classes to compare an image with, and their unit vectors, float32 (C, D).

        Without prompts these are its own classes, with learned vectors if it has them, else with those of its prompts.

        Raises:
            ValueError: if there is no class, or a class has no prompt.
        """
        vectors = getattr(self.model.config, "class_vectors", None)
        if prompts is not None or vectors is None:
            prompts = self.prompts if prompts is None else prompts
            return list(prompts), self.embed_prompts(prompts)
        return self.labels, torch.tensor([vectors[label] for label in self.labels])

    def similarities(self, embeddings: torch.Tensor, texts: Sequence[str]) -> list[list[float]]:
        """Cosine similarities, -1 to 1, of N unit vectors, float32 (N, D), with sentences, none of them blank."""
        return (embeddings @ self._read(texts).T).double().tolist()

    def class_logits(
        self, pixel_values: torch.Tensor, prompts: Prompts | None = None
    ) -> tuple[list[str], torch.Tensor]:
        """The classes, and their logits, float32 (N, C), by PyTorch; prompts and errors as in `classify`."""
        labels, texts = self.embed_classes(prompts)
        images = self.embed_images(pixel_values)
        # No gradient passes a tensor of inference mode; its copy lets it.
        return labels, self.model.logit_scale.exp() * images @ texts.clone().to(images.device).T

    @torch.inference_mode()
    def answer(self, embeddings: torch.Tensor, prompts: Prompts | None = None) -> list[dict[str, float]]:
        """Probability of each class, of each of N unit vectors, float32 (N, D); prompts and errors as in `classify`."""
        classes, texts = self.embed_classes(prompts)
        logits = self.model.logit_scale.exp().cpu() * embeddings @ texts.T
        return [dict(zip(classes, row, strict=True)) for row in logits.double().softmax(dim=1).tolist()]

    def _embed_class(self, texts: tuple[str, ...]) -> torch.Tensor:
        key = self.engine, texts
        vector = self._known_prompts.get(key)
        if vector is None:
            if len(self._known_prompts) >= MAX_KNOWN_PROMPTS:
                self._known_prompts.clear()
            vector = self._known_prompts[key] = F.normalize(self._read(texts).mean(dim=0), dim=0)
        return vector

    def _read(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors, float32 (N, D), of sentences, by the engine."""
        return self.engine.run("text", self.networks["text"], *self.tokens(texts).values())[0]


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
