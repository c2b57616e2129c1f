"""Changes that hide how an X-ray was stored."""

import pytest
import torch

from train.data.augment import Augmentation
from train.data.storage import StorageChanges

SIDE = 128


def stripes(width: int) -> torch.Tensor:
    """Vertical stripes of some pixels each, float32 (1, 128, 128) in 0.25..0.75."""
    return 0.25 + 0.5 * ((torch.arange(SIDE) // width) % 2).float().expand(1, SIDE, SIDE).clone()


def only(name: str, monkeypatch: pytest.MonkeyPatch) -> StorageChanges:
    """The changes, of which only one is made, always."""
    monkeypatch.setattr(StorageChanges, "PROBABILITIES", {name: 1.0})
    return StorageChanges()


@pytest.mark.parametrize("name", StorageChanges.PROBABILITIES)
def test_every_change_changes_and_keeps_shape_dtype_and_range(name, monkeypatch):
    torch.manual_seed(0)
    image = stripes(3)
    image[:, 40:60] = 0.6
    changes = only(name, monkeypatch)
    for _ in range(10):
        before = image.clone()
        changed = changes(image)
        assert (changed.dtype, changed.shape) == (torch.float32, image.shape)
        assert 0 <= changed.min() <= changed.max() <= 1
        assert not torch.equal(changed, before)
        assert torch.equal(image, before)  # not in place


def test_rescaling_takes_away_detail_but_moves_nothing(monkeypatch):
    torch.manual_seed(0)
    changes = only("rescale", monkeypatch)
    fine = [changes(stripes(1)).std() for _ in range(20)]
    assert min(fine) < 0.1 * stripes(1).std()
    coarse = stripes(32)
    for _ in range(20):
        assert (changes(coarse) - coarse).abs().mean() < 0.05


def test_window_and_gamma_keep_the_order_of_greys(monkeypatch):
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, SIDE).expand(1, SIDE, SIDE).clone()
    for name in ("window", "gamma", "equalise"):
        changes = only(name, monkeypatch)
        for _ in range(10):
            assert (changes(ramp)[0].diff(dim=-1) >= -1e-6).all()


def test_without_strength_nothing_is_changed_and_more_than_one_is_refused():
    image = stripes(3)
    assert torch.equal(StorageChanges(0.0)(image), image)
    with pytest.raises(ValueError, match=r"^The strength is 1\.5; it takes 0 to 1\.$"):
        StorageChanges(1.5)


def test_an_augmentation_hides_the_storage_if_it_is_asked_to(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(StorageChanges, "PROBABILITIES", {"border": 1.0})
    masks = torch.ones(1, SIDE, SIDE, dtype=torch.int8)
    plain = torch.full((1, SIDE, SIDE), 0.5)
    changed, _ = Augmentation(0.0, 0.0, storage=1.0)(plain, masks)
    assert (changed - plain).abs().max() == 0.5
    assert (Augmentation(0.0, 0.0)(plain, masks)[0] - plain).abs().max() < 0.2  # noise at most
