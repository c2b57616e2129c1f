"""How a picture lies beside the one in its file: turned by quarters and mirrored, and the way back."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Placement:
    """A turn by quarters, a mirroring, or both: rows and columns are exchanged, and then either may be reversed.

    Attributes:
        transposed: rows become columns.
        rows_reversed: the last row comes first, after that.
        columns_reversed: the last column comes first, after that.
    """

    transposed: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False

    @classmethod
    def of(cls, turn_degrees: int, mirror: bool = False) -> "Placement":
        """Make the placement of a turn counter-clockwise by 0, 90, 180 or 270 degrees, after which `mirror` follows."""
        turned = {0: cls(), 90: cls(True, True), 180: cls(False, True, True), 270: cls(True, False, True)}[turn_degrees]
        return turned.then(cls(columns_reversed=mirror))

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Lay the pixels of a file, (H, W), like the picture; returns a view of them."""
        pixels = pixels.T if self.transposed else pixels
        return pixels[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]

    def undo(self, pixels: np.ndarray) -> np.ndarray:
        """Lay the pixels of the picture, (H, W), like those of its file; returns a view of them."""
        pixels = pixels[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]
        return pixels.T if self.transposed else pixels

    def then(self, after: "Placement") -> "Placement":
        """Return the placement that this one and another after it make."""
        rows, columns = self.rows_reversed, self.columns_reversed
        if after.transposed:
            rows, columns = columns, rows
        return Placement(
            self.transposed != after.transposed, rows != after.rows_reversed, columns != after.columns_reversed
        )


AS_IT_IS = Placement()
"""The placement of a picture that lies like the one in its file."""
