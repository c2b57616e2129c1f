"""The file with the quality of each model in each engine; `python -m train.scoring` writes it for the benchmark."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hub_models.benchmark import WrongUse
from hub_models.checkpoints.folder import weights_digest

Measured = dict[str, dict[str, float]]
"""Engine in words -> the model's figures with it, and "images", the number of images that they were measured on."""


@dataclass(frozen=True)
class Quality:
    """The measured quality of models on the validation split of a data set.

    Attributes:
        dataset: the data set, as the training scripts take it.
        measured: role -> engine in words -> figures.
        files: role -> `files_digest` of the checkpoint that was measured.
    """

    dataset: str
    measured: dict[str, Measured]
    files: dict[str, str]

    @classmethod
    def load(cls, file: Path) -> "Quality":
        """Read a file that `save` wrote.

        Raises:
            WrongUse: there is no such file, or it is not one of `save`.
        """
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError) as error:
            raise WrongUse(f"{file} is not a file that python -m train.scoring wrote: {error}.") from error

    def save(self, file: Path) -> None:
        """Write it as JSON; the file's folder is made if it is missing."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    def of(self, folders: Mapping[str, Path]) -> tuple[dict[str, Measured], list[str]]:
        """Select the figures of the checkpoints in use: role -> figures; and a sentence for each role without any.

        Args:
            folders: role -> its checkpoint's folder.
        """
        figures, left_out = {}, []
        for role, folder in folders.items():
            if role not in self.measured:
                left_out.append(f"The quality of {role} was not measured.")
            elif self.files.get(role) != files_digest(folder):
                left_out.append(f"The quality of {role} was measured with other files; run train.scoring again.")
            else:
                figures[role] = self.measured[role]
        return figures, left_out


def files_digest(folder: Path) -> str:
    """SHA-256, in hexadecimal, of a checkpoint's weights and ONNX files together."""
    digest = hashlib.sha256((weights_digest(folder) or "").encode())
    for file in sorted(folder.glob("*.onnx")):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()
