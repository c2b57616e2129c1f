"""How a picture lies beside the one in its file."""

from itertools import product

import numpy as np
import pytest

from hub_models.models.orientation import TURNS, Suggestion
from hub_models.xray.placement import AS_IT_IS, Placement

PIXELS = np.arange(6).reshape(2, 3)
ALL = [Placement(*each) for each in product((False, True), repeat=3)]


@pytest.mark.parametrize("placement", ALL)
def test_every_placement_has_its_own_way_back(placement):
    assert np.array_equal(placement.undo(placement.apply(PIXELS)), PIXELS)
    assert len({placement.apply(PIXELS).tobytes() for placement in ALL}) == 8


@pytest.mark.parametrize(("first", "second"), [*product(ALL, ALL)])
def test_one_after_the_other_is_one_placement(first, second):
    assert np.array_equal(first.then(second).apply(PIXELS), second.apply(first.apply(PIXELS)))


@pytest.mark.parametrize(("turn", "mirror"), [*product(TURNS, (False, True))])
def test_a_correction_on_the_page_lays_pixels_as_its_placement_does(turn, mirror):
    suggestion, grey = Suggestion(turn, False, mirror, ""), np.float32(PIXELS)
    assert np.array_equal(suggestion.placement.apply(grey), suggestion.apply(grey))
    assert (suggestion.placement == AS_IT_IS) is (turn == 0 and not mirror)
