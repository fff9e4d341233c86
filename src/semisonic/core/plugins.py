"""Plugins: modules of the user that register networks and augmentations when they are imported.

Only what a person names is imported. Processes that this one starts import the same.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from semisonic.core.errors import OptionError

T = TypeVar("T")
_loaded: list[str] = []


def load(name: str) -> None:
    """Import a plugin: a file ``my_network.py``, or a module by its name, ``my_package.networks``.

    Modules are looked for in the current folder first, as ``python -m`` does.

    Parameters
    ----------
    name : str
        A file, or a module's name.

    Raises
    ------
    OptionError
        When there is no such module or file, or its code fails.
    """
    file = Path(name)
    try:
        if file.suffix == ".py":
            name = str(file.resolve())
            _from_file(file.resolve())
        else:
            if os.getcwd() not in sys.path:
                sys.path.insert(0, os.getcwd())
            importlib.import_module(name)
    except Exception as error:
        raise OptionError(
            f"plugin '{file}': found no module that can be imported: {type(error).__name__}: "
            f"{error}. Expected a Python file, or the name of a module in this folder or installed"
        ) from error
    if name not in _loaded:
        _loaded.append(name)


def with_plugins(make: Callable[[], T]) -> Callable[[], T]:
    """The same function for another process: it imports the plugins of this one before."""
    return partial(_make, tuple(_loaded), make) if _loaded else make


def _make(names: Sequence[str], make: Callable[[], T]) -> T:
    for name in names:
        load(name)
    return make()


def _from_file(file: Path) -> None:
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file")
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    found = importlib.import_module(file.stem).__file__
    if found is None or Path(found).resolve() != file:
        raise ImportError(f"another module is called '{file.stem}' already; rename the file")
