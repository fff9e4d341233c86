"""Semisonic learns to recognise sounds from a few labels and many unlabelled recordings.

The public names are imported when they are first used, so that ``import semisonic`` is
quick and does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semisonic.api import (
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
    from semisonic.audio.live import (
        Microphone,
        Pipe,
        Playback,
    )
    from semisonic.classifier.classifier import SoundClassifier
    from semisonic.classifier.config import (
        MethodOptions,
        PretextOptions,
    )
    from semisonic.classifier.cross_validation import cross_validate
    from semisonic.classifier.detection.detect import detect
    from semisonic.classifier.export.export import export
    from semisonic.classifier.live.listen import listen
    from semisonic.classifier.live.scorer import (
        LiveScorer,
        LiveTracker,
    )
    from semisonic.classifier.use_options import EventOptions
    from semisonic.core.errors import SemisonicError
    from semisonic.data.budgets import label_budget
    from semisonic.data.clips import Clips
    from semisonic.data.datasets.load import load_clips
    from semisonic.data.duplicates import find_duplicates
    from semisonic.data.splits import (
        fold_splits,
        split,
    )
    from semisonic.data.summary import describe
    from semisonic.features.options import (
        MelOptions,
        register_augmentation,
    )
    from semisonic.labeling.embed import embed
    from semisonic.labeling.index import EmbeddingIndex
    from semisonic.labeling.label_log import LabelLog
    from semisonic.labeling.project import Project
    from semisonic.labeling.suggest import suggest
    from semisonic.learning.options import LossOptions
    from semisonic.models.registry import register
    from semisonic.training.options import FitOptions

    __version__: str

_MODULE_OF = {
    "Clips": "data.clips",
    "EmbeddingIndex": "labeling.index",
    "EventOptions": "classifier.use_options",
    "FitOptions": "training.options",
    "LabelLog": "labeling.label_log",
    "LiveScorer": "classifier.live.scorer",
    "LiveTracker": "classifier.live.scorer",
    "LossOptions": "learning.options",
    "MelOptions": "features.options",
    "MethodOptions": "classifier.config",
    "Microphone": "audio.live",
    "Pipe": "audio.live",
    "Playback": "audio.live",
    "PretextOptions": "classifier.config",
    "Project": "labeling.project",
    "SemisonicError": "core.errors",
    "SoundClassifier": "classifier.classifier",
    "calibrate": "api",
    "convert": "api",
    "cross_validate": "classifier.cross_validation",
    "curve": "api",
    "describe": "data.summary",
    "detect": "classifier.detection.detect",
    "embed": "labeling.embed",
    "evaluate": "api",
    "export": "classifier.export.export",
    "find_duplicates": "data.duplicates",
    "find_rate": "api",
    "fold_splits": "data.splits",
    "label_budget": "data.budgets",
    "listen": "classifier.live.listen",
    "load_clips": "data.datasets.load",
    "predict": "api",
    "pretrain": "api",
    "register": "models.registry",
    "register_augmentation": "features.options",
    "run_recipe": "api",
    "scan": "api",
    "split": "data.splits",
    "suggest": "labeling.suggest",
    "suspects": "api",
    "train": "api",
    "tune": "api",
}

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
    if name in _MODULE_OF:
        return getattr(import_module(f"semisonic.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'semisonic' has no attribute '{name}'")


def __dir__() -> list[str]:
    return list(__all__)
