"""Random changes that keep a chest X-ray a chest X-ray, made to the image, its masks and its boxes together."""

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from train.data.storage import StorageChanges


class Augmentation:
    """Small rotations, shifts, zooms, shears and exposures; the mirror image with probability `flip`.

    Args:
        flip: probability of the mirror image.
        strength: factor of all the ranges; 1 rotates by up to 10 degrees and zooms by up to 15 %.
        upright: leave out rotation and shear, so that a box around something stays the smallest box around it.
        storage: strength, 0..1, of the changes that hide how an image was stored.
    """

    def __init__(self, flip: float, strength: float = 1.0, upright: bool = False, storage: float = 0.0) -> None:
        self.storage = StorageChanges(storage)
        self.geometry = v2.Compose(
            [
                v2.RandomHorizontalFlip(flip),
                v2.RandomAffine(
                    degrees=0 if upright else 10 * strength,
                    translate=(0.06 * strength, 0.06 * strength),
                    scale=(1 - 0.15 * strength, 1 + 0.15 * strength),
                    shear=None if upright else 5 * strength,
                    interpolation=v2.InterpolationMode.BILINEAR,
                    fill={tv_tensors.Image: 0.0, tv_tensors.Mask: 0},
                ),
            ]
        )
        self.expose = v2.Compose(
            [
                v2.ColorJitter(brightness=0.2 * strength, contrast=0.3 * strength),
                v2.RandomApply([v2.GaussianBlur(5, (0.3, 1.2))], 0.2),
                v2.RandomApply([v2.GaussianNoise(sigma=0.03 * strength)], 0.3),
            ]
        )

    def __call__(self, image: torch.Tensor, *regions: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Change an image and what is marked on it alike.

        Args:
            image: float32 (1, H, W) in 0..1.
            regions: masks int8 (C, H, W), any values, moved by nearest neighbour, 0 where the image moved away; or
                boxes float32 (K, 4), each x0, y0, x1, y1 in pixels, cut at the image's border.

        Returns:
            All of them, of the same shapes, dtypes and ranges.
        """
        exposed, *regions = self.move(image, *regions)
        return self.storage(exposed), *regions

    def move(self, image: torch.Tensor, *regions: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Make all changes but those that hide how an image was stored; takes and returns what a call does."""
        height, width = image.shape[1:]
        wrapped = [
            tv_tensors.Mask(region)
            if region.ndim == 3
            else tv_tensors.BoundingBoxes(region, format="XYXY", canvas_size=(height, width))
            for region in regions
        ]
        moved, *regions = self.geometry(tv_tensors.Image(image), *wrapped)
        regions = [region.as_subclass(torch.Tensor) for region in v2.ClampBoundingBoxes()(regions)]
        return self.expose(moved).clamp(0, 1).as_subclass(torch.Tensor), *regions
