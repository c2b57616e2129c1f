"""Captions of X-rays in radiologists' words: the finding, then the view and the patient's sex and age group.

The words are those of the 3,955 reports of Indiana University's chest X-rays (Demner-Fushman et al., JAMIA 2016; their
text comes with the package torchxrayvision). Of 1,391 reports of a normal chest 938 name a pneumothorax and 849 a
pleural effusion, to deny it; 824 say "no acute ...", 804 that the lungs are clear, 253 that there is no consolidation,
none "healthy" and 2 "no finding", which stay among the words because the classes' prompts have them. Of 574 reports
of an opacity or pneumonia 440 say "opacity", 156 "airspace disease", 126 "consolidation", 124 "infiltrate", 95
"pneumonia", 50 "consistent with"; one says "ground-glass". No sentence is taken from a report.

A caption says of an image only what its metadata say, and of a finding what it means. So no caption calls opacities
bilateral or peripheral: of the first radiographs of 96 patients with COVID-19, 43 % were abnormal; of these 51 % showed
mainly ground-glass opacity, and 63 % opacities of both lungs ("Radiographic features of COVID-19 based on an initial
national cohort of 96 patients in Singapore", Singapore Medical Journal). What is true of a disease and not of each
image is said of the disease ("which often shows as").

A column `notes` of metadata.csv is not read. In the data that the embedded checkpoints learn from, 2,010 of 2,442 notes
are stock sentences that one source has and no other ("PCR-positive", "stored at 128x128", an id of RSNA's); the others
are case histories, many of which name sides, other films or (30 %) the diagnosis. Half of the images have none at all.
"""

import logging
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import datasets

logger = logging.getLogger(__name__)

CAPTION_COLUMNS = ("file", "finding", "caption", "view", "sex", "age")
"""The columns of a row that its caption is made of."""

Draw = Callable[[int], int]
"""A choice: a number of options -> the position of one of them."""


@dataclass(frozen=True)
class Words:
    """A finding in words.

    Args:
        names: noun phrases, of which `TEMPLATES` make sentences.
        sentences: whole sentences, each as likely as each of the templates.
    """

    names: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()


TEMPLATES = (
    "{}.",
    "Chest X-ray of {}.",
    "Chest radiograph showing {}.",
    "Findings consistent with {}.",
    "Lungs of a patient with {}.",
)
"""Sentences with a place for a finding's name; three are those of the classes' prompts."""

CLEAR = Words(
    sentences=(
        "The lungs are clear.",
        "Clear lungs, without focal consolidation, pleural effusion or pneumothorax.",
        "No acute cardiopulmonary abnormality.",
        "No focal airspace disease.",
        "No evidence of acute disease in the chest.",
        "Normal chest radiograph.",
        "Chest X-ray of healthy lungs, no finding.",
    )
)

FINDINGS = {
    "No Finding": CLEAR,
    "Normal": CLEAR,
    "COVID-19": Words(
        ("COVID-19", "COVID-19 pneumonia", "coronavirus disease 2019 (COVID-19)"),
        ("COVID-19, which often shows as ground-glass opacity or consolidation.",),
    ),
    "COVID-19, ARDS": Words(("COVID-19 and acute respiratory distress syndrome (ARDS)", "COVID-19 with ARDS")),
    # Bilateral opacities are part of the definition (ARDS Definition Task Force, JAMA 2012, "Berlin definition").
    "ARDS": Words(
        ("acute respiratory distress syndrome (ARDS)",),
        ("Bilateral opacities of acute respiratory distress syndrome (ARDS).",),
    ),
    "Pneumonia": Words(
        ("pneumonia",),
        (
            "Airspace opacity consistent with pneumonia.",
            "Airspace disease compatible with pneumonia.",
            "Consolidation or infiltrate, suggesting pneumonia.",
        ),
    ),
    # Vilar et al., European Journal of Radiology 2004: community-acquired, it usually keeps to a lobe or segment.
    "Bacterial pneumonia": Words(
        ("bacterial pneumonia",), ("Bacterial pneumonia, which often shows as consolidation of a lobe or segment.",)
    ),
    # Kermany et al., Cell 2018: bacterial pneumonia is lobar and viral pneumonia interstitial, as a rule.
    "Viral pneumonia": Words(("viral pneumonia",), ("Viral pneumonia, which often shows as interstitial opacities.",)),
    "Tuberculosis": Words(
        ("tuberculosis", "pulmonary tuberculosis"),
        ("Tuberculosis, which often shows as opacities or cavities in the upper lobes.",),
    ),
    "Bacterial": Words(("bacterial infection of the lungs",)),
    "Klebsiella": Words(("Klebsiella pneumonia", "pneumonia caused by Klebsiella")),
    "Legionella": Words(("Legionella pneumonia", "pneumonia caused by Legionella")),
    "Mycoplasma Bacterial Pneumonia": Words(("Mycoplasma pneumonia", "pneumonia caused by Mycoplasma")),
    "Streptococcus": Words(("streptococcal pneumonia", "pneumonia caused by Streptococcus")),
    "Influenza": Words(("influenza pneumonia", "pneumonia caused by influenza virus")),
    "SARS": Words(("severe acute respiratory syndrome (SARS)", "SARS pneumonia")),
    "Varicella": Words(("varicella pneumonia", "pneumonia caused by varicella-zoster virus")),
    "Pneumocystis": Words(("Pneumocystis pneumonia", "pneumonia caused by Pneumocystis")),
    "Lipoid": Words(("lipoid pneumonia",)),
}
"""Words of the findings that the data have; any other finding is said by its own name."""

