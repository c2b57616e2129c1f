"""What is outlined on a chest X-ray."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Masks:
    """What the UNet outlines on one X-ray.

    Attributes:
        lungs: bool (H, W), of the image's own size.
        infection: bool (H, W).
        strangeness: distance of the picture from the X-rays that the UNet knows, as a share of the largest that it
            accepts (`hub_models.plausibility`); None if the UNet was not taught to tell.
    """

    lungs: np.ndarray
    infection: np.ndarray
    strangeness: float | None = None

    @property
    def strange(self) -> bool:
        """Whether the picture is said to be no frontal chest X-ray."""
        return self.strangeness is not None and self.strangeness >= 1
