"""Plugins: modules of the user that register networks and augmentations when they are imported.

Only what a person names is imported. Processes that this one starts import the same.
"""

from __future__ import annotations

import importlib
import importlib.util
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
            _from_file(file)
        else:
            here = os.getcwd()
            if here not in sys.path:
                sys.path.insert(0, here)
            importlib.import_module(name)
    except Exception as error:
        raise OptionError(
            f"plugin '{file if file.suffix == '.py' else name}': found no module that can be "
            f"imported: {type(error).__name__}: {error}. Expected a Python file, or the name of "
            "a module in this folder or installed"
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
    known = sys.modules.get(file.stem)
    if known is not None:
        place = getattr(known, "__file__", None)
        if place is not None and Path(place).resolve() == file.resolve():
            return
        raise ImportError(f"another module is called '{file.stem}' already; rename the file")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[file.stem]
        raise
