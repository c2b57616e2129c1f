"""An X-ray data set: counted, audited, and written to a manifest, a folder or the Hub.

    python -m train.data --dataset COVID-QU-Ex                     # counts, patients in two splits, near-copies
    python -m train.data --dataset COVID-QU-Ex --boxes boxes.json --manifest manifest.csv --save_to covid-qu-ex-ready
    python -m train.data --dataset covid-qu-ex-ready --push_to_hub me/lung-xrays --license cc-by-nc-sa-4.0

What is pushed is private unless --public is given; patients become numbers, and file names, headers and texts stay
here, but for the columns that --columns names. The data set that is read stays as it is.
"""

import argparse

import datasets
import pandas as pd

from hub_models.engines.quiet import no_telemetry
from train.data.arguments import NAMED_COLUMNS, check_license
from train.data.audit import count_table, drop_training_copies, near_copies, patients_on_two_sides
from train.data.dataset import load
from train.data.push import check_push, public_rows, push, summary
from train.data.rows import IMAGE_COLUMNS, drop_unreadable, undecoded
from train.script.arguments import run


def main(argv: list[str] | None = None) -> pd.DataFrame:
    """Print a data set's counts and audit; write, save or push it if the arguments say so. Returns the counts."""
    no_telemetry()
    parser = argparse.ArgumentParser(prog="python -m train.data", description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", required=True, help="a folder, a table of paths or a Hub id")
    for column in (*NAMED_COLUMNS, "label"):
        parser.add_argument(f"--{column}_column", metavar="NAME", help=f"the column of the data that holds `{column}`")
    parser.add_argument("--boxes", help="JSON file of bounding boxes, as COCO or Pascal VOC write them, to add")
    parser.add_argument("--manifest", help="write one CSV row an image to this file (folders only)")
    parser.add_argument("--save_to", help="save the data set, images included, to this folder")
    parser.add_argument("--push_to_hub", metavar="USER/NAME", help="push the data set, images included")
    parser.add_argument("--public", action="store_true", help="let everybody see the pushed data set")
    parser.add_argument(
        "--columns", default="", metavar="NAME,...", help="columns of text to push, too: source, finding, file, ..."
    )
    parser.add_argument("--license", help="terms of the images, as the Hub writes them; needed for --push_to_hub")
    parser.add_argument("--drop_duplicates", action="store_true", help="leave out training copies of evaluation images")
    parser.add_argument("--strict", action="store_true", help="stop at an image that cannot be read")
    arguments = parser.parse_args(argv)
    if arguments.push_to_hub and not arguments.license:
        parser.error("--push_to_hub needs --license: the terms of the images, such as cc-by-nc-sa-4.0 for COVID-QU-Ex")
    check_license(arguments.license)
    if arguments.push_to_hub:
        check_push(arguments.push_to_hub, private=not arguments.public)
    # 1. Read, and leave out what cannot be used
    named = {column: getattr(arguments, f"{column}_column") for column in (*NAMED_COLUMNS, "label")}
    splits = load(arguments.dataset, arguments.boxes, columns={column: held for column, held in named.items() if held})
    splits = datasets.DatasetDict({name: drop_unreadable(rows, arguments.strict) for name, rows in splits.items()})
    if arguments.drop_duplicates:
        splits = drop_training_copies(splits)
    # 2. Print the counts and the audit
    table = count_table(splits)
    print(table.to_string())
    _print_leaks(splits)
    # 3. Write, save or push it
    if arguments.manifest:
        _write_manifest(splits, arguments.manifest)
    if arguments.save_to:
        splits.save_to_disk(arguments.save_to)
        print(f"Saved to {arguments.save_to}; use it with --dataset {arguments.save_to}")
    if arguments.push_to_hub:
        public = public_rows(splits, [name.strip() for name in arguments.columns.split(",") if name.strip()])
        print(summary(arguments.push_to_hub, public, private=not arguments.public))
        push(arguments.push_to_hub, public, arguments.license, private=not arguments.public)
        print(f"Pushed; use it with --dataset {arguments.push_to_hub}")
    return table


def _print_leaks(splits: datasets.DatasetDict) -> None:
    patients = patients_on_two_sides(splits)
    known = [patient is not None for rows in splits.values() for patient in rows["patient"]]
    unknown = "" if all(known) else f" (the patient of {sum(known)} of {len(known)} images is known)"
    print(f"Patients in more than one split: {len(patients)}{unknown}")
    pairs = near_copies(splits)
    across = pairs[pairs["split_a"] != pairs["split_b"]]
    print(f"Near-duplicate pairs: {len(pairs) - len(across)} within a split, {len(across)} across splits")
    for pair in across.head(20).itertuples():
        print(f"  {pair.split_a}/{pair.file_a} ~ {pair.split_b}/{pair.file_b}")


def _write_manifest(splits: datasets.DatasetDict, path: str) -> None:
    tables = []
    for split, rows in splits.items():
        table = undecoded(rows).to_pandas()
        table["label"] = [rows.features["label"].names[i] for i in table["label"]]
        for name in IMAGE_COLUMNS:
            table[name] = [image and image["path"] for image in table[name]]
        tables.append(table.assign(split=split))
    pd.concat(tables).to_csv(path, index=False)
    print(f"Wrote {sum(map(len, tables))} rows to {path}")


if __name__ == "__main__":
    run(main)
