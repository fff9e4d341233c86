"""Names that carry a width, and what a network reads."""

from __future__ import annotations

import pytest

from semisonic.core.errors import ModelError
from semisonic.features.options import MelOptions
from semisonic.models.inspection import count_parameters
from semisonic.models.necks import Backbone
from semisonic.models.registry import create, names, register
from semisonic.models.sound_model import build

WAVE = (1, 1, 66_150)
READ_WAVES = {"aclnet-dwsc", "aclnet-sc", "m11", "m18", "m5"}


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("aclnet-dwsc", "aclnet-dwsc"),
        ("aclnet-dwsc-1", "aclnet-dwsc"),
        ("aclnet-dwsc-1.0", "aclnet-dwsc"),
        ("aclnet-dwsc-0.50", "aclnet-dwsc-0.5"),
        ("aclnet-dwsc-0.3333333", "aclnet-dwsc-0.3333333"),
        ("aclnet-sc-2", "aclnet-sc-2"),
    ],
)
def test_a_name_carries_a_width_and_builds_the_same_again(asked: str, name: str) -> None:
    body = create(asked, WAVE)
    assert body.name == name
    again = create(body.name, WAVE).encoder
    assert count_parameters(again) == count_parameters(body.encoder)


def test_widths_that_cannot_be() -> None:
    for name in ("aclnet-sc-0", "aclnet-sc-9", "aclnet-sc-0.01"):
        with pytest.raises(ModelError, match=r"expected 0.0625 to 4"):
            create(name, WAVE)
    for name in ("aclnet-sc--1", "aclnet-sc-half", "small-0.5", "aclnet-0.5"):
        with pytest.raises(ModelError, match="unknown model"):
            create(name, WAVE)


def test_a_name_of_ones_own() -> None:
    @register("mine")
    def mine(shape: tuple[int, int, int]) -> Backbone:
        return create("(8)3c-gp", shape)

    assert "mine" in names()
    assert build("mine", MelOptions(), "ab").neck.out_features == 8
    register("mine")(mine)  # one's own may be defined again, as in a notebook
    with pytest.raises(ModelError, match="taken"):
        register("aclnet-sc")(mine)


def test_what_networks_read_is_known() -> None:
    assert set(names(waves=True)) == READ_WAVES
    assert set(names(waves=False)) | READ_WAVES == set(names())


def test_what_does_not_fit_the_input_is_refused() -> None:
    for name in sorted(READ_WAVES):
        with pytest.raises(ModelError, match="expected 1 x 1 x samples"):
            create(name, (1, 64, 216))
    for name in ("small", "cnn2", "piczak-small", "paper"):
        with pytest.raises(ModelError, match="reads log-mel features: found 1 x 1 x 66150"):
            create(name, WAVE)
