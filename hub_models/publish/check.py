"""Checks before a checkpoint folder is shared: it is complete, loads, answers, and has the card of its facts."""

from pathlib import Path

import numpy as np
import yaml
from huggingface_hub import ModelCard

from hub_models.cards.card import eval_results, render_card
from hub_models.cards.facts import CARD_FILE, FACTS_FILE, RECORD_FILE, CardFacts
from hub_models.checkpoints.choices import PRECISIONS
from hub_models.checkpoints.folder import WEIGHTS_FILE, Checkpoint, CheckpointError, weights_digest
from hub_models.checkpoints.resolve import resolve
from hub_models.checkpoints.roles import ROLES
from hub_models.engines.engine import graph_file, source_of
from hub_models.models.loading import Classifier, join, load_model
from hub_models.models.plausibility import FILE as PLAUSIBILITY_FILE
from hub_models.models.unet import Segmenter
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom

REQUIRED = ("config.json", FACTS_FILE, WEIGHTS_FILE, CARD_FILE)
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
TOKENIZERS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)


class UnfitError(ValueError):
    """A folder that must not be shared as it is; the message is one sentence for the person who tried."""


def check_folder(folder: Path) -> CardFacts:
    """Check a checkpoint folder from its file names to its answer on a drawn X-ray.

    Returns:
        The facts of its card.

    Raises:
        UnfitError: a file is missing or does not belong, the card has other figures than the facts, the weights do not
            load strictly, an ONNX file was made of other weights, the model's answer is not finite, or a fusion was
            trained with other checkpoints than those in use.
    """
    files_of(folder)
    try:
        facts = CardFacts.load(folder)
        check_card(folder, facts)
        model = load_model(Checkpoint(facts.role, folder, "folder", str(folder)))
        if parts := {role: resolve(role) for role in ROLES[facts.role].parts}:
            join(facts.role, {facts.role: model} | {role: load_model(part) for role, part in parts.items()}, parts)
        check_graphs(folder, model)
    except (ValueError, CheckpointError) as error:
        raise UnfitError(str(error)) from error
    if not np.isfinite(_answer(model)).all():
        raise UnfitError(f"The model in {folder} answers with numbers that are not finite.")
    return facts


def files_of(folder: Path) -> list[Path]:
    """Files of a checkpoint folder in the order they are committed, the model card last.

    Raises:
        UnfitError: The folder is missing, lacks one of `REQUIRED`, or holds anything a checkpoint does not need
            (pickles, optimizer state, subfolders). `check_graphs` checks its ONNX files.
    """
    if not folder.is_dir():
        raise UnfitError(f"There is no folder {folder}.")
    files = {path.name: path for path in sorted(folder.iterdir())}
    if missing := [name for name in REQUIRED if name not in files]:
        raise UnfitError(f"{folder} is not a complete checkpoint: it has no {', '.join(missing)}.")
    allowed = {*REQUIRED, RECORD_FILE, PLAUSIBILITY_FILE, *PROCESSORS, *TOKENIZERS}
    allowed |= {path.name for path in folder.glob("*.onnx")}
    if strange := [name for name, path in files.items() if name not in allowed or not path.is_file()]:
        raise UnfitError(f"{folder} holds what is not published ({', '.join(strange)}): take it out first.")
    return sorted(files.values(), key=lambda path: path.name == CARD_FILE)


def check_graphs(folder: Path, model: Segmenter | Classifier) -> None:
    """Compare a folder's ONNX files with its model.

    Raises:
        UnfitError: one is not of a network of the model, was made of other weights, or cannot be opened.
    """
    fitting = {graph_file(folder, name, precision) for name in model.network_names for precision in PRECISIONS}
    for file in sorted(folder.glob("*.onnx")):
        if file not in fitting:
            raise UnfitError(f"{folder} holds what is not published ({file.name}): take it out first.")
        if source_of(file) != weights_digest(folder):
            raise UnfitError(f"{file} was not made of these weights; export it again, or delete it.")
    if model.network_names and model.engine.problem:
        raise UnfitError(f"{folder} is not fit to be shared: {model.engine.problem}")


def check_card(folder: Path, facts: CardFacts) -> None:
    """Compare a folder's card with the one that its facts make: the metadata's results, and every row of its tables.

    Raises:
        UnfitError: a figure of the card differs or is missing. The words around the tables may have been changed.
    """
    text = (folder / CARD_FILE).read_text(encoding="utf-8")
    advice = f"write it again with `python -m hub_models.cards {folder}`."
    try:
        recorded = ModelCard(text, ignore_metadata_errors=True).data.eval_results
    except yaml.YAMLError as error:
        raise UnfitError(f"The metadata of {folder / CARD_FILE} is not YAML; {advice}") from error
    if recorded != eval_results(facts):
        raise UnfitError(f"The results in the metadata of {folder / CARD_FILE} are not those of {FACTS_FILE}; {advice}")
    rows = set(text.splitlines())
    if missing := [row for row in render_card(facts).splitlines() if row.startswith("|") and row not in rows]:
        raise UnfitError(f"{folder / CARD_FILE} lacks what {FACTS_FILE} says, {missing[0]!r}; {advice}")


def _answer(model: Segmenter | Classifier) -> np.ndarray:
    """Probabilities of a model on a drawn X-ray with its true lungs."""
    phantom = draw_phantom(0, size=256)
    image = read_image(phantom.image)
    if isinstance(model, Segmenter):
        return model.probabilities([image])
    return np.array(list(model(image, phantom.lungs).values()))
