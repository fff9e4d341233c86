"""Recipes are found by file and by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from semisonic import recipes
from semisonic.core.errors import OptionError


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    """A package with two recipes, and an empty working folder."""
    shelf = tmp_path / "package"
    shelf.mkdir()
    for name in ("demo", "cae-pretraining"):
        (shelf / f"{name}.toml").touch()
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(recipes, "FOLDER", shelf)
    return shelf


@pytest.mark.parametrize("text", ["demo", "demo.toml", "recipes/demo.toml", "recipes/demo"])
def test_a_recipe_of_the_package_is_found_without_a_clone(shelf, text) -> None:
    assert recipes.find(text) == shelf / "demo.toml"


def test_a_file_wins_over_a_name(shelf) -> None:
    Path("demo.toml").touch()
    assert recipes.find("demo.toml") == Path("demo.toml")
    assert recipes.find("demo") == shelf / "demo.toml"


@pytest.mark.parametrize("text", ["dmeo", "elsewhere/dmeo.toml"])
def test_an_unknown_recipe_is_an_error_with_the_nearest(shelf, text) -> None:
    with pytest.raises(OptionError, match="did you mean 'demo'"):
        recipes.find(text)


def test_the_folder_of_a_clone_is_that_of_the_package() -> None:
    top = Path(__file__).parents[2] / "recipes"
    assert _texts(top) == _texts(recipes.FOLDER)


def _texts(folder: Path) -> dict[str, bytes]:
    """The recipes in a folder: a link in a clone, a copy in the source archive."""
    return {file.name: file.read_bytes() for file in folder.glob("*.toml")}
