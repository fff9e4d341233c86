"""Semisonic learns to recognise sounds from a few labels and many unlabelled recordings.

The public names are imported when they are first used, so that ``import semisonic`` is
quick and does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from semisonic.experiments import RunOptions, TuneOptions, run_recipe, tune
    from semisonic.features import MelOptions
    from semisonic.inference import (
        CalibrateOptions,
        DetectOptions,
        EvaluateOptions,
        EventOptions,
        ExportOptions,
        LiveScorer,
        LiveTracker,
        PredictOptions,
        PretrainOptions,
        SoundClassifier,
        TrainOptions,
        calibrate,
        cross_validate,
        detect,
        evaluate,
        export,
        listen,
        predict,
        pretrain,
        train,
    )
    from semisonic.labeling import EmbeddingIndex, LabelLog, Project, embed, suggest
    from semisonic.training import FitOptions

    __version__: str

_ROOMS = {
    "audio.live": ("Microphone", "Pipe", "Playback"),
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
    "experiments": ("RunOptions", "TuneOptions", "run_recipe", "tune"),
    "features": ("MelOptions",),
    "inference": (
        "CalibrateOptions",
        "DetectOptions",
        "EvaluateOptions",
        "LiveTracker",
        "LiveScorer",
        "ExportOptions",
        "PredictOptions",
        "PretrainOptions",
        "SoundClassifier",
        "EventOptions",
        "TrainOptions",
        "calibrate",
        "cross_validate",
        "detect",
        "evaluate",
        "listen",
        "export",
        "predict",
        "pretrain",
        "train",
    ),
    "labeling": ("EmbeddingIndex", "LabelLog", "Project", "embed", "suggest"),
    "training": ("FitOptions",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "CalibrateOptions",
    "Clips",
    "DetectOptions",
    "EmbeddingIndex",
    "EvaluateOptions",
    "EventOptions",
    "ExportOptions",
    "FitOptions",
    "LabelLog",
    "LiveScorer",
    "LiveTracker",
    "MelOptions",
    "Microphone",
    "Pipe",
    "Playback",
    "PredictOptions",
    "PretrainOptions",
    "Project",
    "RunOptions",
    "SemisonicError",
    "SoundClassifier",
    "TrainOptions",
    "TuneOptions",
    "__version__",
    "calibrate",
    "cross_validate",
    "describe",
    "detect",
    "embed",
    "evaluate",
    "export",
    "find_duplicates",
    "fold_splits",
    "label_budget",
    "listen",
    "load_clips",
    "predict",
    "pretrain",
    "run_recipe",
    "split",
    "suggest",
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
    return sorted({*globals(), *__all__})
