"""``export``: a trained model as a file that needs neither Semisonic nor torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semisonic.classifier.export.formats import Graph, onnx_graph, torch_graph
from semisonic.classifier.export.module import (
    AUDIO,
    AUTO_INPUT,
    EMBEDDINGS,
    INPUTS,
    SCORES,
    choose_input,
)
from semisonic.classifier.export.parity import (
    AUDIBLE_DB,
    Parity,
    compare,
    read_sounds,
    read_windows,
    synthetic_sounds,
)
from semisonic.classifier.model_file import MODEL, find_file, open_model
from semisonic.classifier.provenance import ROLES, PublishedOrigin
from semisonic.classifier.windows import TOLERANCE, features_of_wave
from semisonic.core.errors import DataError, ModelError, OptionError
from semisonic.core.files import write_text
from semisonic.core.options import nearest, to_dict
from semisonic.core.text import Result, count_text
from semisonic.data.datasets.load import load_clips
from semisonic.data.outputs import check_file, writing
from semisonic.features.frontend import make_extractor
from semisonic.features.options import WAVE
from semisonic.models.model_file import read_about, write_card
from semisonic.models.sound_model import SoundModel
from semisonic.training.run_folder import versions

if TYPE_CHECKING:
    import pandas as pd

VERB = "export"
SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
"""What the file of each format ends in."""
NO, INT8 = "none", "int8"
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
"""What ONNX files need, and nothing else here."""
CALIBRATION_CLIPS = 100
"""Windows that tell the ranges of activations, spread evenly over the recordings given."""
_KEPT = ("created", "commit", "seed", "measured", "versions")
_OF_A_PART = ("data", "clips", "recordings", "hash")
Failures = list[tuple[str, str]]


@dataclass(frozen=True)
class ExportResult(Result):
    """A file and what is known of it.

    Attributes
    ----------
    model : SoundModel
        The original.
    file, card : Path
    kind : {"audio", "features"}
    fixed : str
        Why clips have one length; empty if the file takes longer ones.
    parity : Parity or None
        The comparison; None without.
    notes : tuple of str
    failures : tuple of (str, str)
        Recordings that could not be read, with reasons.
    """

    model: SoundModel
    file: Path
    card: Path
    kind: str
    fixed: str
    parity: Parity | None
    notes: tuple[str, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One row: the file, its size, and how far it is from the model where that was measured."""
        import pandas as pd

        measured = {} if self.parity is None else asdict(self.parity)
        row = {"file": str(self.file), "n_bytes": self.file.stat().st_size, **measured}
        return pd.DataFrame([row])

    def summary(self) -> str:
        """For a terminal."""
        mel = self.model.mel
        more = "" if self.fixed else " or longer"
        what = "audio" if self.kind == AUDIO else "features of audio"
        classes = count_text(len(self.model.classes), "class", "classes")
        lines = [
            f"{self.file}: {what}, {mel.duration:g} s{more} at {mel.sample_rate} Hz, to scores of "
            f"{classes}; {self.file.stat().st_size / 1e6:.2f} MB",
            f"model card: {self.card}",
            *self.notes,
        ]
        if self.fixed:
            lines.append(f"clips of one length: {self.fixed}")
        if self.parity is None:
            lines.append("not compared with the model")
        else:
            lines += [f"compared: {line}" for line in _parity_lines(self.parity, self.model)]
        return "\n".join(lines)


