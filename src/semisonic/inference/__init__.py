"""Recordings in, answers out: training, evaluation, prediction and the Python face.

Names are imported when first used: the options alone need neither scikit-learn nor a figure.
The function :func:`semisonic.inference.prepare.prepare` has the name of its module and is
imported from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semisonic.base.lazy import lazy_names

if TYPE_CHECKING:
    from semisonic.inference.calibrate_options import CalibrateOptions
    from semisonic.inference.classifier import SoundClassifier
    from semisonic.inference.cross_validation import CrossValidation, cross_validate
    from semisonic.inference.detecting.detect import detect
    from semisonic.inference.detecting.options import DetectOptions
    from semisonic.inference.detecting.result import DetectResult
    from semisonic.inference.detecting.verb import run_detect
    from semisonic.inference.event_options import EventOptions
    from semisonic.inference.export_options import ExportOptions
    from semisonic.inference.exporting.result import ExportResult
    from semisonic.inference.inputs import gather
    from semisonic.inference.live.events import LiveEvent
    from semisonic.inference.live.listening import Listening, listen
    from semisonic.inference.live.options import ListenOptions
    from semisonic.inference.live.scorer import LiveScorer, WindowScores
    from semisonic.inference.live.tracker import LiveTracker
    from semisonic.inference.methods.options import MethodOptions
    from semisonic.inference.modelfile import open_encoder, open_model
    from semisonic.inference.options import (
        ConvertOptions,
        EvaluateOptions,
        FindRateOptions,
        InfoOptions,
        PredictOptions,
        PretrainOptions,
        TrainOptions,
    )
    from semisonic.inference.predicting import ClipScores, embed_clips, score_clips
    from semisonic.inference.prepare import Prepared, prepare_waves
    from semisonic.inference.pretext import PretextOptions
    from semisonic.inference.pretraining import (
        PretrainOutcome,
        PretrainSettings,
        hold_out_recordings,
        pretrain_encoder,
    )
    from semisonic.inference.provenance import Overlap, Part, overlaps, recording_hashes
    from semisonic.inference.scan_options import ScanOptions
    from semisonic.inference.scoring import embed_rows, score_rows
    from semisonic.inference.selection import Selection, select
    from semisonic.inference.suspects_options import SuspectsOptions
    from semisonic.inference.training import TrainOutcome, TrainSettings, train_model
    from semisonic.inference.verbs.calibrate import calibrate
    from semisonic.inference.verbs.calibrate_result import CalibrateResult
    from semisonic.inference.verbs.convert import ConvertResult, convert
    from semisonic.inference.verbs.evaluate import EvaluateResult, evaluate
    from semisonic.inference.verbs.export import export, export_file
    from semisonic.inference.verbs.find_rate import FindRateResult, find_rate
    from semisonic.inference.verbs.info import InfoResult, info
    from semisonic.inference.verbs.listen import ListenResult, listen_to
    from semisonic.inference.verbs.predict import (
        Prediction,
        PredictResult,
        predict,
        predict_files,
    )
    from semisonic.inference.verbs.pretrain import PretrainResult, pretrain
    from semisonic.inference.verbs.scan import ScanResult, scan
    from semisonic.inference.verbs.suspects import suspects
    from semisonic.inference.verbs.suspects_result import SuspectsResult
    from semisonic.inference.verbs.train import TrainResult, train
    from semisonic.inference.windowing import cut_clips, window_starts

_WHERE = {
    "calibrate_options": ("CalibrateOptions",),
    "classifier": ("SoundClassifier",),
    "cross_validation": ("CrossValidation", "cross_validate"),
    "export_options": ("ExportOptions",),
    "exporting.result": ("ExportResult",),
    "detecting.detect": ("detect",),
    "detecting.options": ("DetectOptions",),
    "detecting.result": ("DetectResult",),
    "detecting.verb": ("run_detect",),
    "inputs": ("gather",),
    "live.events": ("LiveEvent",),
    "live.listening": ("Listening", "listen"),
    "event_options": ("EventOptions",),
    "live.options": ("ListenOptions",),
    "live.scorer": ("LiveScorer", "WindowScores"),
    "methods.options": ("MethodOptions",),
    "live.tracker": ("LiveTracker",),
    "modelfile": ("open_encoder", "open_model"),
    "options": (
        "ConvertOptions",
        "EvaluateOptions",
        "FindRateOptions",
        "InfoOptions",
        "PredictOptions",
        "PretrainOptions",
        "TrainOptions",
    ),
    "predicting": ("ClipScores", "embed_clips", "score_clips"),
    "prepare": ("Prepared", "prepare_waves"),
    "pretext": ("PretextOptions",),
    "pretraining": (
        "PretrainOutcome",
        "PretrainSettings",
        "hold_out_recordings",
        "pretrain_encoder",
    ),
    "provenance": ("Overlap", "Part", "overlaps", "recording_hashes"),
    "scan_options": ("ScanOptions",),
    "scoring": ("embed_rows", "score_rows"),
    "selection": ("Selection", "select"),
    "suspects_options": ("SuspectsOptions",),
    "training": ("TrainOutcome", "TrainSettings", "train_model"),
    "verbs.calibrate": ("calibrate",),
    "verbs.calibrate_result": ("CalibrateResult",),
    "verbs.convert": ("ConvertResult", "convert"),
    "verbs.evaluate": ("EvaluateResult", "evaluate"),
    "verbs.export": ("export", "export_file"),
    "verbs.find_rate": ("FindRateResult", "find_rate"),
    "verbs.info": ("InfoResult", "info"),
    "verbs.listen": ("ListenResult", "listen_to"),
    "verbs.predict": ("PredictResult", "Prediction", "predict", "predict_files"),
    "verbs.pretrain": ("PretrainResult", "pretrain"),
    "verbs.scan": ("ScanResult", "scan"),
    "verbs.suspects": ("suspects",),
    "verbs.suspects_result": ("SuspectsResult",),
    "verbs.train": ("TrainResult", "train"),
    "windowing": ("cut_clips", "window_starts"),
}

__all__ = [
    "CalibrateOptions",
    "CalibrateResult",
    "ClipScores",
    "ConvertOptions",
    "ConvertResult",
    "CrossValidation",
    "DetectOptions",
    "DetectResult",
    "EvaluateOptions",
    "EvaluateResult",
    "EventOptions",
    "ExportOptions",
    "ExportResult",
    "FindRateOptions",
    "FindRateResult",
    "InfoOptions",
    "InfoResult",
    "ListenOptions",
    "ListenResult",
    "Listening",
    "LiveEvent",
    "LiveScorer",
    "LiveTracker",
    "MethodOptions",
    "Overlap",
    "Part",
    "PredictOptions",
    "PredictResult",
    "Prediction",
    "Prepared",
    "PretextOptions",
    "PretrainOptions",
    "PretrainOutcome",
    "PretrainResult",
    "PretrainSettings",
    "ScanOptions",
    "ScanResult",
    "Selection",
    "SoundClassifier",
    "SuspectsOptions",
    "SuspectsResult",
    "TrainOptions",
    "TrainOutcome",
    "TrainResult",
    "TrainSettings",
    "WindowScores",
    "calibrate",
    "convert",
    "cross_validate",
    "cut_clips",
    "detect",
    "embed_clips",
    "embed_rows",
    "evaluate",
    "export",
    "export_file",
    "find_rate",
    "gather",
    "hold_out_recordings",
    "info",
    "listen",
    "listen_to",
    "open_encoder",
    "open_model",
    "overlaps",
    "predict",
    "predict_files",
    "prepare_waves",
    "pretrain",
    "pretrain_encoder",
    "recording_hashes",
    "run_detect",
    "scan",
    "score_clips",
    "score_rows",
    "select",
    "suspects",
    "train",
    "train_model",
    "window_starts",
]

__getattr__ = lazy_names(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
