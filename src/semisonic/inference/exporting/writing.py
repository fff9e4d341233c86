"""From a model to a file that was compared with it, its card, and a table of its forms."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from semisonic.base.errors import ModelError, OptionError
from semisonic.base.files import write_text
from semisonic.data.outputs import check_file, writing
from semisonic.features.options import WAVE
from semisonic.inference.export_options import INT8, SUFFIXES, ExportOptions
from semisonic.inference.exporting.makers import Made, MadeOnnx, MadeTorch, calibration_inputs
from semisonic.inference.exporting.needs import require_onnx
from semisonic.inference.exporting.parity import Comparison, Parity
from semisonic.inference.exporting.result import ExportResult
from semisonic.inference.exporting.running import Runner
from semisonic.inference.exporting.shapes import choose_input
from semisonic.inference.exporting.sounds import Heard, Recordings, made_up
from semisonic.inference.exporting.speed import measure
from semisonic.inference.exporting.telling import card_of, facts_of
from semisonic.models import SoundModel

VERB = "export"


def write_export(
    model: SoundModel, about: Mapping[str, Any], options: ExportOptions, n_bytes: int
) -> ExportResult:
    """Write a model as the options say, compare the file with it, and time both.

    Parameters
    ----------
    model : SoundModel
        On the CPU.
    about : mapping
        Its provenance.
    options : ExportOptions
        Its ``model`` is not read.
    n_bytes : int
        Size of the model's own file.

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
    target = target_of(options)
    card = target.with_name(f"{target.name}.md")
    check_file(target, VERB, {target.suffix.lower()})
    check_file(card, VERB, {".md"})
    kind, note = choose_input(model.mel, options.input)
    ranges = _recordings(options.calibrate_on, model, options)
    trial = _recordings(options.check_on, model, options)
    with tempfile.TemporaryDirectory(prefix="semisonic-export-") as folder:
        made: Made = (
            MadeTorch(model, kind, options)
            if options.to == "torch"
            else MadeOnnx(
                model, kind, options,
                calibration_inputs(ranges, kind, options.calibration_clips) if ranges else [],
                Path(folder),
            )
        )  # fmt: skip
    facts = facts_of(
        model, about, kind=kind, fixed=made.fixed, quantized=options.quantize,
        licence=options.licence,
    )  # fmt: skip
    parity = None
    with writing(target, VERB) as part:
        made.save(part, facts, card_of(model, facts, about, None))
        if options.check:
            sounds = trial or ranges
            heard = sounds.heard("compare") if sounds else made_up(model.mel)
            parity = compared(model, kind, made, made.open(part), heard, options)
    with writing(card, VERB) as part:
        write_text(part, card_of(model, facts, about, parity))
    files: dict[str, tuple[Runner, int]] = {
        **made.beside, target.name: (made.open(target), target.stat().st_size)
    }  # fmt: skip
    forms = measure(model, n_bytes, files, kind) if options.speed else ()
    failed = [failure for one in (ranges, trial) if one for failure in one.failures]
    return ExportResult(
        model, target, card, kind, made.fixed, parity, forms, (note,) if note else (),
        tuple(dict.fromkeys(failed)),
    )  # fmt: skip


def target_of(options: ExportOptions) -> Path:
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
        require_onnx()
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


def compared(
    model: SoundModel, kind: str, made: Made, file: Runner, sounds: Iterable[Heard],
    options: ExportOptions,
) -> Parity:  # fmt: skip
    """The comparison.

    Raises
    ------
    ModelError
        When the file is too far from the model.
    """
    int8 = options.quantize == INT8
    parity = Comparison(model, kind).run(file, sounds, None if int8 else made.levels)
    faults = parity.faults(waves=model.mel.input == WAVE, int8=int8)
    if faults:
        raise ModelError(
            f"model '{model.name}': the file does not say what the model says, and was not kept. "
            f"On {parity.n_sounds} sounds, {'; '.join(faults)}"
        )
    return parity


def _recordings(path: Path | None, model: SoundModel, options: ExportOptions) -> Recordings | None:
    if path is None:
        return None
    return Recordings.of(path, model.mel, model.classes, options.labels)
