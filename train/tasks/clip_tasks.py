"""Tasks of a CLIP: its classes' prompts, learned by all weights, a few, or one vector a class; and captions."""

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.nn import functional as F

from hub_models.engines.pytorch.networks import embed_images, embed_texts
from hub_models.models.clip import ClipClassifier
from train.data.captions import CAPTION_COLUMNS, caption
from train.tasks.classifier_task import ViewRows
from train.tasks.distillation import Teacher, cross_entropy
from train.tasks.together import gathered
from train.tasks.weights import running_average, use_channels_last


class PromptTask(nn.Module):
    """Cross-entropy over the classes' prompts: each training step draws one a class, evaluation averages them all.

    A batch-contrastive loss would push apart images of one class that share a sentence; this loss does not.

    Args:
        classifier: the classifier that learns.
        average_decay: decay a step of the running average of its weights, which answers in evaluation; 0 for none.
        teacher: the teacher whose probabilities it learns, too.
    """

    def __init__(self, classifier: ClipClassifier, average_decay: float = 0.0, teacher: Teacher | None = None) -> None:
        super().__init__()
        self.teacher = teacher
        self.model, self.classifier = classifier.model, classifier
        use_channels_last(self)
        self.average = running_average(self.model, average_decay)
        self.answering = ClipClassifier(self.average.module, classifier.processor) if self.average else classifier

    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor, teacher_pixel_values: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Return loss and logits (N, C) of pixels float32 (N, 3, S, S) and class positions int64 (N,).

        `teacher_pixel_values` are as in `cross_entropy`.
        """
        if self.training and self.average is not None:
            self.average.update_parameters(self.model)
        classifier = self.classifier if self.training else self.answering
        prompts = list(classifier.prompts.values())
        if self.training:
            prompts = [[texts[int(torch.randint(len(texts), ()))]] for texts in prompts]
        tokens = _tensors(classifier.tokens([text for texts in prompts for text in texts]), labels.device)
        embeddings = embed_texts(classifier.model, **tokens)
        means = [rows.mean(dim=0) for rows in embeddings.split([len(texts) for texts in prompts])]
        images = embed_images(classifier.model, pixel_values)
        logits = temperature(classifier.model) * images @ F.normalize(torch.stack(means), dim=-1).T
        return {"loss": cross_entropy(self, logits, labels, teacher_pixel_values), "logits": logits}

    def finish(self) -> None:
        """Give the classifier the weights that answered in evaluation."""
        self.classifier.model = self.answering.model


class ProbeTask(nn.Module):
    """Cross-entropy over one learned vector a class, which starts as its prompts' embedding; both towers are frozen.

    A linear probe of the joint embedding: the temperature times the cosine similarity with each vector.
    """

    teacher = None

    def __init__(self, classifier: ClipClassifier) -> None:
        super().__init__()
        self.model, self.classifier = classifier.model.requires_grad_(False), classifier
        self.vectors = nn.Parameter(torch.from_numpy(classifier.embed_prompts(classifier.prompts)))
        use_channels_last(self)

    def train(self, mode: bool = True) -> "ProbeTask":
        """Set the mode of the probe alone; the towers and their normalisation's running means do not change."""
        self.model.eval()
        self.training = mode
        return self

    def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return loss and logits (N, C) of pixels float32 (N, 3, S, S) and class positions int64 (N,)."""
        with torch.no_grad():
            images = embed_images(self.model, pixel_values)
        logits = temperature(self.model) * images @ F.normalize(self.vectors, dim=-1).T
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}

    def finish(self) -> None:
        """Hand the learned vectors to the classifier, which keeps answering free prompts with its text tower."""
        vectors = F.normalize(self.vectors.detach(), dim=-1).tolist()
        self.classifier.model.config.class_vectors = dict(zip(self.classifier.labels, vectors, strict=True))


class LoraTask(PromptTask):
    """`PromptTask` in which only low-rank additions to the towers' weights learn (LoRA: Hu et al., ICLR 2022).

    They are added to the attention's queries and values, and to the pointwise convolutions of an image tower that has
    those; `finish` adds them to the weights for good.

    Raises:
        ValueError: the towers have no such layer.
    """

    RANK = 8
    ATTENTION = ("query", "value", "q_proj", "v_proj")

    def __init__(self, classifier: ClipClassifier, teacher: Teacher | None = None) -> None:
        layers = [name for name, layer in classifier.model.named_modules() if self._learns(name, layer)]
        if not layers:
            raise ValueError("This model has neither attention nor pointwise convolutions, so LoRA has no place in it.")
        config = LoraConfig(r=self.RANK, lora_alpha=2 * self.RANK, target_modules=layers)
        tuned = get_peft_model(classifier.model, config)  # puts its layers into the model itself
        super().__init__(classifier, teacher=teacher)
        self._tuned = [tuned]  # in a list, so that its weights are not counted and saved twice

    @classmethod
    def _learns(cls, name: str, layer: nn.Module) -> bool:
        if isinstance(layer, nn.Conv2d):
            return layer.kernel_size == (1, 1) and layer.groups == 1
        return isinstance(layer, nn.Linear) and name.rpartition(".")[2] in cls.ATTENTION

    def train(self, mode: bool = True) -> "LoraTask":
        """Set the mode, but keep the running means of the frozen layers' normalisation as they are."""
        super().train(mode)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
        return self

    def finish(self) -> None:
        """Add the low-rank parts to the classifier's weights."""
        self.classifier.model = self._tuned[0].merge_and_unload()


