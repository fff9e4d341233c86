"""Semisonic learns to recognise sounds from a few labels and many unlabelled recordings.

``__init__.pyi`` lists the public names. Each is imported when it is first used, so ``import
semisonic`` is quick and does not import torch.
"""

from __future__ import annotations

from typing import Any

import lazy_loader

_find, _, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*_names, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("semisonic")
    if name in __all__:
        return _find(name)
    raise AttributeError(f"module 'semisonic' has no attribute '{name}'")


def __dir__() -> list[str]:
    return list(__all__)
