"""The names of the masks and of the default classes, and the prompts that CLIP compares an image with."""

from collections.abc import Sequence

MASKS = ("lungs", "infection")
"""Output channels of the UNet, in order."""

LABELS = ("COVID-19", "Non-COVID", "Normal")
"""Default classes, in the order of the logits."""

TEMPLATES = (
    "a chest X-ray of {}",
    "a frontal chest radiograph showing {}",
    "lungs of a patient with {}",
)
"""Sentences that a phrase is put into; CLIP averages their embeddings (Radford et al. 2021, section 3.1.4)."""

PHRASES = {
    "COVID-19": ("COVID-19", "COVID-19 pneumonia"),
    "Non-COVID": ("pneumonia that is not COVID-19", "viral or bacterial pneumonia"),
    "Normal": ("no finding", "healthy lungs"),
}
"""How each default class is said in a sentence."""


def prompts_for(labels: Sequence[str]) -> dict[str, list[str]]:
    """Prompts per class: every template with every phrase of the class, or with its own name if it has no phrases."""
    return {
        label: [template.format(phrase) for phrase in PHRASES.get(label, (label,)) for template in TEMPLATES]
        for label in labels
    }
