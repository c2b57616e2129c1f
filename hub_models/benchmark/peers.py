"""Programs that others would write for the same questions, in one run beside this project: from file to classes."""

import importlib.util
import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from hub_models.benchmark.against import HERE, WORKER, Checkout, working
from hub_models.benchmark.timing import interleaved, percentile

LOOP = """
print("ready", file=told, flush=True)
for path in sys.stdin:
    start = time.perf_counter()
    answer(path.strip())
    print(json.dumps([time.perf_counter() - start, {}]), file=told, flush=True)
"""

BEGIN = """
import json, os, sys, time
import numpy as np
import torch
from PIL import Image
told, sys.stdout = sys.stdout, sys.stderr
"""

LIBRARIES = (
    BEGIN
    + """
import segmentation_models_pytorch as smp
from transformers import AutoImageProcessor, AutoModelForImageClassification, AutoProcessor, VisionTextDualEncoderModel
folders = json.loads(os.environ["XRAY_BENCHMARK_FOLDERS"])
unet, unet_pixels = smp.from_pretrained(folders["unet"]).eval(), AutoImageProcessor.from_pretrained(folders["unet"])
resnet = AutoModelForImageClassification.from_pretrained(folders["resnet"]).eval()
resnet_pixels = AutoImageProcessor.from_pretrained(folders["resnet"])
names = ("clip-zero-shot", "clip-finetuned")
clips = [VisionTextDualEncoderModel.from_pretrained(folders[name]).eval() for name in names]
words = AutoProcessor.from_pretrained(folders["clip-zero-shot"])
SENTENCES = ["a chest X-ray of COVID-19", "a chest X-ray of another pneumonia", "a healthy chest X-ray"]
@torch.inference_mode()
def answer(path):
    grey = np.asarray(Image.open(path).convert("L"), np.float32) / 255
    pixels = unet_pixels([grey[None]], do_rescale=False, do_convert_rgb=False, return_tensors="pt")["pixel_values"]
    lungs = unet(pixels)[0, 0].sigmoid().numpy() > 0.5
    lungs = np.asarray(Image.fromarray(lungs).resize(grey.shape[::-1]))
    shown = Image.fromarray(np.uint8(255 * grey * lungs)).convert("RGB")
    resnet(**resnet_pixels(shown, return_tensors="pt")).logits.softmax(-1)
    for clip in clips:
        clip(**words(text=SENTENCES, images=shown, return_tensors="pt", padding=True)).logits_per_image.softmax(-1)
"""
    + LOOP
)
"""The UNet by segmentation_models_pytorch, the ResNet and both CLIPs by transformers, on the same checkpoints."""

TORCHXRAYVISION = (
    BEGIN
    + """
import torchxrayvision as xrv
from torchxrayvision.baseline_models.chestx_det.ptsemseg.pspnet import pspnet
outlines, classes = pspnet(14).eval(), xrv.models.DenseNet(weights=None).eval()
@torch.inference_mode()
def answer(path):
    grey = np.asarray(Image.open(path).convert("L").resize((512, 512)), np.float32)
    grey = torch.from_numpy(xrv.datasets.normalize(grey, 255))[None, None]
    outlines(grey.repeat(1, 3, 1, 1) / 1024)
    classes(torch.nn.functional.interpolate(grey, (224, 224)))
"""
    + LOOP
)
"""Its PSPNet, which outlines fourteen structures, and its DenseNet, with random weights: for their speed alone."""

PEERS = {
    "this project": WORKER,
    "segmentation_models_pytorch and transformers": LIBRARIES,
    "torchxrayvision, PSPNet and DenseNet": TORCHXRAYVISION,
}
"""Name -> a program like `hub_models.benchmark.against.WORKER`."""

NEEDED = {
    "segmentation_models_pytorch and transformers": "segmentation_models_pytorch",
    "torchxrayvision, PSPNet and DenseNet": "torchxrayvision",
}
"""Name -> the package without which it cannot run."""


def measure_peers(files: Mapping[str, bytes], folders: Mapping[str, Path], rounds: int) -> dict:
    """Time every peer on the same files, in turns.

    Args:
        files: name of a file, as "PNG 256 x 256" -> its bytes.
        folders: role -> the checkpoint's folder.
        rounds: number of answers to each file; the first warms up and does not count.

    Returns:
        "rows": of each peer and file "name", "file", "p50_ms" and "ratio", how many times as long as this project it
        takes; "left_out": a sentence for each peer that is not installed.

    Raises:
        PageError: a peer does not start or answer.
    """
    missing = {name: package for name, package in NEEDED.items() if importlib.util.find_spec(package) is None}
    environment = {"XRAY_BENCHMARK_FOLDERS": json.dumps({role: str(folder) for role, folder in folders.items()})}
    seconds: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="xray-benchmark-")))
        paths = {name: work / f"{number}.png" for number, name in enumerate(files)}
        for name, path in paths.items():
            path.write_bytes(files[name])
        running = {
            name: stack.enter_context(working(Checkout(HERE), environment, program))
            for name, program in PEERS.items()
            if name not in missing
        }

        def go(name: str, file: str) -> None:
            running[name].answer(paths[file])
            seconds.setdefault((name, file), []).append(running[name].seconds)

        interleaved({(name, file): partial(go, name, file) for file in files for name in running}, rounds, "Peers")
    rows = []
    for file in files:
        medians = {name: 1e3 * percentile(seconds[name, file][1:], 50) for name in running}
        own = medians["this project"]
        rows += [{"name": name, "file": file, "p50_ms": p50, "ratio": p50 / own} for name, p50 in medians.items()]
    left_out = [f"The peer {name} is not installed: pip install {package}." for name, package in missing.items()]
    return {"rows": rows, "left_out": left_out}
