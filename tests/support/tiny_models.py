"""What the tests are made of: drawn X-rays in the COVID-QU-Ex layout, and checkpoints of a few weights."""

import csv
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from scipy.ndimage import gaussian_filter
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

from hub_models.cards.facts import CardFacts
from hub_models.checkpoints.folder import weights_digest
from hub_models.models.clip import ClipClassifier
from hub_models.models.fusion import FusionClassifier
from hub_models.models.labels import LABELS
from hub_models.models.resnet import ResnetClassifier
from hub_models.models.unet import Segmenter
from hub_models.xray.phantom import Phantom, draw_phantom

COUNTS = {"Train": 4, "Val": 2, "Test": 2}  # images a class
FINDINGS = {"COVID-19": "Pneumonia/Viral/COVID-19", "Non-COVID": "Pneumonia", "Normal": "No Finding"}
OPACITIES = {"COVID-19": 3, "Non-COVID": 1, "Normal": 0}


def draw_xray(seed: int, size: int = 128, opacities: int = 0) -> Phantom:
    """A phantom with mottle of its own: bare phantoms share their ribs and are more alike than people are.

    The mottle is coarse: with fine mottle the UNet that ships takes some for other pictures than X-rays.
    """
    phantom = draw_phantom(seed, size=size, opacities=opacities)
    mottle = gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), size * 8 / 256)
    image = (phantom.image + 12 * mottle / mottle.std()).clip(0, 255).astype(np.uint8)
    return replace(phantom, image=image)


def write_covid_qu_ex(folder: Path, doubled: bool = True, metadata: bool = True) -> Path:
    """Write 24 drawn X-rays as the archive unpacks: every image in the lung part; in the infection part, too, two
    COVID-19 images of each split with their infection and one Normal image with a blank one.

    Lung masks lie beside the COVID-19 images only, except the last one of each split; in the infection part beside all.
    """
    lung_part, infection_part = (
        folder / part / (part if doubled else "") for part in ("Lung Segmentation Data", "Infection Segmentation Data")
    )
    rows, seed = [], 0
    for split, count in COUNTS.items():
        for label in LABELS:
            for number in range(count):
                seed += 1
                drawn, name = draw_xray(seed, opacities=OPACITIES[label]), f"{label.lower()}_{seed}.png"
                has_lungs = label == "COVID-19" and number < count - 1
                write_row(lung_part / split / label, name, drawn, lungs=has_lungs)
                if number < {"COVID-19": 2, "Normal": 1}.get(label, 0):
                    write_row(infection_part / split / label, name, drawn, lungs=True, infection=True)
                rows.append(
                    {
                        "file": name,
                        "split": split,
                        "label": label,
                        "finding": FINDINGS[label],
                        "view": "PA",
                        "age": f"{20 + seed}.0",
                        "patient": f"patient-{seed}",
                        "source": "phantom",
                        "notes": "Drawn by a program.",
                    }
                )
    if metadata:
        with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return folder


def write_row(folder: Path, name: str, drawn: Phantom, lungs: bool = False, infection: bool = False) -> None:
    """Write one X-ray under SPLIT/CLASS/images, and the masks that are wanted beside it."""
    pictures = {"images": drawn.image}
    if lungs:
        pictures["lung masks"] = drawn.lungs
    if infection:
        pictures["infection masks"] = drawn.infection
    for kind, picture in pictures.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture * np.uint8(255) if picture.dtype == bool else picture).save(folder / kind / name)


def unet() -> Segmenter:
    """A UNet of 64 pixels that outlines nearly everything as lungs and nothing as infection."""
    torch.manual_seed(0)
    segmenter = Segmenter.new("resnet18", 64)
    with torch.no_grad():
        segmenter.network.segmentation_head[0].bias.copy_(torch.tensor([20.0, -20.0]))
    return segmenter


def resnet(labels: Sequence[str] = LABELS) -> ResnetClassifier:
    """A ResNet with random weights."""
    torch.manual_seed(1)
    return ResnetClassifier.new(10, labels, "lungs", 32)


def clip(labels: Sequence[str] = LABELS, view: str = "lungs") -> ClipClassifier:
    """A CLIP with random weights and a tokenizer of few words."""
    torch.manual_seed(2)
    tokenizer = CLIPTokenizer().train_new_from_iterator(["a chest X-ray of COVID-19, Non-COVID or Normal lungs"], 300)
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    words = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = CLIPConfig(
        text_config={**layers, **words},
        vision_config={**layers, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    square = {"height": 32, "width": 32}
    processor = CLIPProcessor(CLIPImageProcessor(size=square, crop_size=square), tokenizer)
    return ClipClassifier.new(CLIPModel(config), processor, labels, view)


def write_checkpoints(folder: Path) -> dict[str, Path]:
    """Save a checkpoint for every role under a folder; role -> its folder."""
    models = {"unet": unet(), "resnet": resnet(), "clip-zero-shot": clip(), "clip-finetuned": clip()}
    for role, model in models.items():
        model.save_pretrained(folder / role)
    parts = {role: weights_digest(folder / role) for role in ("resnet", "clip-finetuned")}
    models["fusion"] = FusionClassifier.new(*(models[role] for role in parts), parts)
    models["fusion"].save_pretrained(folder / "fusion")
    return {role: folder / role for role in models}


def facts() -> CardFacts:
    """What the card of a ResNet of two classes tells."""
    results = {"split": "test", "images": 4, "accuracy": 0.75, "precision_macro": 0.5, "recall_macro": 0.5}
    return CardFacts(
        role="resnet",
        architecture="ResNet of one block",
        base_model=None,
        parameters=1000,
        labels=["COVID-19", "Normal"],
        image_size=32,
        view="lungs",
        data={
            "name": "phantoms",
            "fingerprint": "0123abcd",
            "license": "cc0-1.0",
            "images": {"test": {"COVID-19": 2, "Normal": 2}},
            "masks": {},
        },
        procedure={"epochs": 1},
        seconds=1.5,
        hardware="a laptop",
        results={**results, "f1_macro": 0.5, "confusion": [[2, 0], [1, 1]]},
    )


def change_weights(folder: Path) -> None:
    """Make other weights of a checkpoint, which still load."""
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.1.bias"] = tensors["classifier.1.bias"] + 1
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def write_release(role: str, checkpoint: Path, facts: CardFacts, folder: Path) -> Path:
    """A copy of a tiny checkpoint, with a card."""
    mask = {"images": 2, "iou_pooled": 0.5, "iou_mean_per_image": 0.4, "dice_mean_per_image": 0.6}
    results = facts.results | ({"lungs": mask, "infection": mask} if role == "unet" else {})
    labels = ["lungs", "infection"] if role == "unet" else facts.labels
    shutil.copytree(checkpoint, folder)
    replace(facts, role=role, labels=labels, results=results, view=None if role == "unet" else "lungs").save(folder)
    return folder
