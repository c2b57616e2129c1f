"""What the classifiers share: the view that a model was trained on, as its processor's pixels."""

import numpy as np
import torch
from transformers import BaseImageProcessor


def classifier_pixels(processor: BaseImageProcessor, images: list[np.ndarray]) -> torch.Tensor:
    """Network input of greyscale images, which may differ in size.

    Args:
        processor: the image processor saved with the model.
        images: float32 (H, W) in 0..1, what `apply_view` gives.

    Returns:
        float32 (N, 3, S, S), resized and normalised by the processor; the three channels start from the same grey.
    """
    colour = [torch.from_numpy(np.ascontiguousarray(image)).expand(3, -1, -1) for image in images]
    return processor(images=colour, do_rescale=False, return_tensors="pt")["pixel_values"]
