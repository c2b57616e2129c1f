"""Drawn X-rays as the files that people have."""

from pathlib import Path

from hub_models.reports.overlay import encode_png
from hub_models.xray.phantom import draw_phantom


def draw_files(count: int, side: int) -> list[bytes]:
    """So many different X-rays of side x side pixels as PNG files, with up to three opacities."""
    return [encode_png(draw_phantom(seed, size=side, opacities=seed % 4).image) for seed in range(1, count + 1)]


def write_files(folder: Path, files: list[bytes], count: int) -> None:
    """Write a new folder of so many files; where there are fewer different ones, they come again."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:04}.png").write_bytes(files[number % len(files)])
