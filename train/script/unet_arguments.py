"""The arguments of a UNet's training: its network, its losses, and the images that it learns from."""

from dataclasses import dataclass, field

from train.data.rows import has_boxes, has_mask
from train.data.splits import SPLITS
from train.networks import baseline_unet
from train.networks.pip_weights import LITE0
from train.scoring.thresholds import MAX_MARKED_IMAGES
from train.tasks.losses import LOSSES

RECIPES = {"ours": {}, baseline_unet.NAME: baseline_unet.RECIPE}
"""Recipe -> the defaults that it changes."""

LABELLED = {"masks": has_mask, "boxes": has_boxes}
"""Supervision -> the condition for a row to be labelled."""


@dataclass
class UnetArguments:
    """The network, and how it learns from the images."""

    recipe: str = field(
        default="ours",
        metadata={
            "help": "ours, or original: the plain UNet that other projects start from, with its own settings.",
            "choices": list(RECIPES),
        },
    )
    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "UNet (folder or Hub id) to go on from, with its encoder and pixels, instead of a new one."},
    )
    encoder: str | None = field(default=f"tu-{LITE0}", metadata={"help": "Encoder of segmentation_models_pytorch."})
    encoder_weights: str | None = field(
        default="imagenet",
        metadata={
            "help": "imagenet (from the Hub), lite0 or lite2 (pip packages, for the encoders tu-tf_efficientnet_lite0 "
            "and _lite2), none, a weights file, or the folder of a CLIP checkpoint with the same encoder."
        },
    )
    image_size: int | None = field(default=256, metadata={"help": "Side of the input in pixels, a multiple of 32."})
    detail: int | None = field(
        default=None,
        metadata={
            "help": "Side of the square whose detail it sees, in pixels; 192, or that of the model to go on from, if "
            "not given."
        },
    )
    lungs_detail: int | None = field(
        default=None,
        metadata={
            "help": "The same for the lungs, which then take a second look; that of the model to go on from, or of "
            "--detail, if not given."
        },
    )
    loss: str = field(
        default="dice_bce", metadata={"help": "What is minimised where a mask was drawn.", "choices": list(LOSSES)}
    )
    infection_loss: str | None = field(
        default=None, metadata={"help": "The loss of infection, where it is to be another.", "choices": list(LOSSES)}
    )
    augmentation: float = field(default=1.0, metadata={"help": "Strength of the random changes; 0 makes none."})
    storage: float = field(
        default=0.0, metadata={"help": "Strength of the changes that hide how an image was stored, 0 to 1."}
    )
    average_decay: float = field(
        default=0.99, metadata={"help": "Decay a step of the running average of the weights that is saved; 0 for none."}
    )
    repeat_infected: int = field(
        default=3, metadata={"help": "How often an epoch shows an image with an infection that was drawn or boxed."}
    )
    healthy: int = field(
        default=0, metadata={"help": "Training images of the class Normal to add, their infection mask blank."}
    )
    teacher: str | None = field(
        default=None, metadata={"help": "UNet (folder or Hub id) that outlines lungs on training images without."}
    )
    taught: int = field(default=0, metadata={"help": "Training images to add with the lungs the teacher outlines."})
    infection_teacher: str | None = field(
        default=None,
        metadata={"help": "UNet (folder or Hub id) whose infection is learned on images where nobody drew any."},
    )
    supervision: str = field(
        default="masks",
        metadata={
            "help": "masks, or boxes: learn from the boxes of the data, and from those around the parts of its masks.",
            "choices": list(LABELLED),
        },
    )
    outlines: float = field(
        default=0.0, metadata={"help": "With --supervision boxes: share of the drawn masks that stay masks."}
    )
    labelled_share: float = field(
        default=1.0, metadata={"help": "Share of the labelled training images to learn from, drawn at random."}
    )
    mirror: bool = field(
        default=False, metadata={"help": "Answer the mean of an image and its mirror image, at twice the cost."}
    )
    healthy_marked: float = field(
        default=MAX_MARKED_IMAGES,
        metadata={
            "help": "Share of the healthy validation images that the threshold of infection may mark; 1 chooses it by "
            "Dice alone."
        },
    )
    measure_on: str = field(
        default="test",
        metadata={"help": "The split of the card's figures; validation while choosing.", "choices": list(SPLITS[1:])},
    )
