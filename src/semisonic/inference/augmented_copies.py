"""Changed copies of training clips, as files in the cache.

Papers: Piczak 2015 (delay, pitch and stretch within limits of each class); Salamon and Bello
2017, "Deep convolutional neural networks and data augmentation" (copies of each kind).

Where we differ from what was published with such copies: every copy draws its own change, at
the clip's own sample rate, a signal-to-noise ratio is what it says, and copies of a test clip
do not exist for training or testing.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semisonic.audio import read, write
from semisonic.base.errors import AudioError
from semisonic.base.files import digest
from semisonic.base.progress import track
from semisonic.base.seeds import derive
from semisonic.data.clips import Clips
from semisonic.data.features_store import one_torch_thread
from semisonic.features.augment import wave
from semisonic.inference.segment_options import CLASS_WISE, EITHER, PINK, PITCH, STRETCH, WHITE

SEMITONES = 4.0
FACTORS = (0.8, 1.2)
SNR_DB = (10.0, 17.0)
_NOTHING = np.zeros(0, np.float32)
_VERSION = 2  # raise when the same clips and options give other copies

_log = logging.getLogger(__name__)

Change = Callable[[Tensor, Tensor], Tensor]
"""A wave (1, time) and its class number (1,) to a changed wave."""


def augmented_copies(
    clips: Clips, kinds: Sequence[str], cache: Path, *, sample_rate: int, seed: int
) -> tuple[Clips, NDArray[np.int64]]:
    """Make the copies that are not there yet.

    Parameters
    ----------
    clips : Clips
        With one label each.
    kinds : sequence of str
        What each copy of a clip is changed by: of ``COPIES``; one may be there several times.
    cache : Path
        Folder that the files are kept below: 16-bit flac at ``sample_rate``.
    sample_rate : int
        Hz.
    seed : int

    Returns
    -------
    copies : Clips
        Labels, groups and folds are those of the clips they were made from. The name tells the
        kinds, as features are kept by the name of their table.
    source : ndarray of int64
        The row that each copy was made from. A clip that cannot be read has no copies.
    """
    changes = {kind: _change(kind, clips, sample_rate) for kind in dict.fromkeys(kinds)}
    folder = (
        cache / "copies" / digest(clips.root.resolve(), sample_rate, seed, clips.classes, _VERSION)
    )
    folder.mkdir(parents=True, exist_ok=True)
    target = clips.target()
    files: list[str] = []
    source: list[int] = []
    numbered = _numbered(kinds)
    for row in track(range(len(clips)), "copies", "clip"):
        key = _key(clips, row)
        names = [f"{key}-{one}.flac" for one in numbered]
        missing = [k for k, name in enumerate(names) if not (folder / name).is_file()]
        try:
            x = torch.from_numpy(_samples(clips, row, sample_rate) if missing else _NOTHING)[None]
        except AudioError as error:
            _log.warning("no copies of %s: %s", clips.paths[row], error.reason)
            continue
        for k in missing:
            # One clip is too little for several threads: they would wait for each other.
            with one_torch_thread(), torch.random.fork_rng(devices=[]):
                # Not of the key: a copy of the data set elsewhere has files of another time.
                torch.manual_seed(derive(seed, "copy", clips.ids[row], numbered[k]) % (1 << 31))
                changed = changes[kinds[k]](x, torch.tensor([target[row]]))
            write(folder / names[k], changed[0].numpy(), sample_rate, overload="scale")
        files += names
        source += [row] * len(names)
    rows = np.array(source, np.int64)
    copies = clips[rows].with_columns(
        file=np.array(files, dtype=np.str_), start_time=np.zeros(len(rows)),
        end_time=np.full(len(rows), np.nan), root=folder,
        name=f"{clips.name}, copies: {', '.join(kinds)}",
    )  # fmt: skip
    return copies, rows


def _change(kind: str, clips: Clips, rate: int) -> Change:
    """What a kind of copy is changed by."""
    if kind == CLASS_WISE:
        limits = wave.piczak_limits(clips.classes)
        return wave.ClassWise(rate, clips.classes, limits, wave.PICZAK_OTHERS)
    if kind == EITHER:
        both = [_change(one, clips, rate) for one in (PITCH, STRETCH)]
        return lambda x, y: both[int(torch.rand(()) < 0.5)](x, y)
    one = {
        PITCH: wave.PitchShift(rate, SEMITONES),
        STRETCH: wave.Stretch(rate, *FACTORS),
        WHITE: wave.WhiteNoise(rate, *SNR_DB),
        PINK: wave.PinkNoise(rate, *SNR_DB),
    }[kind]
    return lambda x, _: one(x)


def _key(clips: Clips, row: int) -> str:
    """Of a clip's copies: its file and when that changed, what is cut of it, and its label."""
    path = Path(clips.paths[row])
    changed = path.stat().st_mtime_ns if path.is_file() else 0
    return digest(clips.ids[row], clips.labels[row], changed)


def _numbered(kinds: Sequence[str]) -> list[str]:
    """The kinds, each with how often it stood there before."""
    seen: Counter[str] = Counter()
    found = []
    for kind in kinds:
        found.append(f"{kind}-{seen[kind]}")
        seen[kind] += 1
    return found


def _samples(clips: Clips, row: int, rate: int) -> NDArray[np.float32]:
    end = float(clips.end_time[row])
    x, _ = read(
        clips.paths[row], sample_rate=rate, start_time=float(clips.start_time[row]),
        end_time=None if np.isnan(end) else end,
    )  # fmt: skip
    return x
