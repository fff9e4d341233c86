"""Compose a long recording from short labelled clips, with a label track of the sounds in it.

python long_recording.py animals --n-folds 5 --fold 5

writes three files into the current folder: ``quiet/quiet.wav``, five minutes of a synthetic place
without sounds; ``field/night.wav``, half an hour at the same place, later, with up to eight clips
of each class; and ``field/night.txt``, their times as a label track of Audacity.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.write import write
from semisonic.core.errors import AudioError
from semisonic.core.seeds import generator
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.events import Events, make_events
from semisonic.data.formats.label_files import write_labels
from semisonic.data.splits import make_folds
from semisonic.data.synth.mixing import add_sound, read_sound, rms, synthetic_backgrounds

Wave = NDArray[np.float32]
MARGIN = 0.5
"""Seconds without a sound at both ends."""


class Sound(NamedTuple):
    """The sound of a clip: samples of shape (n,), labels, the clip's row and recording."""

    wave: Wave
    labels: tuple[str, ...]
    row: int
    group: str


def cut_sounds(clips: Clips, sample_rate: int) -> list[Sound]:
    """The longest segment of sound of each labelled clip, where there is one."""
    sounds = []
    for row in np.flatnonzero(clips.is_labelled).tolist():
        try:
            wave, _ = read_sound(clips, row, sample_rate)
        except AudioError as error:
            print(error)
            continue
        if wave is not None:
            sounds.append(Sound(wave, clips.labels[row], row, str(clips.group[row])))
    return sounds


def compose(
    sounds: Sequence[Sound],
    background: Wave,
    sample_rate: int,
    *,
    file: str,
    snr_db: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[Wave, Events]:
    """Put sounds into a background, in random order with random pauses; none overlap."""
    wave, level = background.astype(np.float32), rms(background)
    margin = round(MARGIN * sample_rate)
    free = len(wave) - 2 * margin - sum(len(sound.wave) for sound in sounds)
    if free < 0:
        raise ValueError(f"{-free / sample_rate:.1f} s more are needed for {len(sounds)} sounds")
    pauses = np.sort(rng.integers(0, free + 1, len(sounds)))
    rows, n_placed = [], 0
    for pause, i in zip(pauses.tolist(), rng.permutation(len(sounds)).tolist(), strict=True):
        sound = sounds[i]
        at = margin + pause + n_placed
        n_placed += len(sound.wave)
        snr = float(rng.uniform(*snr_db))
        if add_sound(wave, sound.wave, at, snr, level, sample_rate) is None:
            continue  # silence is no event
        times = {"start_time": at / sample_rate, "end_time": (at + len(sound.wave)) / sample_rate}
        rows += [{"file": file, "label": label, **times} for label in sound.labels]
    return wave, make_events(rows)


def main() -> None:
    """Write the recordings and the label track."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--n-folds", type=int, default=5, help="as for 'semisonic data mix'")
    parser.add_argument("--fold", type=int, default=5, help="fold of the clips to use")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--per-class", type=int, default=8)
    parser.add_argument("--snr-db", type=float, nargs=2, default=(6.0, 20.0))
    parser.add_argument("--sample-rate", type=int, default=22050)
    parser.add_argument("--seed", type=int, default=0, help="as for 'semisonic data mix'")
    options = parser.parse_args()
    rate, rng = options.sample_rate, generator(options.seed, "long recording")

    clips = load_clips(options.clips, group="copies")
    folds = make_folds(clips, options.n_folds, options.seed)  # the same that 'data mix' makes
    clips = clips[folds == options.fold]
    sounds = cut_sounds(clips, rate)
    chosen: list[Sound] = []
    for label in clips.classes:
        mine = [sound for sound in sounds if label in sound.labels]
        chosen += [mine[i] for i in rng.permutation(len(mine))[: options.per_class]]

    night = synthetic_backgrounds(options.seed, 60 * options.minutes, rate, take=0)
    snr_db = tuple(options.snr_db)
    wave, events = compose(chosen, night, rate, file="night.wav", snr_db=snr_db, rng=rng)
    write("field/night.wav", wave, rate, overload="scale")
    write_labels(events, Path("field"), "audacity")
    write("quiet/quiet.wav", synthetic_backgrounds(options.seed, 300.0, rate, take=1), rate)

    lengths = events.end_time - events.start_time
    print(f"field/night.wav: {len(wave) / rate / 60:g} min with {len(events)} sounds of")
    print(f"{np.min(lengths):.2f} to {np.max(lengths):.2f} s; their times: field/night.txt")


if __name__ == "__main__":
    main()
