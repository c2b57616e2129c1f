"""Masks as files to keep: a PNG each, and a JSON with run lengths, areas, shares and grades."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hub_models.checkpoints.folder import Checkpoint
from hub_models.reports.png import encode_png
from hub_models.xray.masks import Involvement, Masks, grade_extent, split_lungs

DISCLAIMER = "Research demo, not a medical device: do not diagnose or treat anyone with it."


def run_lengths(mask: np.ndarray) -> dict[str, list[int]]:
    """Encode a mask, bool (H, W), as uncompressed COCO run lengths.

    Returns:
        "size": [H, W]; "counts": lengths of the runs of 0 and 1 in turn, down the columns, the first of 0 (perhaps 0).
    """
    pixels = mask.ravel(order="F")
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    counts = np.diff([0, *changes, pixels.size])
    first = [0] if pixels.size and pixels[0] else []
    return {"size": list(mask.shape), "counts": [*first, *map(int, counts)]}


def describe_verdict(reasons: Sequence[str]) -> dict:
    """Describe whether a picture is read as a frontal chest X-ray: "status", and the "reasons" why it is refused."""
    return {"status": "refused" if reasons else "answered", "reasons": list(reasons)}


def describe_masks(masks: Masks, involvement: Involvement, checkpoint: Checkpoint) -> dict:
    """Describe the outlines of one X-ray, ready for JSON.

    Returns:
        "masks": name -> "pixels" (area) and "rle" (`run_lengths`), of lungs, right_lung, left_lung and infection;
        "infected_share" (0..1), its lowest and highest value over several views, "infected_share_range", and
        "extent_grade" (0..4, `grade_extent`) of right, left and both lungs, null where no lung was found;
        "strangeness" (from 1 up it does not look like a frontal chest X-ray; null if nothing measures it);
        "checkpoint": that of the UNet; "disclaimer".
    """
    right, left = split_lungs(masks.lungs)
    regions = {"lungs": masks.lungs, "right_lung": right, "left_lung": left, "infection": masks.infection}
    shares = involvement.shares
    return {
        "masks": {
            name: {"pixels": int(np.count_nonzero(mask)), "rle": run_lengths(mask)} for name, mask in regions.items()
        },
        "infected_share": shares,
        "infected_share_range": {side: list(involvement.ranges.get(side, ())) or None for side in shares},
        "extent_grade": {side: grade_extent(share) for side, share in shares.items() if side != "both"},
        "strangeness": masks.strangeness,
        "checkpoint": {"origin": checkpoint.origin, "name": checkpoint.name, "revision": checkpoint.revision},
        "disclaimer": DISCLAIMER,
    }


def write_masks(
    folder: Path,
    beginning: str,
    masks: Masks,
    shape: tuple[int, int],
    involvement: Involvement,
    checkpoint: Checkpoint,
) -> list[Path]:
    """Write lungs.png and infection.png (8 bits: 0 outside, 255 inside) at a shape (h, w), and masks.json.

    `beginning` stands before each name.
    """
    names, drawn = ("lungs.png", "infection.png", "masks.json"), masks.at(shape)
    paths = [folder / f"{beginning}{name}" for name in names]
    for path, mask in zip(paths, (drawn.lungs, drawn.infection), strict=False):
        path.write_bytes(encode_png(mask.astype(np.uint8) * 255))
    text = json.dumps(describe_masks(masks, involvement, checkpoint))
    paths[-1].write_text(text + "\n", encoding="utf-8")
    return paths
