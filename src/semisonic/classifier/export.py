"""``export``: write a trained model to a file that needs neither Semisonic nor torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from semisonic.audio.checks import SILENCE_DB
from semisonic.audio.read import read_blocks
from semisonic.audio.resample import fit_length
from semisonic.classifier.export_graph import (
    AUDIO,
    EMBEDDINGS,
    FEATURES,
    KNOWN,
    LEVELS,
    MOST_SCORE,
    SCORES,
    Runner,
    onnx_graph,
    torch_graph,
)
from semisonic.classifier.model_file import MODEL, find_file, open_model
from semisonic.classifier.provenance import ROLES, PublishedOrigin
from semisonic.classifier.scoring import embed_rows, score_rows
from semisonic.classifier.unknown import KINDS, make_noise
from semisonic.classifier.windows import cut_stream, features_of_wave
from semisonic.core.errors import AudioError, DataError, ModelError, OptionError
from semisonic.core.files import write_text
from semisonic.core.html import Result
from semisonic.core.label_names import GIVEN_NAMES
from semisonic.core.options import nearest, to_dict
from semisonic.core.progress import track
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.outputs import check_file, writing
from semisonic.data.stores import as_stored
from semisonic.data.windows import least_rest
from semisonic.evaluation.metrics import lwlrap
from semisonic.features.frontend import make_extractor
from semisonic.features.options import WAVE, MelOptions
from semisonic.models.decision import KNOWN_THRESHOLD
from semisonic.models.model_file import read_about, write_card
from semisonic.models.sound_model import SoundModel
from semisonic.training.run_folder import versions

if TYPE_CHECKING:
    import pandas as pd

VERB = "export"
SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
"""The suffix of the file of each format."""
NO, INT8, AUTO = "none", "int8", "auto"
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
"""Packages that only ONNX files need."""
LONGEST_WINDOW = 2048
"""Samples. The filters for this window take 17 MB of memory; the size grows with its square."""
CALIBRATION_CLIPS = 100
"""Number of windows for the ranges of activations, evenly from the given recordings."""
UNKNOWN, _, NOISE = GIVEN_NAMES
_KEPT = ("created", "commit", "seed", "measured", "versions")
_OF_A_PART = ("data", "clips", "recordings", "hash")
Failures = list[tuple[str, str]]


@dataclass(frozen=True)
class ExportResult(Result):
    """An exported file and its properties.

    Attributes
    ----------
    model : SoundModel
        The original.
    file, card : Path
    kind : {"audio", "features"}
    any_length : bool
        Whether the file also takes longer clips.
    parity : Parity or None
        The comparison; None if there was none.
    notes : tuple of str
    failures : tuple of (str, str)
        Recordings that could not be read, with reasons.
    """

    model: SoundModel
    file: Path
    card: Path
    kind: str
    any_length: bool
    parity: Parity | None
    notes: tuple[str, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One row: the file, its size, and its differences from the model, if compared."""
        import pandas as pd

        measured = {} if self.parity is None else asdict(self.parity)
        row = {"file": str(self.file), "n_bytes": self.file.stat().st_size, **measured}
        return pd.DataFrame([row])

    def summary(self) -> str:
        """For a terminal."""
        mel = self.model.mel
        more = " or longer" if self.any_length else ""
        what = "audio" if self.kind == AUDIO else "features of audio"
        classes = count_text(len(self.model.classes), "class", "classes")
        lines = [
            f"{self.file}: {what}, {mel.duration:g} s{more} at {mel.sample_rate} Hz, to scores of "
            f"{classes}; {self.file.stat().st_size / 1e6:.2f} MB",
            f"model card: {self.card}",
            *self.notes,
        ]
        if not self.any_length:
            lines.append("this network takes only clips of one length")
        if self.parity is None:
            lines.append("not compared with the model")
        else:
            lines += [f"compared: {line}" for line in self.parity.lines(self.model)]
        return "\n".join(lines)


