"""Arguments that choose the data, and the view in which a classifier learns from it."""

import re
from dataclasses import dataclass, field
from math import inf

from hub_models.cards.facts import LICENSE
from hub_models.checkpoints.roles import of_family
from hub_models.models.views import View

NAMED_COLUMNS = ("image", "lung_mask", "infection_mask", "patient", "source")
"""Columns for which an argument names the one of the data."""


@dataclass
class DataArguments:
    """The X-rays to learn from."""

    dataset: str = field(
        metadata={
            "help": "A folder (COVID-QU-Ex, images with a metadata.csv, class folders, a saved data set), a CSV or "
            "Parquet file of paths, or a Hub id (USER/NAME[@REVISION])."
        }
    )
    boxes: str | None = field(
        default=None, metadata={"help": "JSON file of bounding boxes, as COCO or Pascal VOC write them."}
    )
    corrections: str | None = field(
        default=None,
        metadata={"help": "X-rays that visitors of the page corrected, to learn from, too: a folder or a Hub id."},
    )
    max_train_samples: int | None = field(default=None, metadata={"help": "Use this many training images only."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Validate and test on this many images only."})
    drop_duplicates: bool = field(
        default=False, metadata={"help": "Leave out training images that have a near-copy in validation or test."}
    )
    label_column: str | None = field(
        default=None,
        metadata={"help": "Column whose values are the classes; the class folders, or `label`, if not given."},
    )
    image_column: str | None = field(default=None, metadata={"help": "Column that holds the X-rays, if not `image`."})
    lung_mask_column: str | None = field(default=None, metadata={"help": "Column of masks of the lungs."})
    infection_mask_column: str | None = field(default=None, metadata={"help": "Column of masks of the infection."})
    patient_column: str | None = field(default=None, metadata={"help": "Column that tells patients apart."})
    source_column: str | None = field(default=None, metadata={"help": "Column of the hospital or collection."})
    labels: str | None = field(
        default=None,
        metadata={
            "help": 'Classes to learn, as "A,B,C"; images of others are left out. All of the column if not given.'
        },
    )
    multi_label: bool = field(
        default=False,
        metadata={"help": 'An image may have several classes: the column holds lists, or texts like "Edema|Effusion".'},
    )
    folds: int | None = field(
        default=None, metadata={"help": "Train once for each of this many folds of the patients; mean and spread."}
    )
    fold: str | None = field(
        default=None, metadata={"help": "Test on one fold of the patients, as I/K, and validate on the next one."}
    )
    leave_source_out: str | None = field(
        default=None,
        metadata={"help": "Learn from all sources (column `source`) but this one, and test on all images of it."},
    )
    keep_test: bool = field(
        default=False,
        metadata={"help": "With --leave_source_out: do not test on its images of the test split, so as to choose."},
    )
    skip_sources: str | None = field(
        default=None, metadata={"help": 'Sources, as "A,B", of which no training image is used.'}
    )
    skip_doubtful: bool = field(
        default=False,
        metadata={"help": "Use no training image whose class somebody doubted (a text in the column `doubt`)."},
    )
    strict: bool = field(
        default=False, metadata={"help": "Stop at an image that cannot be read instead of skipping it."}
    )
    config: str | None = field(
        default=None, metadata={"help": "YAML file of arguments, `name: value`; the command line comes before it."}
    )
    streaming: bool = field(
        default=False,
        metadata={"help": "Give memory back as soon as an image was read, so that it does not grow with their number."},
    )
    license: str | None = field(
        default=None,
        metadata={"help": "Terms of the images, which the weights carry on, as the Hub writes them (cc-by-4.0, ...)."},
    )
    data_name: str | None = field(
        default=None, metadata={"help": "Name of the data for the model card; the Hub id where it is one."}
    )
    citation: list[str] = field(
        default_factory=list, metadata={"help": "What the model card cites for the data; several in quotes."}
    )

    def __post_init__(self) -> None:
        """Refuse terms that the Hub does not know how to read, before anything starts.

        Raises:
            ValueError: the licence is not written as the Hub writes it.
        """
        check_license(self.license)

    def columns(self) -> dict[str, str]:
        """Return those columns of the data that have another name than the scripts' own, by the latter."""
        named = {column: getattr(self, f"{column}_column") for column in NAMED_COLUMNS}
        return {column: held for column, held in named.items() if held is not None}


def check_license(name: str | None) -> None:
    """Refuse a licence that is not written as the Hub writes it.

    Raises:
        ValueError: as told.
    """
    if name is not None and not re.fullmatch(LICENSE, name):
        raise ValueError(f"--license is {name!r}; write the Hub's id of it, like cc-by-nc-sa-4.0.")


@dataclass(kw_only=True)
class ClassifierArguments:
    """The view in which a classifier is shown the X-rays, and the UNet that outlines their lungs."""

    view: View = field(
        default="lungs",
        metadata={"help": "The view of the X-ray that the model is shown (see hub_models/models/views.py)."},
    )
    widened_by: list[int] = field(
        default_factory=lambda: [0],
        metadata={
            "help": "Pixels by which the lungs' outline is widened in each look of the finished model, whose answer is "
            "the mean over the looks: 0 1 2 costs three passes and changes less when an X-ray is stored otherwise."
        },
    )
    unet: str | None = field(default=None, metadata={"help": "UNet that outlines the lungs: a folder or Hub id."})
    permute_labels: bool = field(
        default=False,
        metadata={"help": "Permute the classes of the training images at random: a control that must reach chance."},
    )


def check_sharpness(sharpness: float, role: str | None = None) -> None:
    """Refuse a sharpness that is none, or is for a role whose checkpoints read no sentences.

    Raises:
        ValueError: it is so.
    """
    if role is not None and role not in of_family("clip"):
        raise ValueError(f"--sentence_sharpness is for a CLIP; a checkpoint of the role {role} reads no sentences.")
    if not 0 < sharpness < inf:
        raise ValueError(f"--sentence_sharpness is {sharpness}; give a number over 0, or leave it out for none.")
