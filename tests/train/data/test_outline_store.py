import numpy as np

from hub_models.xray.mask_pictures import read_mask
from tests.support.datasets import dataset, halves
from train.data.lungs import outline_lungs
from train.data.outline_store import OutlineStore, image_key


class Once:
    """A segmenter that may be asked about each image once."""

    def __init__(self) -> None:
        self.known, self.asked = halves(), 0

    def probability_maps(self, images: list[np.ndarray]) -> list[np.ndarray]:
        self.asked += len(images)
        return self.known.probability_maps(images)

    def masks(self, maps: np.ndarray):
        return self.known.masks(maps)


def test_lungs_are_outlined_once_for_an_image_and_a_unet(tmp_path, monkeypatch):
    monkeypatch.setenv("XRAY_LUNGS_CACHE", str(tmp_path))
    rows = dataset(*({"side": side, "label": "Normal"} for side in (32, 48, 64)))
    twice = rows.select([0, 1, 2, 0])
    segmenter = Once()
    first = outline_lungs(twice, segmenter, OutlineStore("a" * 64))
    assert segmenter.asked == 3  # one image stands there twice
    again = outline_lungs(rows, segmenter, OutlineStore("a" * 64))
    assert segmenter.asked == 3
    assert [read_mask(lungs).tolist() for lungs in again["lungs"]] == [
        read_mask(lungs).tolist() for lungs in first["lungs"][:3]
    ]
    assert read_mask(again["lungs"][1])[:, :24].all()
    outline_lungs(rows, segmenter, OutlineStore("b" * 64))
    assert segmenter.asked == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a" * 32 + ".sqlite", "b" * 32 + ".sqlite"]


def test_an_image_is_known_by_its_bytes_wherever_they_lie(tmp_path):
    (tmp_path / "a.png").write_bytes(b"pixels")
    key = image_key({"bytes": b"pixels", "path": "elsewhere.png"})
    assert key == image_key({"bytes": None, "path": str(tmp_path / "a.png")})
    assert key != image_key({"bytes": b"other pixels", "path": None})
