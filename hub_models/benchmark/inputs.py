"""The inputs of the benchmark: drawn X-rays as files, and checkpoints with ONNX files from other folders."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub_models.benchmark import WrongUse
from hub_models.checkpoints.resolve import resolve
from hub_models.checkpoints.roles import ROLES
from hub_models.reports.png import encode_png
from hub_models.xray.phantom import draw_phantom


@contextmanager
def with_exports(exports: Path | None) -> Iterator[dict[str, str]]:
    """Copy checkpoints beside the ONNX files of `exports`/ROLE, while this is open: role -> folder of the copy.

    Raises:
        WrongUse: there are no such files.
        CheckpointError: a checkpoint cannot be had.
    """
    files_of_role = {role: sorted((exports / role).glob("*.onnx")) for role in ROLES} if exports else {}
    if exports and not any(files_of_role.values()):
        raise WrongUse(f"There is no ROLE/*.onnx in {exports}; the roles are {', '.join(ROLES)}.")
    with tempfile.TemporaryDirectory(prefix="xray-benchmark-") as work:
        copies = {role: Path(work, role) for role, files in files_of_role.items() if files}
        for role, copy in copies.items():
            shutil.copytree(resolve(role).folder, copy)
            for file in files_of_role[role]:
                shutil.copy(file, copy)
        yield {role: str(copy) for role, copy in copies.items()}


def draw_files(count: int, side: int) -> list[bytes]:
    """Draw different X-rays of side x side pixels as PNG files, with up to three opacities."""
    return [encode_png(draw_phantom(seed, size=side, opacities=seed % 4).image) for seed in range(1, count + 1)]


def write_files(folder: Path, files: list[bytes], count: int) -> None:
    """Write a new folder of `count` files; where there are fewer different ones, they repeat."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:04}.png").write_bytes(files[number % len(files)])
