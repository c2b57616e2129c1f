"""The UNet that outlines the lungs and the infected region of a chest X-ray."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoImageProcessor, ViTImageProcessor

from hub_models.engines.device import best_device
from hub_models.engines.engine import Engine
from hub_models.models.networks import UnetNetwork
from hub_models.models.plausibility import FILE as PLAUSIBILITY_FILE
from hub_models.models.plausibility import MAP_FEATURES, Plausibility, mask_features
from hub_models.models.weights import to_float16
from hub_models.xray.geometry import DETAIL, SIDE, keep_detail, to_square
from hub_models.xray.masks import MASKS, Masks

DECODER_CHANNELS = (128, 64, 48, 32, 16)


def new_processor(image_size: int, detail: int | None = DETAIL) -> ViTImageProcessor:
    """The processor of a network of `image_size` x `image_size` pixels with one channel, its thresholds at a half.

    `detail` is what `hub_models.xray.geometry.keep_detail` leaves of an X-ray.
    """
    return ViTImageProcessor(
        size={"height": image_size, "width": image_size},
        image_mean=[0.5],
        image_std=[0.5],
        thresholds=dict.fromkeys(MASKS, 0.5),
        mirror=False,
        detail=detail,
    )


class Segmenter:
    """An `smp.Unet` with one input channel and the outputs `MASKS`, and the processor that fixes its pixels.

    The saved folder also loads with plain `smp.from_pretrained`; size, normalisation and thresholds stand in its
    `preprocessor_config.json`.
    """

    network_names = ("network",)
    """Names of `networks`, known before there is a model."""

    def __init__(
        self, network: smp.Unet, processor: ViTImageProcessor, plausibility: Plausibility | None = None
    ) -> None:
        self.network = network.eval()
        self.processor = processor
        self.plausibility = plausibility
        self.engine = Engine()

    @classmethod
    def new(cls, encoder: str, image_size: int) -> "Segmenter":
        """Make a UNet with untrained weights.

        Args:
            encoder: encoder name of segmentation_models_pytorch ("resnet18", "tu-tf_efficientnet_lite0", ...).
            image_size: side of the square that every X-ray is resized to, in pixels; a multiple of 32.

        Raises:
            ValueError: if the size is not a multiple of 32.
            KeyError: if there is no such encoder.
        """
        if image_size < 32 or image_size % 32:
            raise ValueError(f"The image size is {image_size}; a UNet of five levels needs a multiple of 32.")
        network = smp.Unet(
            encoder, encoder_weights=None, in_channels=1, classes=len(MASKS), decoder_channels=DECODER_CHANNELS
        )
        return cls(network, new_processor(image_size))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "Segmenter":
        """Load a saved folder strictly.

        Raises:
            ValueError: if the network is not a UNet with one output for each of `MASKS`, or its plausibility file is
                damaged.
            RuntimeError: if a tensor is missing or left over.
        """
        try:
            network = smp.from_pretrained(str(folder))
        except KeyError as error:
            raise ValueError(f"{folder} holds no network of segmentation_models_pytorch ({error}).") from error
        outputs = network.segmentation_head[0].out_channels
        if not isinstance(network, smp.Unet) or outputs != len(MASKS):
            network_class = type(network).__name__
            raise ValueError(
                f"{folder} holds a {network_class} with {outputs} outputs; wanted is a Unet with {len(MASKS)}."
            )
        processor, plausibility = AutoImageProcessor.from_pretrained(folder), Plausibility.load(folder)
        features = network.encoder.out_channels[-1] + MAP_FEATURES
        if plausibility is not None and len(plausibility.mean) != features:
            fitted = len(plausibility.mean)
            raise ValueError(f"{PLAUSIBILITY_FILE} tells of {fitted} features; this UNet has {features}. Fit it again.")
        return cls(network.to(best_device()), processor, plausibility)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json, model.safetensors (float16) and preprocessor_config.json; a README.md stays."""
        to_float16(self.network).save_pretrained(str(folder))
        self.processor.save_pretrained(folder)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The network that `engine` runs, by the name of its file."""
        return {"network": UnetNetwork(self.network)}

    @property
    def image_size(self) -> int:
        """Side of the network's input, in pixels."""
        return self.processor.size["height"]

    @property
    def detail(self) -> int | None:
        """Side of the square whose detail the network sees, in pixels; None for all."""
        return getattr(self.processor, "detail", None)

    def square(self, image: np.ndarray) -> np.ndarray:
        """Bring an X-ray, float32 (H, W) in 0..1, to float32 (SIDE, SIDE), with the detail that the network sees."""
        return keep_detail(to_square(image), self.detail)

    @property
    def thresholds(self) -> dict[str, float]:
        """Probability from which a pixel belongs to a mask, for each of `MASKS`."""
        return self.processor.thresholds

    def network_input(self, image: np.ndarray, lungs: np.ndarray | None = None) -> torch.Tensor:
        """Network input, float32 (1, 1, S, S), of one X-ray, float32 (H, W) in 0..1; outlined lungs are not needed."""
        return self.pixel_values([torch.from_numpy(self.square(image))[None]])

    def pixel_values(self, images: list[torch.Tensor]) -> torch.Tensor:
        """Network input, float32 (N, 1, S, S), of images float32 (1, H, W) in 0..1."""
        return self.processor(images, do_rescale=False, return_tensors="pt")["pixel_values"]

    def probabilities(self, images: list[np.ndarray]) -> np.ndarray:
        """Probabilities at the network's own size, float32 (N, 2, S, S), of images float32 (H, W) in 0..1.

        A checkpoint saved with `mirror` gives the mean of the image's and its mirror image's, at twice the cost.
        """
        return self.probabilities_and_features(images)[0]

    def probabilities_and_features(self, images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities as `probabilities` gives them, and the features that judge plausibility, in one pass.

        Returns:
            float32 (N, 2, S, S); features float32 (N, D): the means of the encoder's last maps, and `mask_features`.
        """
        pixels = self.pixel_values([torch.from_numpy(self.square(image))[None] for image in images])
        logits, means = self._run(pixels)
        maps = logits.sigmoid()
        if getattr(self.processor, "mirror", False):
            mirrored, _ = self._run(pixels.flip(-1))
            maps = (maps + mirrored.sigmoid().flip(-1)) / 2
        maps = maps.numpy()
        return maps, np.concatenate([means.numpy(), np.stack([mask_features(pair) for pair in maps])], axis=1)

    def _run(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.engine.run("network", self.networks["network"], pixels)

    def probability_maps(self, images: list[np.ndarray]) -> list[np.ndarray]:
        """Probabilities, float32 (2, SIDE, SIDE) each, of images float32 (H, W) in 0..1; SIDE is the geometry's."""
        return [_resize(maps) for maps in self.probabilities(images)]

    def masks(self, maps: np.ndarray, thresholds: dict[str, float] | None = None) -> Masks:
        """Make the masks of one X-ray from its probabilities, float32 (2, H, W).

        A mask holds the pixels from its threshold up; `hub_models.xray.masks` then mends holes and specks. Without
        lungs there is no infection. The thresholds are the segmenter's own if not given.
        """
        return Masks.of(maps, thresholds or self.thresholds)

    def segment(self, images: list[np.ndarray]) -> list[Masks]:
        """Outline X-rays, float32 (H, W) in 0..1 each, in one pass of the network; masks are (SIDE, SIDE)."""
        outlines = []
        for maps, features in zip(*self.probabilities_and_features(images), strict=True):
            masks = self.masks(_resize(maps))
            if self.plausibility is not None:
                masks = replace(masks, strangeness=self.plausibility.strangeness(features))
            outlines.append(masks)
        return outlines

    def __call__(self, image: np.ndarray) -> Masks:
        """Outline one X-ray, float32 (H, W) in 0..1."""
        return self.segment([image])[0]


def _resize(maps: np.ndarray) -> np.ndarray:
    """Bring probability maps, float32 (2, S, S), to float32 (2, SIDE, SIDE), bilinear."""
    return F.interpolate(torch.from_numpy(maps)[None], (SIDE, SIDE), mode="bilinear", align_corners=False)[0].numpy()