class CaptionTask(nn.Module):
    """Contrastive loss between images and captions, in which every caption of an image's finding is a right one.

    Soft targets in the manner of UniCL (Yang et al. 2022, equation 3): a batch holds many images of few findings, and
    the other images of a finding must not count as negatives.
    """

    def __init__(self, classifier: ClipClassifier) -> None:
        super().__init__()
        self.model, self.classifier = classifier.model, classifier
        use_channels_last(self)

    def forward(
        self, pixel_values: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor, findings: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return the loss of pixels float32 (N, 3, S, S), tokens int64 (N, L) and positions of findings int64 (N,)."""
        images = gathered(embed_images(self.model, pixel_values))
        texts = gathered(embed_texts(self.model, input_ids, attention_mask))
        findings = gathered(findings)
        logits = temperature(self.model) * images @ texts.T
        same_finding = (findings[:, None] == findings[None]).float()
        targets = same_finding / same_finding.sum(dim=1, keepdim=True)
        return {"loss": (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2}

    def finish(self) -> None:
        """Do nothing: the classifier's own weights learned."""


class CaptionRows(ViewRows):
    """A transform of rows into pixels and captions.

    In training each caption that is made of metadata gets another wording every time, and half of all captions are cut
    to their first sentence.
    """

    def __call__(self, batch: dict[str, list]) -> dict[str, list]:
        """Return one item a row: pixels float32 (3, S, S), caption and finding."""
        rows = zip(*(batch[column] for column in CAPTION_COLUMNS), strict=True)
        return {
            "pixel_values": super().__call__(batch)["pixel_values"],
            "caption": [self._caption(dict(zip(CAPTION_COLUMNS, row, strict=True))) for row in rows],
            "finding": batch["finding"],
        }

    def _caption(self, row: dict) -> str:
        if self.augmentation is None:
            return caption(row)
        text = caption(row, draw=lambda options: int(torch.randint(options, ())))
        return f"{text.split('. ')[0].rstrip('.')}." if torch.rand(()) < 0.5 else text


class CaptionCollator:
    """A collator that stacks rows of `CaptionRows` into a batch."""

    def __init__(self, classifier: ClipClassifier, findings: list[str]) -> None:
        self.classifier, self.positions = classifier, {finding: i for i, finding in enumerate(findings)}

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        """Return a batch of `CaptionTask`'s inputs."""
        return {
            "pixel_values": torch.stack([row["pixel_values"] for row in rows]),
            "findings": torch.tensor([self.positions[row["finding"]] for row in rows]),
            **_tensors(self.classifier.tokens([row["caption"] for row in rows])),
        }


def temperature(model: nn.Module) -> torch.Tensor:
    """Return the learned factor on the cosine similarities, at most 100 (Radford et al. 2021, section 2.5)."""
    return model.logit_scale.clamp(max=4.6052).exp()


def _tensors(arrays: dict[str, np.ndarray], device: torch.device | str = "cpu") -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
