"""Which clip is shown."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from semisonic import audio
from semisonic.base.errors import AudioError, DataError, OptionError
from semisonic.base.seeds import generator
from semisonic.data.clips import Clips
from semisonic.data.readers import load_clips
from semisonic.features import MelOptions
from semisonic.inference.previewing.example import Clip, Wave
from semisonic.inference.previewing.options import PreviewOptions

N_OTHERS = 4
_TRIES = 20


def choose(options: PreviewOptions) -> Clip:
    """Read the clip that the options name, or one drawn, and some others of the set.

    Raises
    ------
    DataError
        When no clip can be read or all are silent.
    OptionError
        When the set has no clip of that number.
    """
    clips = load_clips(options.data)
    mel = dataclasses.replace(options.mel, deltas=False)
    order = generator(options.seed, "preview", "clip").permutation(len(clips))
    if options.clip is not None:
        if options.clip >= len(clips):
            raise OptionError(
                f"option 'clip': found {options.clip}, '{clips.name}' has rows 0 to "
                f"{len(clips) - 1}"
            )
        row, wave = options.clip, _heard(clips, options.clip, mel, options.start)
    else:
        row, wave = _first_heard(clips, order, mel, options.start)
    others, labels = _others(clips, order, row, mel)
    return Clip(
        wave=torch.from_numpy(wave)[None],
        others=torch.from_numpy(np.stack(others) if others else np.zeros((0, len(wave)), "f4")),
        label=_label(clips, row),
        other_labels=tuple(labels),
        name=str(clips.ids[row]),
        file=clips.paths[row],
        mel=mel,
    )


def _first_heard(
    clips: Clips, order: np.ndarray, mel: MelOptions, start: float
) -> tuple[int, Wave]:
    reasons = []
    for row in order[:_TRIES].tolist():
        try:
            return row, _heard(clips, row, mel, start)
        except (AudioError, DataError) as error:
            reasons.append(str(error))
    raise DataError(f"no clip to show: {'; '.join(reasons[:3])}")


def _others(
    clips: Clips, order: np.ndarray, row: int, mel: MelOptions
) -> tuple[list[Wave], list[str]]:
    """Clips of other recordings, and of other classes where there are some."""
    apart = [i for i in order.tolist() if clips.group[i] != clips.group[row]]
    apart.sort(key=lambda i: clips.labels[i] == clips.labels[row])
    waves: list[Wave] = []
    labels: list[str] = []
    for i in apart[:_TRIES]:
        try:
            waves.append(_heard(clips, i, mel, 0.0))
        except (AudioError, DataError):
            continue
        labels.append(_label(clips, i))
        if len(waves) == N_OTHERS:
            break
    return waves, labels


def _heard(clips: Clips, row: int, mel: MelOptions, start: float) -> Wave:
    """Samples of a clip, cut or padded to the front end's duration."""
    begin = float(clips.start_time[row]) + start
    end = float(clips.end_time[row])
    wave, _ = audio.read(
        clips.paths[row], sample_rate=mel.sample_rate, start_time=begin,
        end_time=None if np.isnan(end) else end,
    )  # fmt: skip
    wave = audio.fit_length(wave, mel.n_samples)
    if float(np.abs(wave).max()) < 1e-4:
        raise DataError(
            f"{clips.paths[row]}: silent from {begin:g} to {begin + mel.duration:g} s; give "
            "another --start or --clip"
        )
    return wave


def _label(clips: Clips, row: int) -> str:
    return ", ".join(clips.labels[row])