def export(
    model: Any,
    path: str | PathLike[str] | None = None,
    *,
    to: str = "onnx",
    input: str = AUTO,  # noqa: A002
    embeddings: bool = False,
    quantize: str = NO,
    calibrate_on: str | PathLike[str] | None = None,
    check: bool = True,
    check_on: str | PathLike[str] | None = None,
    labels: str = "auto",
    licence: str = "",
) -> ExportResult:
    """Write a trained model to a file that runs without Semisonic, and compare the two.

    Parameters
    ----------
    model : path, SoundModel or SoundClassifier
        The path of a model file or a run folder, or a model in memory.
    path : path, optional
        The file to write: its name ends in ``.onnx``, or in ``.pt2`` with ``to="torch"``. By
        default 'model.onnx' in the current folder. The model card is written beside it.
    to : {"onnx", "torch"}
        For ONNX Runtime and others, or for ``torch.export.load``.
    input : {"auto", "audio", "features"}
        Input of the file: samples, log-mel in dB, or samples if the front end can be part of the
        file.
    embeddings : bool
        Also give the embeddings.
    quantize : {"none", "int8"}
        "int8": store weights and activations of the network in 8 bits, ONNX only.
    calibrate_on : path, optional
        For int8: recordings to find the ranges of activations with, similar to those to be scored.
    check : bool
        Compare the file with the model before keeping it.
    check_on : path, optional
        Recordings to compare on, by default synthetic sounds; accuracy is compared too if they
        have labels that the model knows.
    labels : str
        How these recordings are read: see :func:`semisonic.load_clips`.
    licence : str
        Licence to write into the file; by default that of the published weights the model started
        from.

    Returns
    -------
    ExportResult
        The file, its card, and its differences from the model.

    Raises
    ------
    OptionError
        For options that contradict each other, a missing library, or if the file or card exists
        and was not written by an export.
    DataError
        If recordings to compare or calibrate on are missing.
    ModelError
        If the network cannot be written, or the file and the model differ. No file is kept then.

    Examples
    --------
    >>> result = export("runs/tones", "tones.onnx")
    >>> result.file.name
    'tones.onnx'
    """
    for name, value, known in (
        ("to", to, tuple(SUFFIXES)),
        ("input", input, (AUTO, AUDIO, FEATURES)),
        ("quantize", quantize, (NO, INT8)),
    ):
        if value not in known:
            raise OptionError(f"option '{name}': found '{value}'; {nearest(value, known)}")
    target = _target(Path(f"model{SUFFIXES[to]}") if path is None else Path(path), to)
    if quantize == INT8 and to != "onnx":
        raise OptionError(
            "option 'quantize': int8 can only be written as ONNX; leave out '--to torch'"
        )
    if quantize == INT8 and calibrate_on is None:
        raise OptionError(
            "option 'calibrate_on' is missing: to find the ranges of activations, int8 needs "
            "recordings similar to those to be scored; a hundred are enough"
        )
    if calibrate_on is not None and quantize != INT8:
        raise OptionError("option 'calibrate_on': has no effect without --quantize int8")
    if check_on is not None and not check:
        raise OptionError("option 'check_on': has no effect with --no-check")
    if isinstance(model, (str, PathLike)):
        file = find_file(model, MODEL)
        network, about = open_model(file), read_about(file)["about"]
    else:
        network, about = getattr(model, "model_", model), getattr(model, "about_", {})
    if not network.encoder.trainable:
        raise OptionError(
            f"this model cannot be exported: its encoder '{network.name}' is a separate graph, "
            "which the file would have to contain and which you may not be allowed to pass on. "
            "Copy the model file, and get the encoder on the other machine: semisonic encoder "
            "get"
        )
    card = target.with_name(f"{target.name}.md")
    check_file(target, VERB, {target.suffix.lower()})
    check_file(card, VERB, {".md"})
    kind, note = _choose_input(network.mel, input)
    outputs = (SCORES, *[EMBEDDINGS] * embeddings, *[KNOWN] * bool(network.decision.unknown))
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
    graph = (
        torch_graph(network, kind, outputs)
        if to == "torch"
        else onnx_graph(network, kind, outputs, ranges)
    )
    facts = _facts(network, about, kind, graph.any_length, quantize, licence)
    parity = None
    with writing(target, VERB) as part:
        graph.save(part, facts, _card(network, facts, about, None))
        if check:
            levels = None if quantize == INT8 else graph.levels
            parity = compare(network, kind, graph.open(part), sounds, levels)
            faults = parity.faults(waves=network.mel.input == WAVE, int8=quantize == INT8)
            if faults:
                raise ModelError(
                    f"model '{network.name}': the scores of the file differ from those of the "
                    f"model, so it was not kept. On {parity.n_sounds} sounds, "
                    f"{'; '.join(faults)}"
                )
    with writing(card, VERB) as part:
        write_text(part, _card(network, facts, about, parity))
    notes = (note,) if note else ()
    failed = tuple(dict.fromkeys(failures))
    return ExportResult(network, target, card, kind, graph.any_length, parity, notes, failed)


