"""Network input without transformers: equal to what the saved image processors make, to 1e-4."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoImageProcessor,
    BaseImageProcessor,
    BitImageProcessor,
    CLIPImageProcessor,
    ConvNextImageProcessor,
    SiglipImageProcessor,
    ViTImageProcessor,
)

from hub_models.checkpoints.resolve import EMBEDDED
from hub_models.models.pixels import Preprocessing
from hub_models.models.saved import SavedProcessor

SHAPES = ((256, 256), (100, 131), (301, 70), (40, 40))
SQUARE = {"height": 64, "width": 64}
PROCESSORS = {
    "vit": ViTImageProcessor(size=SQUARE, image_mean=[0.5] * 3, image_std=[0.5] * 3),
    "vit, not normalised": ViTImageProcessor(size=SQUARE, do_normalize=False),
    "clip": CLIPImageProcessor(),
    "clip of a square": CLIPImageProcessor(size=SQUARE, crop_size=SQUARE),
    "clip that crops": CLIPImageProcessor(size={"shortest_edge": 60}, crop_size={"height": 48, "width": 40}),
    "siglip": SiglipImageProcessor(),
    "bit": BitImageProcessor(),
    "convnext": ConvNextImageProcessor(size={"shortest_edge": 224}),
    "convnext, large": ConvNextImageProcessor(size={"shortest_edge": 384}),
}


def expected(processor: BaseImageProcessor, picture: np.ndarray, channels: int) -> np.ndarray:
    tensor = torch.from_numpy(picture).expand(channels, -1, -1)
    return processor(images=[tensor], do_rescale=False, return_tensors="pt")["pixel_values"].numpy()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("processor", PROCESSORS.values(), ids=PROCESSORS)
def test_pixels_are_those_of_the_processor(processor, shape, tmp_path):
    picture = np.random.default_rng(0).random(shape, dtype=np.float32)
    processor.save_pretrained(tmp_path)
    pixels = Preprocessing.of(SavedProcessor.read(tmp_path).to_dict())([picture, picture], 3)
    assert (pixels.dtype, len(pixels)) == (np.float32, 2)
    np.testing.assert_allclose(pixels[:1], expected(processor, picture, 3), rtol=0, atol=1e-4)
    assert Preprocessing.of(processor.to_dict()) == Preprocessing.of(SavedProcessor.read(tmp_path).to_dict())


@pytest.mark.parametrize(("role", "channels"), [("unet", 1), ("resnet", 3), ("clip-finetuned", 3)])
def test_pixels_of_the_checkpoints_that_ship_are_those_of_their_processors(role, channels):
    picture = np.random.default_rng(1).random((180, 201), dtype=np.float32)
    pixels = Preprocessing.of(SavedProcessor.read(EMBEDDED / role).to_dict())([picture], channels)
    processor = AutoImageProcessor.from_pretrained(EMBEDDED / role)
    np.testing.assert_allclose(pixels, expected(processor, picture, channels), rtol=0, atol=1e-4)


def test_settings_of_old_files_which_give_a_size_as_one_number_are_read():
    old = {"crop_size": 48, "size": 60, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    clip = Preprocessing.of(old | {"feature_extractor_type": "CLIPFeatureExtractor"})
    assert clip == Preprocessing(60, 3, (48, 48), (0.5,) * 3, (0.25,) * 3)
    vit = Preprocessing.of(old | {"feature_extractor_type": "ViTFeatureExtractor"})
    assert (vit.size, vit.crop) == ((60, 60), None)


def test_a_processor_that_is_not_known_and_one_that_says_too_little_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"The image processor is BlipImageProcessor; those of CLIP, .* are known"):
        Preprocessing.of({"image_processor_type": "BlipImageProcessor"})
    with pytest.raises(ValueError, match=r"settings of the image processor are incomplete: 'size' is missing\.$"):
        Preprocessing.of({"image_processor_type": "ViTImageProcessor"})
    (tmp_path / "processor_config.json").write_text('{"processor_class": "CLIPProcessor"}')  # tells nothing of pixels
    with pytest.raises(ValueError, match=r"holds no preprocessor_config\.json"):
        SavedProcessor.read(tmp_path)
