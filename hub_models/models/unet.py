"""The UNet that outlines the lungs and the infected region of a chest X-ray."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.special import expit

from hub_models.engines.engine import Engine
from hub_models.models.network_model import NetworkModel
from hub_models.models.plausibility import FILE as PLAUSIBILITY_FILE
from hub_models.models.plausibility import MAP_FEATURES, Plausibility, mask_features
from hub_models.models.saved import SavedModel
from hub_models.xray.geometry import DETAIL, SIDE, keep_detail, to_square
from hub_models.xray.masks import MASKS, Masks

THRESHOLDS = dict.fromkeys(MASKS, 0.5)
"""Thresholds of a UNet for which none were chosen."""

LUNGS = MASKS.index("lungs")


def new_processor(image_size: int, detail: int | None = DETAIL) -> Any:
    """Make the processor of a network of `image_size` x `image_size` pixels with one channel; this needs transformers.

    `detail` is what `hub_models.xray.geometry.keep_detail` leaves of an X-ray.
    """
    from hub_models.engines.pytorch.new import new_unet_processor

    return new_unet_processor(image_size, detail, THRESHOLDS)


class Segmenter(NetworkModel):
    """A UNet with one input channel and the outputs `MASKS`, and the processor that fixes its pixels.

    The saved folder also loads with plain `smp.from_pretrained`; size, normalisation and thresholds stand in its
    `preprocessor_config.json`.
    """

    family = "unet"
    network_names = ("network",)

    def __init__(
        self, network: Any, processor: Any, engine: Engine | None = None, plausibility: Plausibility | None = None
    ) -> None:
        super().__init__(network, processor, engine)
        self.plausibility = plausibility

    @classmethod
    def new(cls, encoder: str, image_size: int) -> "Segmenter":
        """Make a UNet with untrained weights; this needs PyTorch.

        Args:
            encoder: encoder name of segmentation_models_pytorch ("resnet18", "tu-tf_efficientnet_lite0", ...).
            image_size: side of the square that every X-ray is resized to, in pixels; a multiple of 32.

        Raises:
            ValueError: if the size is not a multiple of 32.
            KeyError: if there is no such encoder.
        """
        if image_size < 32 or image_size % 32:
            raise ValueError(f"The image size is {image_size}; a UNet of five levels needs a multiple of 32.")
        from hub_models.engines.pytorch.new import new_unet

        return cls(new_unet(encoder, len(MASKS)), new_processor(image_size))

    @classmethod
    def from_pretrained(cls, folder: str | Path, engine_name: str | None = None) -> "Segmenter":
        """Load a saved folder strictly, with the fastest engine or one of `ENGINES`.

        Raises:
            ValueError: if the network is not a UNet with one output for each of `MASKS`, its plausibility file is
                damaged, or PyTorch is needed and not installed.
            RuntimeError: if a tensor is missing or left over.
        """
        segmenter = cls(*cls._open(folder, engine_name=engine_name), Plausibility.load(folder))
        if segmenter.plausibility is not None:
            fitted, features = len(segmenter.plausibility.mean), segmenter._count_features()
            if fitted != features:
                raise ValueError(
                    f"{PLAUSIBILITY_FILE} tells of {fitted} features; this UNet has {features}. Fit it again."
                )
        return segmenter

    def _count_features(self) -> int:
        """Return the number of features that judge plausibility; a graphics card may not be lent to PyTorch yet."""
        if not isinstance(self.model, SavedModel):
            return self.model.encoder.out_channels[-1] + MAP_FEATURES
        return self.probabilities_and_features([np.zeros((SIDE, SIDE), np.float32)])[1].shape[1]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json, model.safetensors (float16) and preprocessor_config.json; a README.md stays.

        Its network is a PyTorch module.
        """
        from hub_models.engines.pytorch.weights import to_float16

        to_float16(self.network).save_pretrained(str(folder))
        self.processor.save_pretrained(folder)

    @property
    def network(self) -> Any:
        """The network, as `NetworkModel.model` says."""
        return self.model

    @property
    def image_size(self) -> int:
        """Side of the network's input, in pixels."""
        return self.preprocessing.size[0]

    @property
    def detail(self) -> int | None:
        """Side of the square whose detail the network sees, in pixels; None for all."""
        return getattr(self.processor, "detail", None)

    def square(self, image: np.ndarray) -> np.ndarray:
        """Bring an X-ray, float32 (H, W) in 0..1, to float32 (SIDE, SIDE), with the detail that the network sees."""
        return keep_detail(to_square(image), self.detail)

    @property
    def lungs_detail(self) -> int | None:
        """Side of the square whose detail the lungs are outlined from, in pixels; None for that of `detail`.

        Finer detail is the first to change when the same X-ray is stored otherwise. Lungs do not need it; a faint
        infection may.
        """
        return getattr(self.processor, "lungs_detail", None)

    @property
    def thresholds(self) -> dict[str, float]:
        """Probability from which a pixel belongs to a mask, for each of `MASKS`."""
        return self.processor.thresholds

    def network_input(self, image: np.ndarray, lungs: np.ndarray | None = None) -> np.ndarray:
        """Network input, float32 (1, 1, S, S), of one X-ray, float32 (H, W) in 0..1; outlined lungs are not needed."""
        return self.pixel_values([self.square(image)])

    def pixel_values(self, images: list[np.ndarray]) -> np.ndarray:
        """Network input, float32 (N, 1, S, S), of images float32 (H, W) in 0..1."""
        return self.preprocessing(images, channels=1)

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
        maps, means = self._maps_and_means(images)
        return maps, np.concatenate([means, np.stack([mask_features(pair) for pair in maps])], axis=1)

    def _maps_and_means(self, images: Sequence[np.ndarray], judged: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities, float32 (N, 2, S, S), and the means of the encoder's last maps, float32 (N, E).

        With a `lungs_detail` the network takes a second look at the first `judged` images, for their lungs; at all if
        None.
        """
        squares = [to_square(image) for image in images]
        looks = [keep_detail(square, self.detail) for square in squares]
        if self.lungs_detail is not None:
            looks += [keep_detail(square, self.lungs_detail) for square in squares[:judged]]
        maps, means = self._look(looks)
        maps, coarse = maps[: len(squares)], maps[len(squares) :]
        maps[: len(coarse), LUNGS] = coarse[:, LUNGS]
        return maps, means[: len(squares)]

    def _look(self, squares: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        pixels = self.pixel_values(squares)
        logits, means = self.run("network", pixels)
        maps = expit(logits)
        if getattr(self.processor, "mirror", False):
            mirrored, _ = self.run("network", pixels[..., ::-1])
            maps = (maps + expit(mirrored)[..., ::-1]) / 2
        return maps, means

    def probability_maps(self, images: list[np.ndarray]) -> list[np.ndarray]:
        """Probabilities, float32 (2, SIDE, SIDE) each, of images float32 (H, W) in 0..1; SIDE is the geometry's."""
        return [_resize(maps) for maps in self.probabilities(images)]

    def masks(self, maps: np.ndarray, thresholds: dict[str, float] | None = None, smooth: bool = True) -> Masks:
        """Make the masks of one X-ray from its probabilities, float32 (2, H, W).

        A mask holds the pixels from its threshold up; `hub_models.xray.masks` then mends holes and specks. Without
        lungs there is no infection. The thresholds are the segmenter's own if not given. `smooth` is as in `Masks.of`.
        """
        return Masks.of(maps, thresholds or self.thresholds, smooth)

    def segment(self, images: list[np.ndarray], views: Sequence[np.ndarray] = ()) -> list[Masks]:
        """Outline X-rays in one pass of the network.

        Args:
            images: X-rays, float32 (H, W) in 0..1 each.
            views: other views of them, to measure: they are not judged, their outlines are not drawn, and no second
                look is taken at their lungs.

        Returns:
            Masks (SIDE, SIDE) of the X-rays, and then of the views, which have no strangeness and no smooth outlines.
        """
        all_maps, means = self._maps_and_means([*images, *views], judged=len(images))
        outlines = []
        for position, maps in enumerate(all_maps):
            masks = self.masks(_resize(maps), smooth=position < len(images))
            if self.plausibility is not None and position < len(images):
                features = np.concatenate([means[position], mask_features(maps)])
                masks = replace(masks, strangeness=self.plausibility.strangeness(features))
            outlines.append(masks)
        return outlines

    def __call__(self, image: np.ndarray) -> Masks:
        """Outline one X-ray, float32 (H, W) in 0..1."""
        return self.segment([image])[0]


def _resize(maps: np.ndarray) -> np.ndarray:
    """Bring probability maps, float32 (2, S, S), to float32 (2, SIDE, SIDE), bilinear."""
    if maps.shape[1:] == (SIDE, SIDE):
        return maps
    size, bilinear = (SIDE, SIDE), Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(channel).resize(size, bilinear)) for channel in maps])
