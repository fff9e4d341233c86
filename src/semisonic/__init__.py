"""Semisonic learns to recognise sounds from a few labels and many unlabelled recordings.

The public names are imported when they are first used, so that ``import semisonic`` is
quick and does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semisonic.base.errors import SemisonicError
    from semisonic.data.clips import Clips

    __version__: str

_ROOM_OF = {
    "Clips": "semisonic.data.clips",
    "SemisonicError": "semisonic.base.errors",
}

__all__ = ["Clips", "SemisonicError", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("semisonic")
    if name in _ROOM_OF:
        return getattr(importlib.import_module(_ROOM_OF[name]), name)
    raise AttributeError(f"module 'semisonic' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
