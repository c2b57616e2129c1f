"""A CLIP-style model of two encoders that come by pip, from which training starts without the Hub."""

from transformers import (
    AutoTokenizer,
    BertModel,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
    VisionTextDualEncoderProcessor,
)
from transformers.models.timm_wrapper import TimmWrapperConfig, TimmWrapperModel

from hub_models.engines.pytorch.new import new_colour_processor
from train.networks.pip_weights import LITE0, lite_weights, minilm_folder


def packaged_clip(
    image_size: int, text_layers: int
) -> tuple[VisionTextDualEncoderModel, VisionTextDualEncoderProcessor]:
    """Return EfficientNet-Lite0 and the first layers of MiniLM, joined by new projections, and their processor.

    Args:
        image_size: side of the input in pixels.
        text_layers: how many of MiniLM's six layers to keep.

    Raises:
        ModuleNotFoundError: their packages are not installed.
    """
    vision_config = TimmWrapperConfig(architecture=LITE0, do_pooling=True)
    vision_config.hidden_size = 1280  # the projection needs it, and TimmWrapperConfig does not have it
    vision = TimmWrapperModel(vision_config)
    weights = {name: tensor for name, tensor in lite_weights("lite0").items() if not name.startswith("classifier.")}
    vision.timm_model.load_state_dict(weights)
    text = BertModel.from_pretrained(minilm_folder(), num_hidden_layers=text_layers)
    config = VisionTextDualEncoderConfig.from_vision_text_configs(vision_config, text.config, projection_dim=256)
    model = VisionTextDualEncoderModel(config=config, vision_model=vision, text_model=text)
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder(), model_max_length=128)
    return model, VisionTextDualEncoderProcessor(new_colour_processor(image_size), tokenizer)
