"""Plugins: modules of the user that register networks, augmentations or losses on import.

Only modules that the user names are imported. Child processes import the same modules.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from semisonic.core.errors import OptionError

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
_loaded: list[str] = []


class OwnParts(dict[str, Callable[..., Any]]):
    """Functions and modules of users, by the name used in options.

    Parameters
    ----------
    kind : str
        What they are, for messages.
    taken : collection of str
        Names of this package.
    """

    def __init__(self, kind: str, taken: Collection[str]) -> None:
        super().__init__()
        self.kind, self.taken = kind, taken

    def register(self, name: str) -> Callable[[F], F]:
        """A decorator that registers a function, or an instance of a class, under a name.

        Raises
        ------
        OptionError
            For a name that is taken.
        """
        if name in self.taken:
            raise OptionError(f"{self.kind}: the name '{name}' is taken; choose another")

        def keep(part: F) -> F:
            self[name] = part() if isinstance(part, type) else part
            return part

        return keep

    def name_of(self, part: Callable[..., Any]) -> str:
        """Register an object; return its name."""
        name = next((known for known, one in self.items() if one is part), "")
        if not name:
            kind = getattr(part, "__name__", type(part).__name__)
            numbers = range(1, len(self) + 2)
            name = next(one for n in numbers if (one := f"{kind}-{n}") not in self)
            self[name] = part
        return name


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
            f"{error}. Expected a Python file, or the name of a module that is installed or in "
            "this folder"
        ) from error
    if name not in _loaded:
        _loaded.append(name)


def with_plugins(make: Callable[[], T]) -> Callable[[], T]:
    """The same function for another process, which first imports the plugins of this one."""
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
        raise ImportError(f"another module is already called '{file.stem}'; rename the file")
