"""The facts that a training run recorded, and the model card of its checkpoint that is made of them."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

TEMPLATE = Path(__file__).with_name("card_template.md")
FACTS_FILE, RECORD_FILE, CARD_FILE = "metrics.json", "predictions.csv", "README.md"


# Key in the recorded results -> (metric id in the metadata, name in the card).
OVERLAPS = {
    "iou": "IoU",
    "dice": "Dice",
    "precision": "precision",
    "recall": "recall",
    "average_precision": "average precision",
}
AVERAGES = {
    "pooled": "pooled over all pixels",
    "pooled_all_images": "pooled over all pixels, blank masks too",
    "mean_per_image": "mean per image",
    "mean_all_images": "mean per image, blank masks too",
}
MASK_METRICS = {
    f"{score}_{average}": (score, f"{OVERLAPS[score]}, {AVERAGES[average]}")
    for average in AVERAGES
    for score in OVERLAPS
} | {"hd95_mean_per_image": ("hd95", "distance of the outlines, 95th percentile, in pixels, mean per image")}
HEALTHY_METRICS = {
    "share_marked": ("false_infection", "images with any infection outlined"),
    "share_marked_over_1_percent": ("false_infection", "images with over 1 % of the lungs outlined as infected"),
    "mean_marked_area": ("false_infection", "outlined share of the lungs, mean per image"),
}
CLASS_METRICS = {
    "accuracy": ("accuracy", "accuracy"),
    "precision_macro": ("precision", "precision, macro average"),
    "recall_macro": ("recall", "recall, macro average (balanced accuracy)"),
    "f1_macro": ("f1", "F1, macro average"),
    "auroc_macro": ("roc_auc", "AUROC of each class against the others, macro average"),
    "average_precision_macro": ("average_precision", "average precision, macro average"),
    "ece": ("ece", "expected calibration error, bins of equal mass"),
    "brier": ("brier_score", "Brier score, summed over the classes"),
    "set_coverage": ("coverage", "prediction sets that hold the true class"),
    "set_size_mean": ("set_size", "classes in a prediction set, mean"),
}


@dataclass(frozen=True)
class Kind:
    """What every card of one role says: title, library and task as the Hub names them, a tag, and its metrics."""

    title: str
    library: str
    task: str
    tag: str
    metrics: dict[str, tuple[str, str]]


CLIP = ("transformers", "zero-shot-image-classification", "clip", CLASS_METRICS)
KINDS = {
    "unet": Kind(
        "Chest X-ray UNet: lungs and infection",
        "segmentation-models-pytorch",
        "image-segmentation",
        "unet",
        MASK_METRICS,
    ),
    "resnet": Kind("Chest X-ray ResNet", "transformers", "image-classification", "resnet", CLASS_METRICS),
    "clip-zero-shot": Kind("Chest X-ray CLIP, zero-shot", *CLIP),
    "clip-finetuned": Kind("Chest X-ray CLIP, fine-tuned", *CLIP),
    "fusion": Kind("Chest X-ray ResNet and CLIP, joined", *CLIP),
}


@dataclass
class CardFacts:
    """All that a model card is made from, as a training run recorded it.

    Attributes:
        role: One of `checkpoints.ROLES`.
        architecture: One line.
        base_model: What training started from (Hub id, or words), None for random weights.
        parameters: Number of weights.
        labels: Classes in logits order, or the names of the masks for a UNet.
        image_size: Side of the square input, in pixels.
        view: What of the X-ray the classifier is shown ("lungs", "crop", "full"); None for a UNet.
        data: "name", "fingerprint", "license" (a licence id of the Hub), "images" {split: {label: n}} and
            "masks" {split: {"lungs": n, "infection drawn": n, "infection blank": n}}.
        procedure: Hyper-parameters, name -> value.
        seconds: Wall clock of training.
        hardware: What it ran on.
        results: "split", "images" (number of images) and the figures that `train.compare` writes for the role;
            "validation" (name -> figure) and "controls" (name -> figure, or name -> {name: figure}) when they were
            measured; beside the figures "intervals" (name -> [low, high]) and "bootstrap" (patients, resamples,
            level). A figure that is not finite counts as not measured.
        notes: Plain sentences that belong beside the figures.
    """

    role: str
    architecture: str
    base_model: str | None
    parameters: int
    labels: list[str]
    image_size: int
    view: str | None
    data: dict[str, Any]
    procedure: dict[str, str | int | float]
    seconds: float
    hardware: str
    results: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Turn NumPy numbers into plain ones and figures that are not finite into None.

        Raises:
            ValueError: The role has no card, or the licence is not written as the Hub writes it.
        """
        if self.role not in KINDS:
            raise ValueError(f"There is no card for the role {self.role!r}; the roles are {', '.join(KINDS)}.")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", self.data["license"]):
            raise ValueError(
                f"The licence is {self.data['license']!r}; write the Hub's id of it, like cc-by-nc-sa-4.0."
            )
        for name, value in vars(self).items():
            setattr(self, name, _plain(value))

    def save(self, folder: str | Path) -> None:
        """Write the facts (metrics.json) and the card made from them (README.md) into a checkpoint folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False)
        (folder / FACTS_FILE).write_text(text + "\n", encoding="utf-8")
        (folder / CARD_FILE).write_text(render_card(self), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "CardFacts":
        """Read the facts back from a checkpoint folder.

        Raises:
            FileNotFoundError: The folder has no metrics.json.
            ValueError: It is not JSON, or does not hold the fields of a card.
        """
        path = Path(folder) / FACTS_FILE
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} does not hold the facts of a card: {str(error).rstrip('.')}.") from error


def render_card(facts: CardFacts) -> str:
    """Model card of a checkpoint, metadata first; every figure in it comes from `facts`."""
    kind = KINDS[facts.role]
    data = ModelCardData(
        license=facts.data["license"],
        library_name=kind.library,
        pipeline_tag=kind.task,
        base_model=_hub_id(facts.base_model),
        datasets=_hub_id(facts.data["name"]),
        tags=["chest-x-ray", "medical-imaging", "covid-19", kind.tag],
        metrics=list(dict.fromkeys(row.metric for row in measured(facts))),
        model_name=kind.title,
        eval_results=eval_results(facts),
    )
    card = ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        title=kind.title,
        facts=facts,
        measured=measured(facts),
        bootstrap=bootstrap(facts),
        number=number,
        duration=duration,
    )
    return re.sub(r"\n{3,}", "\n\n", card.content).rstrip() + "\n"


@dataclass(frozen=True)
class Measured:
    """One row of the results: metric id on the Hub, name, value, interval, and how many images it was measured on."""

    metric: str
    name: str
    value: float | None
    interval: list[float] | None
    images: int


def measured(facts: CardFacts) -> list[Measured]:
    """The rows of the results; a value that was not measured, or has no interval, is None."""
    results, metrics = facts.results, KINDS[facts.role].metrics
    masks = [mask for mask in results if mask in facts.labels] if facts.role == "unet" else []
    parts = [(f"{mask}: ", results[mask], metrics) for mask in masks] or [("", results, metrics)]
    if "healthy" in results:
        parts.append(("healthy: ", results["healthy"], HEALTHY_METRICS))
    return [
        Measured(metric, prefix + name, scores[key], scores.get("intervals", {}).get(key), _images(scores, key))
        for prefix, scores, named in parts
        for key, (metric, name) in named.items()
        if key in scores
    ]


def _images(scores: dict[str, Any], key: str) -> int:
    """How many images a figure was measured on."""
    return scores["images_all" if key.endswith("_all_images") else "images"]


def eval_results(facts: CardFacts) -> list[EvalResult]:
    """The measured figures in the form that the Hub shows beside a model."""
    name = facts.data["name"]
    return [
        EvalResult(
            task_type=KINDS[facts.role].task,
            dataset_type=_hub_id(name) or re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
            dataset_name=name,
            dataset_split=facts.results["split"],
            dataset_args={"fingerprint": facts.data["fingerprint"], "images": facts.results["images"]},
            metric_type=row.metric,
            metric_name=row.name,
            metric_value=row.value,
        )
        for row in measured(facts)
        if row.value is not None
    ]


def bootstrap(facts: CardFacts) -> dict[str, float | int] | None:
    """How the intervals were made, for the part with the most patients; None without intervals."""
    parts = [part for part in (facts.results, *facts.results.values()) if isinstance(part, dict)]
    made = [part["bootstrap"] for part in parts if part.get("bootstrap")]
    return max(made, key=lambda how: how["patients"], default=None)


def number(value: float | int | str | None) -> str:
    """A figure as the card shows it: counts with thousands separated, measurements with three decimals."""
    match value:
        case None:
            return "not measured"
        case bool() | str():
            return str(value)
        case int():
            return f"{value:,}"
        case _:
            return f"{value:.3f}"


def with_interval(scores: Mapping[str, Any], name: str) -> str:
    """A score with its interval behind it: "0.912 (0.89-0.93)"."""
    if scores.get(name) is None or name not in scores.get("intervals", {}):
        return number(scores.get(name))
    low, high = scores["intervals"][name]
    return f"{scores[name]:.3f} ({low:.2f}-{high:.2f})"


def duration(seconds: float) -> str:
    """Wall clock in the unit that reads best."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} seconds"


def _hub_id(name: str | None) -> str | None:
    """The name if it is written as a repository on the Hub is, else None."""
    return name if re.fullmatch(r"[\w.-]+/[\w.-]+", name or "") else None


def _plain(value: Any) -> Any:
    """The same value made of what JSON knows: NumPy scalars unwrapped, NaN and infinities turned into None."""
    match value:
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case None | bool() | str():
            return value
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return float(value) if isinstance(value, float) else value