def _choose_input(mel: MelOptions, wanted: str) -> tuple[str, str]:
    """The input of the file, and the reason if it is not audio although not asked for."""
    if wanted == FEATURES or mel.input == WAVE or mel.window <= LONGEST_WINDOW:
        return (FEATURES if wanted == FEATURES else AUDIO), ""
    reason = (
        f"the front end has a window of {mel.window} samples, and a file can have windows of at "
        f"most {LONGEST_WINDOW}"
    )
    if wanted == AUTO:
        return FEATURES, f"the file takes features, not audio: {reason}"
    raise OptionError(f"option 'input': found 'audio', but {reason}; use 'features'")


def _target(target: Path, to: str) -> Path:
    """The file to write, after checking its name and the packages that are needed."""
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
                f"ONNX files need '{name}', which cannot be imported ({error}): run pip install "
                "'semisonic[export]', or write a torch program with '--to torch'"
            ) from error
    return target


def _ranges(model: SoundModel, path: Path, labels: str, kind: str, failures: Failures) -> list[Any]:
    """The inputs of the file for the first windows of some recordings."""
    clips, mel = load_clips(path, labels=labels), model.mel
    rows = np.unique(np.linspace(0, len(clips) - 1, CALIBRATION_CLIPS).round().astype(int))
    waves = [
        wave for row in rows.tolist() for wave in read_windows(clips, row, mel, failures, most=1)
    ]
    if not waves:
        raise DataError("option 'calibrate_on': found no readable recording; give other recordings")
    extractor = make_extractor(mel)
    return waves if kind == AUDIO else [features_of_wave(wave, mel, extractor) for wave in waves]


def _facts(
    model: SoundModel,
    about: Mapping[str, Any],
    kind: str,
    any_length: bool,
    quantized: str,
    licence: str,
) -> dict[str, str]:
    """What a program needs to use the file, and the origin of the model; texts, some in JSON."""
    mel, origin = model.mel, PublishedOrigin.of(about)
    channels, rows, frames = map(str, mel.shape)
    shape = (
        ["batch", "time" if any_length else str(mel.n_samples)]
        if kind == AUDIO
        else ["batch", channels, rows, "frame" if any_length else frames]
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
        "windows": _window_rule(model, kind, any_length),
        "thresholds": json.dumps(dict(model.decision.thresholds), ensure_ascii=False),
        "unknown": json.dumps(_unknown_rule(model) if model.decision.unknown else {}),
        "features": json.dumps(to_dict(mel)),
        "standardize": model.frontend.standardize.kind,
        "quantized": quantized,
        "licence": licence or (origin.licence if origin else "") or "not stated",
        "provenance": json.dumps(_provenance(about), ensure_ascii=False, default=str),
    }


