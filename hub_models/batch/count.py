"""The number of images that a batch has done so far, in words."""

from dataclasses import dataclass


@dataclass
class Count:
    """The number of images so far.

    Attributes:
        total: all images; None until they are counted.
        answered: those that were answered.
        refused: those that were refused.
        earlier: those that were answered or refused before this command.
    """

    total: int | None = None
    answered: int = 0
    refused: int = 0
    earlier: int = 0

    def __str__(self) -> str:
        """Say how many were answered and refused."""
        if self.total is None:
            return "No image answered"
        return f"{self.answered} of {self.total} images answered" + f", {self.refused} refused" * (self.refused > 0)

    def add(self, status: str) -> None:
        """Count an image by its status in the table."""
        self.refused += status == "refused"
        self.answered += status != "refused"
