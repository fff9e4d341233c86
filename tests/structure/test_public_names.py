"""The names that ``import semisonic`` offers."""

from __future__ import annotations

import pytest

import semisonic


@pytest.mark.parametrize("name", semisonic.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(semisonic, name) is not None
    assert name in dir(semisonic)


def test_another_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sound_clasifier'"):
        _ = semisonic.sound_clasifier