def _window_rule(model: SoundModel, kind: str, any_length: bool) -> str:
    """What to do with recordings shorter and longer than the model's clip."""
    mel, n = model.mel, model.mel.n_samples
    n_least = round(least_rest(n, mel.sample_rate))
    what = f"mono samples within -1 to 1 at {mel.sample_rate} Hz"
    lines = [
        f"Input: {what}."
        if kind == AUDIO
        else f"Input: the front end's features of {what}; the metadata entry 'features' has its "
        "parameters. Levels in dB, not standardised.",
        f"Pad a recording of less than {n} samples ({mel.duration:g} s) with zeros at its end.",
        f"Cut a longer one into adjacent windows of {n} samples, the last of which ends with "
        f"the recording; ignore a remainder of less than {n_least} samples "
        f"({n_least / mel.sample_rate:g} s).",
        "The scores of a recording are the mean over its windows, without windows of silence "
        f"({SILENCE_DB:g} dB) if there are others.",
    ]
    if any_length:
        lines.append(
            "Longer input works too, and is scored as a whole; its scores differ from the mean "
            "over windows."
        )
    return " ".join(lines)


def _unknown_rule(model: SoundModel) -> dict[str, Any]:
    """How the output :data:`KNOWN` is used, and the thresholds."""
    rule = (
        f"If the mean of '{KNOWN}' over the windows of a recording is 0, there is nothing to name: "
        f"answer '{NOISE}'. If it is below {KNOWN_THRESHOLD:g}, answer '{UNKNOWN}'."
    )
    if model.decision.thresholds:
        reached = "no class reaches" if model.multi_label else "the best class does not reach"
        rule += f" Also answer '{UNKNOWN}' if {reached} its threshold."
    return {"output": KNOWN, "below": KNOWN_THRESHOLD, "answer": UNKNOWN, "rule": rule}


def _provenance(about: Mapping[str, Any]) -> dict[str, Any]:
    """When and from what the model was made, without paths and hashes of recordings."""
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
    """The model card as Markdown: the card of the model, and how to use this file."""
    lines = [write_card(model, _provenance(about)).rstrip(), "", "## This file", ""]
    lines += [f"- Input: {facts['input']}, shape {' x '.join(json.loads(facts['input_shape']))}"]
    lines += [f"- {facts['windows']}"]
    lines += [
        (f"- Output: scores, 0 to 1, one column per class; {EMBEDDINGS}, if the file has them")
    ]
    if model.decision.unknown:
        lines += [f"- Output {KNOWN}: {_unknown_rule(model)['rule']}"]
    if model.decision.thresholds:
        found = ", ".join(
            f"{name} {value:.3g}" for name, value in model.decision.thresholds.items()
        )
        lines += [f"- Thresholds of the classes, for clips: {found}"]
    lines += [f"- Quantised: {facts['quantized']}", f"- Licence: {facts['licence']}"]
    if parity is not None:
        lines += [f"- Compared with the model: {line}" for line in parity.lines(model)]
    return "\n".join(lines) + "\n"


# Whether the file computes what the model computes, on the same sounds.

Waves = NDArray[np.float32]
Sound = tuple[Waves, tuple[int, ...]]
"""Windows of the model's clip length, shape (n_windows, n_samples), a short one padded with zeros;
and the sound's class numbers, if known.
"""

MOST_DB = 0.05
AUDIBLE_DB = 70.0
"""Cells that are quieter, relative to the loudest of their frame, are rounding errors of float32.
"""
MOST_SAMPLE = 1.01 * 2.0**-15
"""For networks that read samples: one step of 16 bits, as a share of a peak beyond full scale."""
MOST_EMBEDDING = 1e-2
"""Share of the largest value. Features are rounded to float16 before they are embedded, and a
cell that falls on the other side of a step is 0.06 dB away."""
LEAST_AGREEMENT = 0.85
MOST_MEAN_SCORE = 0.05
"""For eight bits: share of sounds with the same best class, and mean distance of scores."""


