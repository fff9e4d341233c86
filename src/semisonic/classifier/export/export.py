"""``export``: a trained model as a file that needs neither Semisonic nor torch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

from semisonic.classifier.export.card import ExportResult, card_of, facts_of
from semisonic.classifier.export.formats import (
    ExportFormat,
    OnnxFormat,
    TorchFormat,
    calibration_inputs,
)
from semisonic.classifier.export.module import Runner, choose_input
from semisonic.classifier.export.parity import (
    Parity,
    ParityCheck,
    ParitySound,
    WindowSample,
    synthetic_sounds,
)
from semisonic.classifier.model_file import MODEL, find_file, open_model
from semisonic.classifier.use_options import INT8, SUFFIXES, ExportOptions
from semisonic.core.errors import ModelError, OptionError
from semisonic.core.files import write_text
from semisonic.core.options import check
from semisonic.data.outputs import check_file, writing
from semisonic.features.options import WAVE
from semisonic.models.model_file import read_about
from semisonic.models.sound_model import SoundModel

VERB = "export"
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
"""What ONNX files need, and nothing else here."""


def _require_onnx() -> None:
    """Raise OptionError unless ONNX files can be written and run here."""
    for name in LIBRARIES:
        try:
            import_module(name)
        except ImportError as error:
            raise OptionError(
                f"ONNX files need '{name}', which cannot be imported ({error}): "
                "pip install 'semisonic[export]', or write a torch program with '--to torch'"
            ) from error


def write_export(
    model: SoundModel, about: Mapping[str, Any], options: ExportOptions
) -> ExportResult:
    """Write a model as the options say, and compare the file with it.

    Parameters
    ----------
    model : SoundModel
        On the CPU.
    about : mapping
        Its provenance.
    options : ExportOptions
        Its ``model`` is not read.

    Raises
    ------
    OptionError
        For options that contradict each other, a library that is missing, or a file or card in
        the way that was not written by an export.
    DataError
        For recordings to compare or calibrate on that are not there.
    ModelError
        When the network cannot be written, or the file says something else than the model. No
        file is left then.
    """
    target = _target(options)
    card = target.with_name(f"{target.name}.md")
    check_file(target, VERB, {target.suffix.lower()})
    check_file(card, VERB, {".md"})
    kind, note = choose_input(model.mel, options.input)
    ranges = _recordings(options.calibrate_on, model, options)
    trial = _recordings(options.check_on, model, options)
    with tempfile.TemporaryDirectory(prefix="semisonic-export-") as folder:
        exported: ExportFormat = (
            TorchFormat(model, kind, options)
            if options.to == "torch"
            else OnnxFormat(
                model,
                kind,
                options,
                calibration_inputs(ranges, kind, options.calibration_clips) if ranges else [],
                Path(folder),
            )
        )
    facts = facts_of(
        model,
        about,
        kind=kind,
        fixed=exported.fixed,
        quantized=options.quantize,
        licence=options.licence,
    )
    parity = None
    with writing(target, VERB) as part:
        exported.save(part, facts, card_of(model, facts, about, None))
        if options.check:
            recordings = trial or ranges
            sounds = recordings.sounds("compare") if recordings else synthetic_sounds(model.mel)
            parity = _compare(model, kind, exported, exported.open(part), sounds, options)
    with writing(card, VERB) as part:
        write_text(part, card_of(model, facts, about, parity))
    failed = [failure for one in (ranges, trial) if one for failure in one.failures]
    return ExportResult(
        model,
        target,
        card,
        kind,
        exported.fixed,
        parity,
        (note,) if note else (),
        tuple(dict.fromkeys(failed)),
    )


def _target(options: ExportOptions) -> Path:
    """The file to write, after a look at options that contradict each other."""
    suffix = SUFFIXES[options.to]
    target = options.output if options.output is not None else Path(f"model{suffix}")
    if target.suffix.lower() != suffix:
        other = next((name for name, end in SUFFIXES.items() if end == target.suffix), "")
        advice = f" or --to {other}" if other else ""
        raise OptionError(
            f"option 'output': found '{target}', expected a name that ends in '{suffix}'{advice}"
        )
    if options.to == "onnx":
        _require_onnx()
    if options.quantize == INT8 and options.to != "onnx":
        raise OptionError("option 'quantize': int8 is written as ONNX only; leave out '--to torch'")
    if options.quantize == INT8 and options.calibrate_on is None:
        raise OptionError(
            "option 'calibrate_on' is missing: int8 needs recordings like those that the model "
            "will hear, to find the ranges of its activations; a hundred are enough"
        )
    if options.calibrate_on is not None and options.quantize != INT8:
        raise OptionError("option 'calibrate_on': nothing is calibrated without --quantize int8")
    if options.check_on is not None and not options.check:
        raise OptionError("option 'check_on': nothing is compared with --no-check")
    return target


def _compare(
    model: SoundModel,
    kind: str,
    exported: ExportFormat,
    file: Runner,
    sounds: Iterable[ParitySound],
    options: ExportOptions,
) -> Parity:
    """The comparison.

    Raises
    ------
    ModelError
        When the file is too far from the model.
    """
    int8 = options.quantize == INT8
    parity = ParityCheck(model, kind).run(file, sounds, None if int8 else exported.levels)
    faults = parity.faults(waves=model.mel.input == WAVE, int8=int8)
    if faults:
        raise ModelError(
            f"model '{model.name}': the file does not say what the model says, and was not kept. "
            f"On {parity.n_sounds} sounds, {'; '.join(faults)}"
        )
    return parity


def _recordings(
    path: Path | None, model: SoundModel, options: ExportOptions
) -> WindowSample | None:
    if path is None:
        return None
    return WindowSample.of(path, model.mel, model.classes, options.labels)


def export(
    model: str | PathLike[str] | SoundModel | Any,
    path: str | PathLike[str] | None = None,
    **options: Any,
) -> ExportResult:
    """Write a trained model for use without Semisonic, and compare the file with it.

    Parameters
    ----------
    model : path, SoundModel or SoundClassifier
        A path is that of a model file or a run folder.
    path : path, optional
        The file to write: its name ends in ``.onnx``, or in ``.pt2`` with ``to="torch"``. By
        default 'model.onnx' in the folder that one is in.
    **options
        Those of :class:`ExportOptions`: ``to``, ``input``, ``embeddings``, ``quantize``,
        ``calibrate_on``, ``check_on``, …; paths may be texts.

    Returns
    -------
    ExportResult
        The file, its card, and how far it is from the model.

    Raises
    ------
    OptionError, DataError, ModelError
        As :func:`semisonic.classifier.export.export.write_export`.
    """
    for name in ("calibrate_on", "check_on"):
        if options.get(name) is not None:
            options[name] = Path(options[name])
    target = None if path is None else Path(path)
    if isinstance(model, (str, PathLike)):
        return export_file(ExportOptions(Path(model), target, **options))
    about = getattr(model, "about_", {})
    network: SoundModel = getattr(model, "model_", model)
    asked = check(ExportOptions(Path(), target, **options))
    return write_export(network, about, asked)


def export_file(options: ExportOptions) -> ExportResult:
    """The same for a model's file, with all options in one object."""
    check(options)
    _target(options)
    file = find_file(options.model, MODEL)
    return write_export(open_model(file), read_about(file)["about"], options)
