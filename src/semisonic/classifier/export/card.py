"""What an exported file says of itself (facts, a card), and the result of ``export``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semisonic.classifier.export.module import EMBEDDINGS
from semisonic.classifier.export.parity import AUDIBLE_DB, Parity
from semisonic.classifier.provenance import ROLES, PublishedOrigin
from semisonic.classifier.use_options import AUDIO
from semisonic.classifier.windows import TOLERANCE
from semisonic.core.options import to_dict
from semisonic.core.text import Result, count_text
from semisonic.features.options import WAVE
from semisonic.models.model_file import write_card
from semisonic.models.sound_model import SoundModel
from semisonic.training.run_folder import versions

if TYPE_CHECKING:
    import pandas as pd

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
        "windows": _window_rule(model, kind, fixed),
        "features": json.dumps(to_dict(mel)),
        "standardize": model.frontend.standardize.kind,
        "quantized": quantized,
        "licence": told,
        "provenance": json.dumps(_provenance(about), ensure_ascii=False, default=str),
    }


def _window_rule(model: SoundModel, kind: str, fixed: str) -> str:
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


def _provenance(about: Mapping[str, Any]) -> dict[str, Any]:
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
