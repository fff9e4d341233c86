"""Log-mel on one core: our extractor against librosa and plain PyTorch.

    python benchmarks/frontend.py -o runs/bench/frontend.json

Decoding and resampling are not counted. The limit is the bare real FFT of the frames of one clip,
already cut and windowed, again and again in the same rounds; ``limits.py`` has the best that can
be made of it. The results are compared with librosa's, too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import alternatives
import material
import measuring
from measuring import Row
from semisonic.features.logmel import MelExtractor
from semisonic.features.options import MelOptions

PART, N, WORST_DB, LIMIT = "front end", 24, 1e-3, "bare real FFT"
SETTINGS = {
    "60 x 216 (1024/512, 22.05 kHz)": MelOptions(n_mels=60),
    "64 x 216 (default)": MelOptions(),
    "28 x 36 (the paper's)": MelOptions(44100, n_fft=12288, hop_length=6144, n_mels=28),
    "128 x 501 (1024/320, 32 kHz)": MelOptions(32000, n_fft=1024, hop_length=320, n_mels=128),
}


def measure(data: Path | None) -> list[Row]:
    rows = []
    for name, mel in SETTINGS.items():
        waves = [material.noise(mel.n_samples, seed) for seed in range(8)] * (N // 8)
        batch = torch.from_numpy(np.stack(waves))
        frames = cut(waves[0], mel)
        extractor, plain = MelExtractor(mel), alternatives.PlainMel(mel)
        check(extractor(waves[0])[0], alternatives.librosa_mel(waves[0], mel))
        times = measuring.take_turns(
            {
                "ours": lambda waves=waves, extract=extractor: [extract(x) for x in waves],
                "librosa": lambda waves=waves, mel=mel: [
                    alternatives.librosa_mel(x, mel) for x in waves
                ],
                "torch.stft, a clip at a time": lambda waves=waves, plain=plain: [
                    plain(torch.from_numpy(x)[None]) for x in waves
                ],
                LIMIT: lambda frames=frames: [torch.fft.rfft(frames) for _ in range(N)],
                "torch.stft, a batch": lambda batch=batch, plain=plain: plain(batch),
            },
            9,
        )
        rows += measuring.compare(
            PART,
            name,
            times,
            ours="ours",
            n=N,
            limit=LIMIT,
            against=("librosa", "torch.stft, a clip at a time", "torch.stft, a batch"),
        )
    return rows


def cut(wave: np.ndarray, mel: MelOptions) -> torch.Tensor:
    """Frames (frame, n_fft), windowed."""
    padded = np.pad(wave, mel.n_fft // 2, mode="reflect")
    return torch.from_numpy(padded).unfold(0, mel.n_fft, mel.hop_length) * torch.hann_window(
        mel.n_fft
    )


def check(found: np.ndarray, expected: np.ndarray) -> None:
    """See that cells less than 70 dB below the loudest of their frame agree."""
    audible = expected > expected.max(axis=0) - 70
    worst = float(np.abs(found - expected)[audible].max())
    if worst > WORST_DB:
        raise SystemExit(f"the front end differs from librosa by {worst:.2g} dB")


if __name__ == "__main__":
    measuring.main(__doc__, measure)
