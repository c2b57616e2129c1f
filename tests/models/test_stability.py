"""Infected shares over harmless views of the same X-ray."""

from types import SimpleNamespace

import numpy as np
import pytest

from hub_models.engines.engine import Engine
from hub_models.models.stability import VIEWS, harmless_views
from hub_models.pipeline import XrayPipeline
from hub_models.xray.geometry import SIDE, to_square
from hub_models.xray.masks import Involvement, Masks
from hub_models.xray.phantom import draw_phantom

IMAGE = draw_phantom(2, size=128, opacities=2).image.astype(np.float32) / 255


def test_views_are_a_little_turned_and_a_little_darker_or_lighter():
    darker, lighter = views = harmless_views(IMAGE)
    assert len(views) == VIEWS
    for view in views:
        assert (view.shape, view.dtype) == ((SIDE, SIDE), np.float32)
        assert (view.min() >= 0, view.max() <= 1) == (True, True)
        assert 0.005 < np.abs(view - to_square(IMAGE)).mean() < 0.1
    middle = np.s_[SIDE // 2 - 2 : SIDE // 2 + 2, SIDE // 2 - 2 : SIDE // 2 + 2]  # stays where it is
    assert darker[middle].mean() == pytest.approx((to_square(IMAGE)[middle] ** 1.2).mean(), abs=0.02)
    assert lighter[middle].mean() == pytest.approx((to_square(IMAGE)[middle] ** (1 / 1.2)).mean(), abs=0.02)


def test_ranges_hold_the_share_itself_and_leave_out_what_was_not_found():
    own = Involvement(0.2, None, 0.1)
    found = own.with_views([Involvement(0.35, 0.5, 0.12), Involvement(None, None, 0.05)])
    assert found.shares == own.shares == {"right": 0.2, "left": None, "both": 0.1}
    assert found.ranges == {"right": (0.2, 0.35), "both": (0.05, 0.12)}


def test_each_x_ray_gets_the_range_over_its_own_views_in_one_pass():
    passes = []

    def segment(images: list[np.ndarray], views: list[np.ndarray]) -> list[Masks]:
        """Lungs everywhere, infected in the rows above the brightness of the picture."""
        passes.append((len(images), len(views)))
        lungs = np.ones((SIDE, SIDE), bool)
        rows = np.indices((SIDE, SIDE))[0] / SIDE
        return [Masks(lungs, rows < to_square(image).mean()) for image in [*images, *views]]

    segmenter = SimpleNamespace(segment=segment, engine=Engine(), network_names=())
    pipeline = XrayPipeline(segmenter, {}, {})
    images = [np.full((40, 50), grey, np.float32) for grey in (0.25, 0.5)]
    outlined = pipeline.segment(images)
    assert passes == [(2, 2 * VIEWS)]
    for (_, involvement), grey in zip(outlined, (0.25, 0.5), strict=True):
        assert involvement.both == pytest.approx(grey, abs=0.01)
        low, high = involvement.ranges["both"]
        assert (low, high) == (pytest.approx(grey**1.2, abs=0.01), pytest.approx(grey ** (1 / 1.2), abs=0.01))