VIEWS = {
    "": "Chest radiograph",
    "AP": "Frontal chest radiograph, AP view",
    "PA": "Frontal chest radiograph, PA view",
    "AP Supine": "Frontal chest radiograph, supine AP view",
}

SEXES = {"": "", "m": "M", "male": "M", "f": "F", "female": "F", "o": "", "other": "", "u": "", "unknown": ""}

# Age groups as PubMed indexes them (MeSH), the young and the middle-aged adult joined: "infant" below 2 years, "child"
# below 13, "adolescent" below 19, "aged" from 65.
PATIENTS = {
    2: {"": "an infant", "M": "an infant boy", "F": "an infant girl"},
    13: {"": "a child", "M": "a boy", "F": "a girl"},
    19: {"": "an adolescent", "M": "an adolescent boy", "F": "an adolescent girl"},
    65: {"": "an adult", "M": "an adult man", "F": "an adult woman"},
    math.inf: {"": "an elderly adult", "M": "an elderly man", "F": "an elderly woman"},
}
"""Patients in words: an age in years that they have not reached -> sex -> words."""

OF_ANY_AGE = {"": "", "M": "a male patient", "F": "a female patient"}


def caption(row: Mapping, draw: Draw | None = None) -> str | None:
    """Return an X-ray's own caption, or one that is made of its metadata.

    Args:
        row: `CAPTION_COLUMNS`, each text or None.
        draw: the choice of the wording; if None, the file's name chooses it, always the same.

    Returns:
        The caption, its first sentence the finding; None without a caption and without a finding.

    Raises:
        ValueError: sex or age cannot be read.
    """
    if row["caption"]:
        return row["caption"]
    if not row["finding"]:
        return None
    finding = first_sentence(row["finding"], draw or random.Random(row["file"]).randrange)
    return f"{finding} {technique(row)}".strip()


def first_sentence(finding: str, draw: Draw) -> str:
    """Return a finding as a sentence: a template with one of its names, or one of its whole sentences."""
    words = FINDINGS.get(finding, Words((finding,)))
    sentences = (*(TEMPLATES if words.names else ()), *words.sentences)
    sentence = sentences[draw(len(sentences))]
    if sentence in TEMPLATES:
        sentence = sentence.format(words.names[draw(len(words.names))])
    return sentence[0].upper() + sentence[1:]


def technique(row: Mapping) -> str:
    """Return view, sex and age group of a row as a sentence; empty if none of them is known.

    Raises:
        ValueError: sex or age cannot be read.
    """
    view, patient = (row["view"] or "").strip(), _patient(row)
    if not view and not patient:
        return ""
    radiograph = VIEWS.get(view, f"Chest radiograph, {view} view")
    if not patient:
        return f"{radiograph}."
    return f"{radiograph}, of {patient}." if view else f"{radiograph} of {patient}."


FINDING_OF_CLASS = {"COVID-19": "COVID-19", "Non-COVID": "Pneumonia", "Normal": "No Finding"}
"""Class of COVID-QU-Ex -> the finding that its authors say it stands for; Non-COVID are other pneumonias."""


def with_findings_of_classes(splits: datasets.DatasetDict) -> datasets.DatasetDict:
    """Return rows of COVID-QU-Ex's classes with their findings, if the data tell none; other data stay as they are."""
    names = next(iter(splits.values())).features["label"].names
    if not set(names) <= set(FINDING_OF_CLASS) or any(any(rows["finding"]) for rows in splits.values()):
        return splits
    logger.warning("The data tell no findings; captions are made of the classes.")
    filled = {split: [FINDING_OF_CLASS[names[label]] for label in rows["label"]] for split, rows in splits.items()}
    text = datasets.Value("string")
    return datasets.DatasetDict(
        {
            split: rows.remove_columns("finding").add_column("finding", filled[split], feature=text)
            for split, rows in splits.items()
        }
    )


def check_captions(rows: datasets.Dataset) -> None:
    """Refuse rows that captions cannot be learned from.

    Raises:
        ValueError: a row has no finding, or its sex or age cannot be read.
    """
    for row in rows.select_columns(list(CAPTION_COLUMNS)):
        if not row["finding"]:
            raise ValueError(
                f"--method captions needs a finding for every image, and {row['file']} has none: give a folder with a "
                "metadata.csv, or a data set with the column finding. Without findings use --method full."
            )
        caption(row)


def _patient(row: Mapping) -> str:
    sex, age = (row["sex"] or "").strip(), (row["age"] or "").strip()
    if sex.lower() not in SEXES:
        allowed = ", ".join(name for name in SEXES if name)
        raise ValueError(f"The sex of {row['file']} is {sex!r}; write one of {allowed}, or leave it blank.")
    words = OF_ANY_AGE if not age else next(words for end, words in PATIENTS.items() if _years(row["file"], age) < end)
    return words[SEXES[sex.lower()]]


def _years(file: str, age: str) -> float:
    try:
        years = float(age)
    except ValueError:
        years = math.nan
    if not 0 <= years <= 120:
        raise ValueError(f"The age of {file} is {age!r}; write years, a number from 0 to 120, or leave it blank.")
    return years
