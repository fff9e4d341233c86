"""Semisonic learns to recognise sounds from a few labels and many unlabelled recordings.

The public names are imported when they are first used, so that ``import semisonic`` is
quick and does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semisonic.apps.python import (
        calibrate,
        convert,
        curve,
        evaluate,
        find_rate,
        predict,
        pretrain,
        run_recipe,
        scan,
        suspects,
        train,
        tune,
    )
    from semisonic.audio.live import Microphone, Pipe, Playback
    from semisonic.base.errors import SemisonicError
    from semisonic.data import (
        Clips,
        describe,
        find_duplicates,
        fold_splits,
        label_budget,
        load_clips,
        split,
    )
    from semisonic.features import MelOptions
    from semisonic.features.augment import register_augmentation
    from semisonic.inference import (
        EventOptions,
        LiveScorer,
        LiveTracker,
        MethodOptions,
        PretextOptions,
        SoundClassifier,
        cross_validate,
        detect,
        export,
        listen,
    )
    from semisonic.labeling import EmbeddingIndex, LabelLog, Project, embed, suggest
    from semisonic.learning.losses import LossOptions
    from semisonic.models import register
    from semisonic.training import FitOptions

    __version__: str

_ROOMS = {
    "apps.python": (
        "calibrate",
        "convert",
        "curve",
        "evaluate",
        "find_rate",
        "predict",
        "pretrain",
        "run_recipe",
        "scan",
        "suspects",
        "train",
        "tune",
    ),
    "audio.live": (
        "Microphone",
        "Pipe",
        "Playback",
    ),
    "base.errors": ("SemisonicError",),
    "data": (
        "Clips",
        "describe",
        "find_duplicates",
        "fold_splits",
        "label_budget",
        "load_clips",
        "split",
    ),
    "features": ("MelOptions",),
    "features.augment": ("register_augmentation",),
    "inference": (
        "LiveTracker",
        "LiveScorer",
        "MethodOptions",
        "PretextOptions",
        "SoundClassifier",
        "EventOptions",
        "cross_validate",
        "detect",
        "export",
        "listen",
    ),
    "labeling": (
        "EmbeddingIndex",
        "LabelLog",
        "Project",
        "embed",
        "suggest",
    ),
    "learning.losses": ("LossOptions",),
    "models": ("register",),
    "training": ("FitOptions",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "Clips",
    "EmbeddingIndex",
    "EventOptions",
    "FitOptions",
    "LabelLog",
    "LiveScorer",
    "LiveTracker",
    "LossOptions",
    "MelOptions",
    "MethodOptions",
    "Microphone",
    "Pipe",
    "Playback",
    "PretextOptions",
    "Project",
    "SemisonicError",
    "SoundClassifier",
    "__version__",
    "calibrate",
    "convert",
    "cross_validate",
    "curve",
    "describe",
    "detect",
    "embed",
    "evaluate",
    "export",
    "find_duplicates",
    "find_rate",
    "fold_splits",
    "label_budget",
    "listen",
    "load_clips",
    "predict",
    "pretrain",
    "register",
    "register_augmentation",
    "run_recipe",
    "scan",
    "split",
    "suggest",
    "suspects",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("semisonic")
    if name in _ROOM_OF:
        return getattr(import_module(f"semisonic.{_ROOM_OF[name]}"), name)
    raise AttributeError(f"module 'semisonic' has no attribute '{name}'")


def __dir__() -> list[str]:
    return list(__all__)
