"""The experiments of the package, one TOML file each.

They are package data, so ``semisonic run NAME`` finds them in a clone and in an installed wheel.
The folder ``recipes`` at the top of a clone is a link to this one.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from semisonic.core.errors import OptionError
from semisonic.core.options import nearest

FOLDER = Path(__file__).parent / "recipes"


def names() -> list[str]:
    """The recipes of the package, without their suffix, in alphabetical order."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def find(recipe: str | Path) -> Path:
    """Return the file of a recipe.

    Parameters
    ----------
    recipe : str or Path
        A file, or the name of a recipe of the package: ``demo``, ``demo.toml`` and
        ``recipes/demo.toml`` are the same one. An existing file takes precedence over a name.

    Raises
    ------
    OptionError
        When there is neither such a file nor such a name.
    """
    path = Path(recipe)
    if path.is_file():
        return path
    own_name = path.parent.as_posix() in (".", "recipes") and path.suffix in ("", ".toml")
    if own_name and (FOLDER / f"{path.stem}.toml").is_file():
        return FOLDER / f"{path.stem}.toml"
    close = nearest(path.stem, names())
    known = "" if close.startswith("expected") else f" Expected one of: {', '.join(names())}"
    raise OptionError(
        f"recipe '{recipe}': found neither a file nor a recipe of the package with this name; "
        f"{close}{known}"
    )


def titles() -> dict[str, str]:
    """The question of each recipe of the package, by its name."""
    return {
        name: tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8")).get("title", "")
        for name in names()
    }
