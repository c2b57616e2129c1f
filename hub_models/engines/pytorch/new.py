"""Untrained models as PyTorch modules, and the processors that fix their pixels."""

from collections.abc import Mapping, Sequence

import segmentation_models_pytorch as smp
from transformers import PreTrainedModel, ResNetConfig, ResNetForImageClassification, ViTImageProcessor

from hub_models.engines.pytorch.fusion import FusionConfig, LogOpinionPool

DECODER_CHANNELS = (128, 64, 48, 32, 16)

DEPTHS = {
    10: ("basic", (1, 1, 1, 1)),
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
}
"""Layer type and blocks a stage, by depth (He et al. 2016, table 1; 10 is one block a stage)."""


def new_unet_processor(image_size: int, detail: int | None, thresholds: Mapping[str, float]) -> ViTImageProcessor:
    """The processor of a UNet of `image_size` x `image_size` pixels with one channel.

    Args:
        image_size: side of the network input, in pixels.
        detail: what `hub_models.xray.geometry.keep_detail` leaves of an X-ray.
        thresholds: mask -> the probability from which a pixel belongs to it.
    """
    return ViTImageProcessor(
        size={"height": image_size, "width": image_size},
        image_mean=[0.5],
        image_std=[0.5],
        thresholds=dict(thresholds),
        mirror=False,
        detail=detail,
    )


def new_colour_processor(image_size: int) -> ViTImageProcessor:
    """The processor of a classifier of `image_size` x `image_size` pixels with three channels."""
    return ViTImageProcessor(
        size={"height": image_size, "width": image_size},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
        do_convert_rgb=True,
    )


def new_unet(encoder: str, outputs: int) -> smp.Unet:
    """A UNet with one input channel.

    Raises:
        KeyError: if there is no such encoder.
    """
    return smp.Unet(encoder, encoder_weights=None, in_channels=1, classes=outputs, decoder_channels=DECODER_CHANNELS)


def new_resnet(
    depth: int, labels: Sequence[str], image_size: int, settings: Mapping
) -> tuple[PreTrainedModel, ViTImageProcessor]:
    """A ResNet of one of `DEPTHS` and its processor; `settings` are further entries of its config.

    Raises:
        ValueError: if there is no ResNet of this depth.
    """
    if depth not in DEPTHS:
        raise ValueError(f"There is no ResNet of depth {depth}; choose one of {', '.join(map(str, DEPTHS))}.")
    layer_type, blocks = DEPTHS[depth]
    widths = [64, 128, 256, 512] if layer_type == "basic" else [256, 512, 1024, 2048]
    config = ResNetConfig(
        layer_type=layer_type,
        depths=list(blocks),
        hidden_sizes=widths,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        **settings,
    )
    return ResNetForImageClassification(config), new_colour_processor(image_size)


def new_fusion(parts: Mapping[str, str], labels: Sequence[str], view: str) -> LogOpinionPool:
    """The weights between a ResNet and a CLIP; parts, classes and view are those of `FusionConfig`."""
    config = FusionConfig(dict(parts))
    config.label2id = {label: i for i, label in enumerate(labels)}
    config.id2label = dict(enumerate(labels))
    config.view = view
    return LogOpinionPool(config)