@dataclass(frozen=True)
class Parity:
    """The differences between a file and its model.

    Attributes
    ----------
    n_sounds : int
    scores, mean_scores : float
        Largest and mean absolute difference over sounds and classes.
    agreement : float
        Share of sounds with the same best class, 0 to 1.
    features : float or None
        Largest difference in dB of cells up to 70 dB below the loudest of their frame (for
        networks that read samples: of samples). None if the file takes features.
    embeddings : float or None
        Largest difference as a share of the largest value.
    quality : (float, float) or None
        Accuracy of the model and of the file, 0 to 1, on sounds with labels (with several labels
        for a sound: lwlrap).
    n_labelled : int
    """

    n_sounds: int
    scores: float
    mean_scores: float
    agreement: float
    features: float | None = None
    embeddings: float | None = None
    quality: tuple[float, float] | None = None
    n_labelled: int = 0

    def faults(self, *, waves: bool, int8: bool) -> list[str]:
        """The differences that are too large; empty if the file may be kept."""
        if int8:
            rules = [
                ("share of the same best class", -self.agreement, -LEAST_AGREEMENT),
                ("mean distance of scores", self.mean_scores, MOST_MEAN_SCORE),
            ]
        else:
            unit, most = ("", MOST_SAMPLE) if waves else (" in dB", MOST_DB)
            rules = [
                ("scores", self.scores, MOST_SCORE),
                (f"features{unit}", self.features or 0.0, most),
                ("embeddings", self.embeddings or 0.0, MOST_EMBEDDING),
            ]
        return [
            f"{name}: found {abs(found):.3g}, expected at {'least' if most < 0 else 'most'} "
            f"{abs(most):.3g}"
            for name, found, most in rules
            if not found <= most  # so that NaN is a fault
        ]

    def lines(self, model: SoundModel) -> list[str]:
        """The comparison as lines of text."""
        said = [
            f"on {self.n_sounds} sounds, scores differ by at most {self.scores:.1g}, on average by "
            f"{self.mean_scores:.1g}; the best class is the same for {self.agreement:.1%}"
        ]
        if self.features is not None:
            said.append(
                f"samples differ by at most {self.features:.1g}"
                if model.mel.input == WAVE
                else f"features differ by at most {self.features:.2g} dB in cells down to "
                f"{AUDIBLE_DB:g} dB below the loudest of their frame"
            )
        if self.embeddings is not None:
            said.append(f"embeddings differ by at most {self.embeddings:.1g} of the largest value")
        if self.quality is not None:
            name = "lwlrap" if model.multi_label else "accuracy"
            before, after = self.quality
            said.append(
                f"{name} on {self.n_labelled} labelled sounds: model {before:.1%}, file "
                f"{after:.1%} ({100 * (after - before):+.1f} points)"
            )
        return said


