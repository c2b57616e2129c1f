"""Random changes that keep a chest X-ray a chest X-ray, made to the image and its masks together."""

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2


class Augmentation:
    """Small rotations, shifts, zooms, shears and exposures; the mirror image with probability `flip`."""

    def __init__(self, flip: float) -> None:
        self.move = v2.Compose(
            [
                v2.RandomHorizontalFlip(flip),
                v2.RandomAffine(
                    degrees=10,
                    translate=(0.06, 0.06),
                    scale=(0.85, 1.15),
                    shear=5,
                    interpolation=v2.InterpolationMode.BILINEAR,
                    fill={tv_tensors.Image: 0.0, tv_tensors.Mask: 0},
                ),
            ]
        )
        self.expose = v2.Compose(
            [
                v2.ColorJitter(brightness=0.2, contrast=0.3),
                v2.RandomApply([v2.GaussianBlur(5, (0.3, 1.2))], 0.2),
                v2.RandomApply([v2.GaussianNoise(sigma=0.03)], 0.3),
            ]
        )

    def __call__(self, image: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Change an image and its masks alike.

        Args:
            image: float32 (1, H, W) in 0..1.
            masks: int8 (C, H, W); any values, moved by nearest neighbour, 0 where the image moved away.

        Returns:
            The pair, of the same shapes, dtypes and ranges.
        """
        moved, masks = self.move(tv_tensors.Image(image), tv_tensors.Mask(masks))
        return self.expose(moved).clamp(0, 1).as_subclass(torch.Tensor), masks.as_subclass(torch.Tensor)
