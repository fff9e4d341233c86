"""Put a long recording together from short labelled clips, with the times of what is heard in it.

python long_recording.py animals --n-folds 5 --fold 5

writes, into the folder in which it is called, ``quiet/quiet.wav``: five minutes of a made-up place
in which nothing happens; ``field/night.wav``: half an hour at the same place, later, in which up to
eight clips of each class are heard; and ``field/night.txt``: when, as a label track of Audacity.
"""

import argparse
from pathlib import Path

import numpy as np

from semisonic.audio.write import write
from semisonic.core.seeds import generator
from semisonic.data.datasets.load import load_clips
from semisonic.data.formats.convert import write_labels
from semisonic.data.splits import make_folds
from semisonic.data.synth.mixing import CutSound, compose, cut_sounds, synthetic_backgrounds

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("clips", type=Path)
parser.add_argument("--n-folds", type=int, default=5, help="as for 'semisonic data mix'")
parser.add_argument("--fold", type=int, default=5, help="the clips to put into the recording")
parser.add_argument("--minutes", type=float, default=30.0)
parser.add_argument("--per-class", type=int, default=8)
parser.add_argument("--snr-db", type=float, nargs=2, default=(6.0, 20.0))
parser.add_argument("--sample-rate", type=int, default=22050)
parser.add_argument("--seed", type=int, default=0, help="as for 'semisonic data mix'")
options = parser.parse_args()
rate, rng = options.sample_rate, generator(options.seed, "long recording")

clips = load_clips(options.clips, group="copies")
folds = make_folds(clips, options.n_folds, options.seed)  # the same that 'data mix' makes
sounds, _ = cut_sounds(clips[folds == options.fold], rate)
chosen: list[CutSound] = []
for label in clips.classes:
    mine = [sound for sound in sounds if label in sound.labels]
    chosen += [mine[i] for i in rng.permutation(len(mine))[: options.per_class]]

night = synthetic_backgrounds(options.seed, 60 * options.minutes, rate, take=0)
made = compose(chosen, night, rate, file="night.wav", snr_db=tuple(options.snr_db), rng=rng)
write("field/night.wav", made.wave, rate, overload="scale")
write_labels(made.events, Path("field"), "audacity")
write("quiet/quiet.wav", synthetic_backgrounds(options.seed, 300.0, rate, take=1), rate)

lengths = made.events.end_time - made.events.start_time
print(f"field/night.wav: {len(made.wave) / rate / 60:g} min with {len(made.events)} sounds of")
print(f"{np.min(lengths):.2f} to {np.max(lengths):.2f} s; when they are heard: field/night.txt")
