"""Examples in docstrings give what they say."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import semisonic

ROOT = Path(semisonic.__file__).parent
MODULES = sorted(
    ".".join(("semisonic", *file.relative_to(ROOT).with_suffix("").parts))
    for file in ROOT.rglob("*.py")
    if ">>>" in file.read_text(encoding="utf-8")
)


def test_there_are_examples() -> None:
    assert len(MODULES) > 1


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name: str) -> None:
    module = import_module(name)
    public = {one: getattr(semisonic, one) for one in semisonic.__all__}
    names = {**public, **vars(module), "np": np}
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testmod(module, extraglobs=names, optionflags=flags)
    assert result.attempted
    assert not result.failed