def export(
    model: Any,
    path: str | PathLike[str] | None = None,
    *,
    to: str = "onnx",
    input: str = AUTO_INPUT,  # noqa: A002
    embeddings: bool = False,
    quantize: str = NO,
    calibrate_on: str | PathLike[str] | None = None,
    check: bool = True,
    check_on: str | PathLike[str] | None = None,
    labels: str = "auto",
    licence: str = "",
) -> ExportResult:
    """Write a trained model for use without Semisonic, and compare the file with it.

    Parameters
    ----------
    model : path, SoundModel or SoundClassifier
        A path is that of a model file or a run folder.
    path : path, optional
        The file to write: its name ends in ``.onnx``, or in ``.pt2`` with ``to="torch"``. By
        default 'model.onnx' in the folder that one is in. The model card is written beside it.
    to : {"onnx", "torch"}
        For ONNX Runtime and others, or for ``torch.export.load``.
    input : {"auto", "audio", "features"}
        What the file takes: samples, log-mel in dB, or samples where the front end can be part of
        the file.
    embeddings : bool
        Give embeddings beside the scores.
    quantize : {"none", "int8"}
        Weights and activations of the network in 8 bits, ONNX only.
    calibrate_on : path, optional
        Recordings that tell the ranges of activations, for int8: some like those it will hear.
    check : bool
        Compare the file with the model before it is kept.
    check_on : path, optional
        Recordings to compare on, synthetic sounds by default; where they carry labels that the
        model knows, accuracy is compared, too.
    labels : str
        How these are read: see :func:`semisonic.load_clips`.
    licence : str
        What the file names; by default that of the published weights it began with.

    Returns
    -------
    ExportResult
        The file, its card, and how far it is from the model.

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
    for name, value, known in (
        ("to", to, tuple(SUFFIXES)),
        ("input", input, INPUTS),
        ("quantize", quantize, (NO, INT8)),
    ):
        if value not in known:
            raise OptionError(f"option '{name}': found '{value}'; {nearest(value, known)}")
    target = _target(Path(f"model{SUFFIXES[to]}") if path is None else Path(path), to)
    if quantize == INT8 and to != "onnx":
        raise OptionError("option 'quantize': int8 is written as ONNX only; leave out '--to torch'")
    if quantize == INT8 and calibrate_on is None:
        raise OptionError(
            "option 'calibrate_on' is missing: int8 needs recordings like those that the model "
            "will hear, to find the ranges of its activations; a hundred are enough"
        )
    if calibrate_on is not None and quantize != INT8:
        raise OptionError("option 'calibrate_on': nothing is calibrated without --quantize int8")
    if check_on is not None and not check:
        raise OptionError("option 'check_on': nothing is compared with --no-check")
    if isinstance(model, (str, PathLike)):
        file = find_file(model, MODEL)
        network, about = open_model(file), read_about(file)["about"]
    else:
        network, about = getattr(model, "model_", model), getattr(model, "about_", {})
    card = target.with_name(f"{target.name}.md")
    check_file(target, VERB, {target.suffix.lower()})
    check_file(card, VERB, {".md"})
    kind, note = choose_input(network.mel, input)
    outputs = (SCORES, EMBEDDINGS) if embeddings else (SCORES,)
    failures: Failures = []
    ranges = []
    if calibrate_on is not None:
        ranges = _ranges(network, Path(calibrate_on), labels, kind, failures)
    trial = check_on if check_on is not None else calibrate_on
    sounds = (
        synthetic_sounds(network.mel)
        if trial is None
        else read_sounds(load_clips(trial, labels=labels), network, failures)
    )
    graph: Graph = (
        torch_graph(network, kind, outputs)
        if to == "torch"
        else onnx_graph(network, kind, outputs, ranges)
    )
    facts = _facts(network, about, kind, graph.fixed, quantize, licence)
    parity = None
    with writing(target, VERB) as part:
        graph.save(part, facts, _card(network, facts, about, None))
        if check:
            levels = None if quantize == INT8 else graph.levels
            parity = compare(network, kind, graph.open(part), sounds, levels)
            faults = parity.faults(waves=network.mel.input == WAVE, int8=quantize == INT8)
            if faults:
                raise ModelError(
                    f"model '{network.name}': the file does not say what the model says, and was "
                    f"not kept. On {parity.n_sounds} sounds, {'; '.join(faults)}"
                )
    with writing(card, VERB) as part:
        write_text(part, _card(network, facts, about, parity))
    notes = (note,) if note else ()
    failed = tuple(dict.fromkeys(failures))
    return ExportResult(network, target, card, kind, graph.fixed, parity, notes, failed)


def _target(target: Path, to: str) -> Path:
    """The file to write, after a look at its name and at what writing it needs."""
    if target.suffix.lower() != SUFFIXES[to]:
        other = next((name for name, end in SUFFIXES.items() if end == target.suffix), "")
        advice = f" or --to {other}" if other else ""
        raise OptionError(
            f"option 'output': found '{target}', expected a name that ends in "
            f"'{SUFFIXES[to]}'{advice}"
        )
    for name in LIBRARIES if to == "onnx" else ():
        try:
            import_module(name)
        except ImportError as error:
            raise OptionError(
                f"ONNX files need '{name}', which cannot be imported ({error}): "
                "pip install 'semisonic[export]', or write a torch program with '--to torch'"
            ) from error
    return target


def _ranges(model: SoundModel, path: Path, labels: str, kind: str, failures: Failures) -> list[Any]:
    """What the file would be given for the first window of some recordings."""
    clips, mel = load_clips(path, labels=labels), model.mel
    rows = np.unique(np.linspace(0, len(clips) - 1, CALIBRATION_CLIPS).round().astype(int))
    waves = [
        wave for row in rows.tolist() for wave in read_windows(clips, row, mel, failures, most=1)
    ]
    if not waves:
        raise DataError("option 'calibrate_on': found no recording that can be read")
    extractor = make_extractor(mel)
    return waves if kind == AUDIO else [features_of_wave(wave, mel, extractor) for wave in waves]


def _facts(
    model: SoundModel,
    about: Mapping[str, Any],
    kind: str,
    fixed: str,
    quantized: str,
    licence: str,
) -> dict[str, str]:
    """What a program needs to use the file, and where the model comes from; texts, some in JSON."""
    mel, origin = model.mel, PublishedOrigin.of(about)
    channels, rows, frames = map(str, mel.shape)
    shape = (
        ["batch", str(mel.n_samples) if fixed else "time"]
        if kind == AUDIO
        else ["batch", channels, rows, frames if fixed else "frame"]
    )
    return {
        "semisonic_version": versions().get("semisonic", ""),
        "network": model.name,
        "classes": json.dumps(list(model.classes), ensure_ascii=False),
        "labels_a_clip": "several" if model.multi_label else "one",
        "input": kind,
        "input_shape": json.dumps(shape),
        "sample_rate": str(mel.sample_rate),
        "clip_length": f"{mel.duration:g}",
        "n_samples": str(mel.n_samples),
        "windows": _window_rule(model, kind, fixed),
        "features": json.dumps(to_dict(mel)),
        "standardize": model.frontend.standardize.kind,
        "quantized": quantized,
        "licence": licence or (origin.licence if origin else "") or "not stated",
        "provenance": json.dumps(_provenance(about), ensure_ascii=False, default=str),
    }


def _window_rule(model: SoundModel, kind: str, fixed: str) -> str:
    """What to do with recordings shorter and longer than the model's clip."""
    mel, n = model.mel, model.mel.n_samples
    what = f"mono samples within -1 to 1 at {mel.sample_rate} Hz"
    lines = [
        f"Input: {what}."
        if kind == AUDIO
        else f"Input: the front end's features of {what}; the fact 'features' holds its "
        "parameters. Levels in dB, not standardised.",
        f"A recording of less than {n} samples ({mel.duration:g} s) is followed by zeros.",
        f"A longer one is cut into windows of {n} samples side by side; the last one ends where "
        f"the recording ends, and a rest of less than {TOLERANCE:g} of a window is left out.",
        "The scores of a recording are the mean over its windows.",
    ]
    if not fixed:
        lines.append(
            "Longer input works, too, and is scored as a whole; the scores are then not those of "
            "the mean over windows."
        )
    return " ".join(lines)


