"""What is measured: drawn X-rays as files, and the checkpoints in use with ONNX files that lie elsewhere."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub_models.benchmark import WrongUse
from hub_models.checkpoints.resolve import resolve
from hub_models.checkpoints.roles import ROLES
from hub_models.reports.overlay import encode_png
from hub_models.xray.phantom import draw_phantom


@contextmanager
def with_exports(exports: Path | None) -> Iterator[dict[str, str]]:
    """Role -> folder of a copy of its checkpoint with the ONNX files of `exports`/ROLE, while it is open.

    Raises:
        WrongUse: there are no such files.
        CheckpointError: a checkpoint cannot be had.
    """
    found = {role: sorted((exports / role).glob("*.onnx")) for role in ROLES} if exports else {}
    if exports and not any(found.values()):
        raise WrongUse(f"There is no ROLE/*.onnx in {exports}; the roles are {', '.join(ROLES)}.")
    with tempfile.TemporaryDirectory(prefix="xray-benchmark-") as work:
        copies = {role: Path(work, role) for role, files in found.items() if files}
        for role, copy in copies.items():
            shutil.copytree(resolve(role).folder, copy)
            for file in found[role]:
                shutil.copy(file, copy)
        yield {role: str(copy) for role, copy in copies.items()}


def draw_files(count: int, side: int) -> list[bytes]:
    """So many different X-rays of side x side pixels as PNG files, with up to three opacities."""
    return [encode_png(draw_phantom(seed, size=side, opacities=seed % 4).image) for seed in range(1, count + 1)]


def write_files(folder: Path, files: list[bytes], count: int) -> None:
    """Write a new folder of so many files; where there are fewer different ones, they come again."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:04}.png").write_bytes(files[number % len(files)])
