"""Data sets on the Hub, each with a card: its content, its sources, and what to beware of."""

import datasets
from huggingface_hub import DatasetCard, HfApi, get_token

from hub_models.checkpoints.download import HUB_ERRORS, hub_failure
from train.data.audit import count_table, patients_on_two_sides

TEXT = """
# {name}

Frontal chest X-rays in splits by patient, with lung and infection masks where somebody drew them. Made for research and
teaching; not for any clinical use.

## What is in it

{table}

- `image`: the X-ray; `label`: {labels}.
- `lung_mask`, `infection_mask`: white inside, black outside; **null where nobody drew one**, which is not the same as a
  mask that is blank.
- `lung_boxes`, `infection_boxes`: bounding boxes, each x0, y0, x1, y1 in pixels; null where nobody drew any.
- `file`, `patient`, `source`, `finding`, `doubt`, `view`, `sex`, `age` (years): text, null where it is not known.
- `caption`: a sentence that somebody wrote on the image; null where captions are to be made of the other columns.

```python
from datasets import load_dataset

rows = load_dataset("{name}", split="{split}")
print(rows[0]["image"].size, rows.features["label"].int2str(rows[0]["label"]))
```

## Sources

{sources}

## Beware

- Patients in more than one split: {shared}.
- The classes may come from different hospitals: a model can name the hospital instead of the disease. Report controls,
  such as the accuracy with the lungs hidden, beside every score.
- Masks exist for a part of the images only; scores of outlines hold for that part.

The terms are those of the images: {license}.
"""


def push(name: str, splits: datasets.DatasetDict, license: str, private: bool = False) -> None:
    """Push a data set, images included, and its card.

    Args:
        name: Hub id, `user/name`.
        splits: the data set.
        license: terms of the images, as the Hub writes them.
        private: create it as a private data set.

    Raises:
        ValueError: there is no token, or the Hub refuses or cannot be reached.
    """
    if get_token() is None:
        raise ValueError("There is no Hub token; log in with `hf auth login` or set HF_TOKEN.")
    try:
        splits.push_to_hub(name, private=private)
        card = DatasetCard.load(name)  # holds the features and files in its metadata, written by the push
        card.data.license = license
        card.data.task_categories = ["image-segmentation", "image-classification"]
        card.data.tags = ["chest-x-ray", "medical-imaging", "covid-19"]
        card.data.pretty_name = name.rpartition("/")[2]
        card.text = describe_splits(name, splits, license)
        HfApi().upload_file(
            path_or_fileobj=str(card).encode(),
            path_in_repo="README.md",
            repo_id=name,
            repo_type="dataset",
            commit_message="Describe the data set",
        )
    except HUB_ERRORS as error:
        raise ValueError(f"The data set is not, or not wholly, pushed: {hub_failure(error, name)}") from error


def describe_splits(name: str, splits: datasets.DatasetDict, license: str) -> str:
    """Write the text of the card."""
    first, rows = next(iter(splits.items()))
    table = count_table(splits)
    lines = [["split", *table.columns], ["---"] * (1 + len(table.columns))]
    lines += [[split, *(f"{count:,}" for count in counts)] for split, *counts in table.itertuples()]
    sources = sorted({source for rows in splits.values() for source in rows["source"] if source})
    return TEXT.format(
        name=name,
        table="\n".join(f"| {' | '.join(line)} |" for line in lines),
        labels=", ".join(rows.features["label"].names),
        split=first,
        sources="\n".join(f"- {source}" for source in sources) or "Not recorded.",
        shared=len(patients_on_two_sides(splits)),
        license=license,
    )
