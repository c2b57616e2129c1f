"""The checkpoints in use with ONNX files that lie elsewhere."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub_models.benchmark import WrongUse
from hub_models.checkpoints.resolve import ROLES, resolve


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
