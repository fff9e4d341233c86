"""What an exported file says of itself: facts, a card, its size and speed, and the result of
``export``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.classifier.export.module import EMBEDDINGS, Runner
from semisonic.classifier.export.parity import AUDIBLE_DB, Parity
from semisonic.classifier.provenance import ROLES
from semisonic.classifier.scoring import evaluating
from semisonic.classifier.starting_encoder import PublishedOrigin
from semisonic.classifier.use_options import AUDIO
from semisonic.classifier.windows import TOLERANCE, features_of_wave
from semisonic.core.options import to_dict
from semisonic.core.seeds import generator
from semisonic.core.text import Result
from semisonic.features.frontend import make_extractor
from semisonic.features.options import WAVE
from semisonic.models.model_file import write_card
from semisonic.models.sound_model import SoundModel
from semisonic.training.run_folder import versions

if TYPE_CHECKING:
    import pandas as pd

# How large and how fast: the model and its files in turn, one clip at a time, on one thread.
#
# Processor time is counted, so what else runs on the machine hardly changes it.


Work = Callable[[], object]
LEAST_ROUNDS, MOST_ROUNDS, MOST_TIME = 5, 41, 4.0


@dataclass(frozen=True)
class FormSpeed:
    """A model in one form.

    Attributes
    ----------
    name : str
    n_bytes : int
        Of its file.
    milliseconds : float
        For a clip, the median.
    real_time : float
        Seconds of sound per second.
    """

    name: str
    n_bytes: int
    milliseconds: float
    real_time: float


def measure(
    model: SoundModel,
    n_bytes: int,
    files: Mapping[str, tuple[Runner, int]],
    kind: str,
    *,
    rounds: int = MOST_ROUNDS,
) -> tuple[FormSpeed, ...]:
    """The model by our own way of prediction, then each file, all in turn in every round.

    Parameters
    ----------
    model : SoundModel
    n_bytes : int
        Size of its file, or of its weights.
    files : mapping
        What gives scores, and the bytes it takes, by name.
    kind : {"audio", "features"}
        With audio the way begins with samples in memory, with features behind the front end.
    rounds : int
        At most; fewer when they take long.
    """
    wave = generator(0, "speed").normal(0, 0.1, model.mel.n_samples).astype(np.float32)
    extractor = make_extractor(model.mel)
    features = features_of_wave(wave, model.mel, extractor)
    x: NDArray[np.float32] = (wave if kind == AUDIO else features)[None]

    def eager() -> object:
        found = features_of_wave(wave, model.mel, extractor) if kind == AUDIO else features
        return model.score(torch.from_numpy(found[None]))

    def of(run: Runner) -> Work:
        return lambda: run(x)

    works: dict[str, Work] = {"PyTorch (Semisonic)": eager}
    works.update({name: of(run) for name, (run, _) in files.items()})
    sizes = [n_bytes, *(size for _, size in files.values())]
    with one_thread(), evaluating(model):
        times = in_turn(works, rounds)
    return tuple(
        FormSpeed(name, size, 1e3 * seconds, model.mel.duration / seconds)
        for (name, seconds), size in zip(times.items(), sizes, strict=True)
    )


def in_turn(works: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """The median processor time of each work, s; a slower moment of the machine meets them all."""
    for work in works.values():
        work(), work()
    times: dict[str, list[float]] = {name: [] for name in works}
    begin = time.perf_counter()
    for number in range(rounds):
        if number >= LEAST_ROUNDS and time.perf_counter() - begin > MOST_TIME:
            break
        for name, work in works.items():
            start = time.process_time()
            work()
            times[name].append(time.process_time() - start)
    return {name: float(np.median(found)) for name, found in times.items()}


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block torch computes on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# What an exported file says of itself: facts for programs, a card for people.


NOT_STATED = "not stated"
_KEPT = ("created", "commit", "seed", "measured", "versions")
_OF_A_PART = ("data", "clips", "recordings", "hash")


def facts_of(
    model: SoundModel,
    about: Mapping[str, Any],
    *,
    kind: str,
    fixed: str,
    quantized: str,
    licence: str,
) -> dict[str, str]:
    """What a program needs to use the file, and where the model comes from; texts, some in JSON.

    Parameters
    ----------
    model : SoundModel
    about : mapping
        The model file's provenance. Hashes of single recordings and options are left out.
    kind : {"audio", "features"}
    fixed : str
        Why clips have one length; empty if the file takes longer ones.
    quantized, licence : str
    """
    mel, origin = model.mel, PublishedOrigin.of(about)
    told = licence or (origin.licence if origin is not None else "") or NOT_STATED
    return {
        "semisonic_version": versions().get("semisonic", ""),
        "network": model.name,
        "classes": json.dumps(list(model.classes), ensure_ascii=False),
        "labels_a_clip": "several" if model.multi_label else "one",
        "input": kind,
        "input_shape": json.dumps(_shape(model, kind, fixed)),
        "sample_rate": str(mel.sample_rate),
        "clip_length": f"{mel.duration:g}",
        "n_samples": str(mel.n_samples),
        "windows": rule(model, kind, fixed),
        "features": json.dumps(to_dict(mel)),
        "standardize": model.frontend.standardize.kind,
        "quantized": quantized,
        "licence": told,
        "provenance": json.dumps(provenance(about), ensure_ascii=False, default=str),
    }


def rule(model: SoundModel, kind: str, fixed: str) -> str:
    """What to do with recordings shorter and longer than the model's clip."""
    mel = model.mel
    n = mel.n_samples
    what = f"mono samples within -1 to 1 at {mel.sample_rate} Hz"
    lines = [
        f"Input: {what}."
        if kind == AUDIO
        else f"Input: the front end's features of {what}; the "
        "fact 'features' holds its parameters. Levels in dB, not standardised.",
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


def provenance(about: Mapping[str, Any]) -> dict[str, Any]:
    """When and of what the model was made, without paths and without hashes of recordings."""
    kept = {key: about[key] for key in _KEPT if key in about}
    for role in ROLES:
        if isinstance(about.get(role), Mapping):
            kept[role] = {key: about[role][key] for key in _OF_A_PART if key in about[role]}
    origin = PublishedOrigin.of(about)
    if origin is not None:
        kept["published"] = {
            "title": origin.title,
            "trained_on": origin.trained_on,
            "source": origin.source,
            "licence": origin.licence,
        }
    return kept


def card_of(
    model: SoundModel, facts: Mapping[str, str], about: Mapping[str, Any], parity: Parity | None
) -> str:
    """The model card as Markdown: that of the model, and how this file is used."""
    lines = [write_card(model, provenance(about)).rstrip(), "", "## This file", ""]
    lines += [f"- Input: {facts['input']}, shape {' x '.join(json.loads(facts['input_shape']))}"]
    lines += [f"- {facts['windows']}"]
    lines += [f"- Output: scores, 0 to 1, one column per class; {EMBEDDINGS} where it has them"]
    lines += [f"- Quantised: {facts['quantized']}", f"- Licence: {facts['licence']}"]
    if parity is not None:
        lines += [f"- Compared with the model: {line}" for line in parity_lines(parity, model)]
    return "\n".join(lines) + "\n"


def parity_lines(parity: Parity, model: SoundModel) -> list[str]:
    """The comparison in words, a line each."""
    lines = [
        f"on {parity.n_sounds} sounds, scores differ by at most {parity.scores:.1g}, on average by "
        f"{parity.mean_scores:.1g}; the best class is the same for {parity.agreement:.1%}"
    ]
    if parity.features is not None and model.mel.input == WAVE:
        lines.append(f"samples differ by at most {parity.features:.1g}")
    elif parity.features is not None:
        lines.append(
            f"features differ by at most {parity.features:.2g} dB in cells down to "
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


def _shape(model: SoundModel, kind: str, fixed: str) -> list[str]:
    if kind == AUDIO:
        return ["batch", str(model.mel.n_samples) if fixed else "time"]
    channels, rows, frames = map(str, model.mel.shape)
    return ["batch", channels, rows, frames if fixed else "frame"]


# What ``export`` made, and how it is told.


_HEADS = ("form", "MB", "ms a clip", "x real time")


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
    forms : tuple of Form
        Size and speed of the model and its files; empty if not measured.
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
    forms: tuple[FormSpeed, ...]
    notes: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]

    def to_frame(self) -> pd.DataFrame:
        """A row a form, the model itself and its files: size and speed; empty if not measured."""
        import pandas as pd

        return pd.DataFrame(
            [(one.name, one.n_bytes, one.milliseconds, one.real_time) for one in self.forms],
            columns=["name", "n_bytes", "milliseconds", "real_time"],
        )

    def summary(self) -> str:
        """For a terminal."""
        mel, n = self.model.mel, len(self.model.classes)
        more = "" if self.fixed else " or longer"
        what = "audio" if self.kind == AUDIO else "features of audio"
        lines = [
            f"{self.file}: {what}, {mel.duration:g} s{more} at {mel.sample_rate} Hz, to scores of "
            f"{n} {'class' if n == 1 else 'classes'}"
        ]
        lines += [f"model card: {self.card}", *self.notes]
        if self.fixed:
            lines.append(f"clips of one length: {self.fixed}")
        if self.parity is None:
            lines.append("not compared with the model")
        else:
            lines += [f"compared: {line}" for line in parity_lines(self.parity, self.model)]
        if self.forms:
            lines += ["", f"one clip of {mel.duration:g} s at a time, one thread:", *self._table()]
        return "\n".join(lines)

    def _table(self) -> list[str]:
        rows = [_HEADS]
        for form in self.forms:
            megabytes, times = f"{form.n_bytes / 1e6:.2f}", f"{form.real_time:,.0f}"
            rows.append((form.name, megabytes, f"{form.milliseconds:.2f}", times))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return [
            "  ".join(
                text.rjust(width) if place else text.ljust(width)
                for place, (text, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