def _provenance(about: Mapping[str, Any]) -> dict[str, Any]:
    """When and of what the model was made, without paths and without hashes of recordings."""
    kept = {key: about[key] for key in _KEPT if key in about}
    for role in ROLES:
        if isinstance(about.get(role), Mapping):
            kept[role] = {key: about[role][key] for key in _OF_A_PART if key in about[role]}
    origin = PublishedOrigin.of(about)
    if origin is not None:
        kept["published"] = {key: value for key, value in asdict(origin).items() if key != "name"}
    return kept


def _card(
    model: SoundModel, facts: Mapping[str, str], about: Mapping[str, Any], parity: Parity | None
) -> str:
    """The model card as Markdown: that of the model, and how this file is used."""
    lines = [write_card(model, _provenance(about)).rstrip(), "", "## This file", ""]
    lines += [f"- Input: {facts['input']}, shape {' x '.join(json.loads(facts['input_shape']))}"]
    lines += [f"- {facts['windows']}"]
    lines += [f"- Output: scores, 0 to 1, one column per class; {EMBEDDINGS} where it has them"]
    lines += [f"- Quantised: {facts['quantized']}", f"- Licence: {facts['licence']}"]
    if parity is not None:
        lines += [f"- Compared with the model: {line}" for line in _parity_lines(parity, model)]
    return "\n".join(lines) + "\n"


def _parity_lines(parity: Parity, model: SoundModel) -> list[str]:
    """The comparison in words, a line each."""
    lines = [
        f"on {parity.n_sounds} sounds, scores differ by at most {parity.scores:.1g}, on average by "
        f"{parity.mean_scores:.1g}; the best class is the same for {parity.agreement:.1%}"
    ]
    if parity.features is not None:
        lines.append(
            f"samples differ by at most {parity.features:.1g}"
            if model.mel.input == WAVE
            else f"features differ by at most {parity.features:.2g} dB in cells down to "
            f"{AUDIBLE_DB:g} dB below the loudest of their frame"
        )
    if parity.embeddings is not None:
        lines.append(f"embeddings differ by at most {parity.embeddings:.1g} of the largest value")
    if parity.quality is not None:
        name = "lwlrap" if model.multi_label else "accuracy"
        before, after = parity.quality
        lines.append(
            f"{name} on {parity.n_labelled} labelled sounds: model {before:.1%}, file {after:.1%} "
            f"({100 * (after - before):+.1f} points)"
        )
    return lines
