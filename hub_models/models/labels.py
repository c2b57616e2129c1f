"""The names of the masks and of the default classes, and the prompts that CLIP compares an image with."""

from collections.abc import Mapping, Sequence

Prompts = Mapping[str, Sequence[str]]
"""Class -> sentences that describe it."""

LABELS = ("COVID-19", "Non-COVID", "Normal")
"""Default classes, in the order of the logits."""

HEALTHY = "Normal"
"""The class of X-rays on which there is no infection to outline."""

TEMPLATES = (
    "a chest X-ray of {}",
    "a frontal chest radiograph showing {}",
    "lungs of a patient with {}",
)
"""Sentences with a place for a phrase; CLIP averages their embeddings (Radford et al. 2021, section 3.1.4)."""

PHRASES = {
    "COVID-19": ("COVID-19", "COVID-19 pneumonia"),
    "Non-COVID": ("pneumonia that is not COVID-19", "viral or bacterial pneumonia"),
    "Normal": ("no finding", "healthy lungs"),
    "No Finding": ("no finding", "healthy lungs"),
}
"""Words for the default classes, and for some others, in a sentence."""


def prompts_for(labels: Sequence[str]) -> dict[str, list[str]]:
    """Prompts per class: every template with every phrase of the class, or with its own name if it has no phrases."""
    return {
        label: [template.format(phrase) for phrase in PHRASES.get(label, (label,)) for template in TEMPLATES]
        for label in labels
    }


def read_prompts(text: str) -> dict[str, list[str]]:
    """Read lines of `class: sentence` into class -> sentences.

    Raises:
        ValueError: if a line has no class or no sentence, or there are fewer than two classes.
    """
    prompts: dict[str, list[str]] = {}
    for line in filter(str.strip, text.splitlines()):
        label, _, sentence = (part.strip() for part in line.partition(":"))
        if not label or not sentence:
            raise ValueError(
                f'"{line.strip()}" is not a "class: sentence" line, as in "Normal: a chest X-ray of clear lungs".'
            )
        prompts.setdefault(label, []).append(sentence)
    if len(prompts) < 2:
        raise ValueError('Write sentences for at least two classes, one "class: sentence" a line.')
    return prompts


def write_prompts(prompts: Prompts) -> str:
    """Write class -> sentences as the lines that `read_prompts` reads."""
    return "\n".join(f"{label}: {sentence}" for label, sentences in prompts.items() for sentence in sentences)