def compare(
    model: SoundModel,
    kind: str,
    file: Runner,
    sounds: Iterable[Sound],
    levels: Runner | None = None,
) -> Parity:
    """Compare a file with its model on some sounds.

    Parameters
    ----------
    model : SoundModel
        On the CPU.
    kind : {"audio", "features"}
        What the file takes.
    file : Runner
        The file; gives scores, and embeddings if it has them.
    sounds : iterable of (windows, classes)
    levels : Runner, optional
        The same file with its features as an output; without it, features are not compared.

    Raises
    ------
    ModelError
        If there is no sound.
    """
    extractor = make_extractor(model.mel)
    ours, theirs, of_levels, of_embeddings = [], [], [], []
    hot: list[NDArray[np.bool_]] = []
    for waves, labels in sounds:
        features = np.stack([features_of_wave(wave, model.mel, extractor) for wave in waves])
        rows = np.arange(len(features))
        found = file(waves if kind == AUDIO else features)
        ours.append(score_rows(model, features, rows).mean(axis=0))
        theirs.append(found[SCORES].mean(axis=0, dtype=np.float64))
        hot.append(np.isin(np.arange(len(model.classes)), labels))
        if EMBEDDINGS in found:
            exact = embed_rows(model, features, rows)
            of_embeddings.append(np.abs(found[EMBEDDINGS] - exact).max() / np.abs(exact).max())
        if levels is not None:
            for wave, level in zip(waves, levels(waves)[LEVELS], strict=True):
                own = extractor(as_stored(wave))
                far = np.abs(level - own)
                if model.mel.input == WAVE:  # a step of 16 bits is larger beyond full scale
                    cells = far / max(1.0, np.abs(wave).max())
                else:
                    cells = far[_audible(own)]
                of_levels.append(cells.max(initial=0.0))
    if not ours:
        raise ModelError(
            "found no sound to compare the file on; give other recordings with --check-on"
        )
    a, b, truth = np.stack(ours), np.stack(theirs), np.stack(hot)
    known = truth.any(axis=1)
    quality = None
    if known.any():
        before, after = (
            lwlrap(truth[known], scores[known])
            if model.multi_label
            else float(truth[known, scores[known].argmax(axis=1)].mean())
            for scores in (a, b)
        )
        quality = (before, after)
    return Parity(
        len(a),
        float(np.abs(a - b).max()),
        float(np.abs(a - b).mean()),
        float((a.argmax(axis=1) == b.argmax(axis=1)).mean()),
        None if levels is None else float(np.max(of_levels)),
        float(np.max(of_embeddings)) if of_embeddings else None,
        quality,
        int(known.sum()),
    )


def _audible(level: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Cells of (channel, mel, frame) with sound; for deltas, if all cells that they use have
    sound.
    """
    loud: NDArray[np.bool_] = level[:1] >= level[:1].max(axis=1, keepdims=True) - AUDIBLE_DB
    if len(level) == 1:
        return loud
    around = minimum_filter1d(loud.astype(np.uint8), 17, axis=2, mode="nearest")
    return np.concatenate((loud, around.astype(bool)))


def read_sounds(clips: Clips, model: SoundModel, failures: Failures) -> Iterator[Sound]:
    """The whole sounds of a table; those that cannot be read are added to ``failures``."""
    number = {name: i for i, name in enumerate(model.classes)}
    for row in track(range(len(clips)), "compare", "clip"):
        names = clips.labels[row]
        waves = read_windows(clips, row, model.mel, failures)
        if waves:
            is_known = all(name in number for name in names)
            yield np.stack(waves), tuple(number[name] for name in names) if is_known else ()


def read_windows(
    clips: Clips, row: int, mel: MelOptions, failures: Failures, most: int | None = None
) -> list[Waves]:
    """The windows of a clip, or the first few; none, with a failure, if it cannot be read."""
    try:
        blocks = read_blocks(
            clips.root / str(clips.file[row]),
            block_time=mel.duration,
            sample_rate=mel.sample_rate,
            start_time=float(clips.start_time[row]),
            end_time=float(clips.end_time[row]),
        )
        windows = islice(cut_stream(blocks, mel.n_samples, mel.n_samples, mel.sample_rate), most)
        return [fit_length(wave, mel.n_samples) for _, wave in windows]
    except AudioError as error:
        failures.append((clips.ids[row], error.reason))
        return []


def synthetic_sounds(mel: MelOptions) -> list[Sound]:
    """Noise of every kind, hum and silence; one beyond full scale, and a short one."""
    waves = [
        wave for kind in KINDS for wave in make_noise(kind, 2, mel.n_samples, mel.sample_rate, 0)
    ]
    loud = waves[-1] * np.float32(1.4 / np.abs(waves[-1]).max())
    short = np.where(np.arange(mel.n_samples) < mel.n_samples // 3, waves[3], np.float32(0))
    return [(wave[None], ()) for wave in (*waves, loud, short)]
