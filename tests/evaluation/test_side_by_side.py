"""Spectrograms beside each other."""

from __future__ import annotations

import numpy as np
import pytest

from semisonic.core.errors import DataError
from semisonic.evaluation.plots.sounds import side_by_side

HZ = np.geomspace(60, 11000, 20)


def test_panels_share_colours_and_time() -> None:
    rng = np.random.default_rng(0)
    panels = {"original": rng.normal(size=(20, 50)), "shorter": 40 + rng.normal(size=(20, 20))}
    figure = side_by_side(panels, 0.1, HZ)
    left, right = figure.axes[:2]
    assert left.get_title(loc="left") == "original"
    assert left.get_xlim() == right.get_xlim() == (0.0, 5.0)
    assert left.images[0].get_clim() == right.images[0].get_clim()
    assert left.images[0].get_clim()[1] == panels["original"].max()
    assert right.images[0].get_extent()[1] == pytest.approx(2.0)
    ticks = [label.get_text() for label in left.get_yticklabels()]
    assert ticks == ["300", "1000", "3000", "10000"]


@pytest.mark.parametrize("panels", [{}, {"one": np.zeros((3, 4))}, {"one": np.zeros(20)}])
def test_wrong_shapes_are_refused(panels: dict[str, np.ndarray]) -> None:
    with pytest.raises(DataError, match=r"expected \(20, frame\) each"):
        side_by_side(panels, 0.1, HZ)
