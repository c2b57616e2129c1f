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

_HEALTHY_SENTENCES = (
    "the lungs are clear",
    "clear lungs, without focal consolidation, pleural effusion or pneumothorax",
    "no acute cardiopulmonary abnormality",
    "no focal airspace disease",
    "normal chest radiograph",
    "chest X-ray of healthy lungs, no finding",
)

SENTENCES = {
    "COVID-19": (
        "chest X-ray of COVID-19",
        "chest radiograph showing COVID-19 pneumonia",
        "findings consistent with COVID-19",
        "lungs of a patient with COVID-19 pneumonia",
        "coronavirus disease 2019 (COVID-19)",
        "COVID-19, which often shows as ground-glass opacity or consolidation",
    ),
    "Non-COVID": (
        "chest X-ray of bacterial pneumonia",
        "chest radiograph showing viral pneumonia",
        "findings consistent with pneumonia",
        "airspace disease compatible with pneumonia",
        "chest radiograph showing pulmonary tuberculosis",
        "bacterial pneumonia, which often shows as consolidation of a lobe or segment",
    ),
    "Normal": _HEALTHY_SENTENCES,
    "No Finding": _HEALTHY_SENTENCES,
}
"""Sentences of the default classes, and of some others, in radiologists' words: those of the captions by which a CLIP
of this project learns (`train.data.captions` tells where the words are from)."""


QUESTIONS = {
    "Pneumothorax": {
        "Pneumothorax": ("chest X-ray showing a pneumothorax", "air between the lung and the chest wall"),
        "No pneumothorax": ("no pneumothorax", "both lungs are fully expanded"),
    },
    "Pleural effusion": {
        "Effusion": ("chest X-ray showing a pleural effusion", "fluid blunts the costophrenic angle"),
        "No effusion": ("no pleural effusion", "the costophrenic angles are sharp"),
    },
    "Nodule": {
        "Nodule": ("chest X-ray showing a lung nodule", "a round opacity in one lung"),
        "No nodule": ("no lung nodule", "the lungs are clear"),
    },
}
"""Questions that any CLIP may be asked: what is asked about -> its prompts."""


def prompts_for(labels: Sequence[str]) -> dict[str, list[str]]:
    """Prompts per class: its `SENTENCES`, or every template with its name if it has none."""
    return {label: list(SENTENCES.get(label, [template.format(label) for template in TEMPLATES])) for label in labels}


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
