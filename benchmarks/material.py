"""Clips for the benchmarks: some recordings of a folder, or synthetic ones, in several formats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile as sf

from semisonic.audio.find import find_audio
from semisonic.audio.read import read
from semisonic.audio.resample import fit_length
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import gather
from semisonic.data.options import SynthOptions
from semisonic.data.synth.dataset import make_synth

RATE, SECONDS, N_CLIPS = 44100, 5.0, 24
FORMATS = {"wav": "PCM_16", "flac": "PCM_16", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}


@contextmanager
def clips(
    data: Path | None, formats: tuple[str, ...], n: int = N_CLIPS
) -> Iterator[dict[str, Clips]]:
    """The same ``n`` clips of 5 s, 44.1 kHz, mono, in each format, in a folder for a while."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        if data is None:
            data = folder / "synth"
            make_synth(data, SynthOptions(n_pool=0, clips_per_class=10, sample_rate=RATE))
        found = find_audio(data)
        chosen = [found[i] for i in np.linspace(0, len(found) - 1, n).astype(int)]
        tables = {}
        for kind in formats:
            files = []
            for number, path in enumerate(chosen):
                x, _ = read(path, sample_rate=RATE)
                files.append(folder / f"{number:03d}.{kind}")
                x = np.clip(fit_length(x, round(SECONDS * RATE)), -1, 1)
                sf.write(files[-1], x, RATE, subtype=FORMATS[kind])
            tables[kind] = gather(files)[0]
        yield tables


def noise(n_samples: int, seed: int = 0) -> np.ndarray:
    """A tone in noise, float32."""
    tone = 0.3 * np.sin(0.1 * np.arange(n_samples))
    wave = tone + 0.05 * np.random.default_rng(seed).standard_normal(n_samples)
    return wave.astype(np.float32)
