"""What people write without Semisonic, for the benchmarks: the same work, by named libraries."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import librosa
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from semisonic.audio.resample import fit_length
from semisonic.features.logmel import filters_of
from semisonic.features.options import MelOptions

Array = NDArray[np.float32]


def librosa_wave(path: Path, mel: MelOptions) -> Array:
    """Decoded and resampled (soxr, HQ), cut or filled to the clip's length."""
    return fit_length(librosa.load(path, sr=mel.sample_rate)[0], mel.n_samples)


def librosa_mel(wave: Array, mel: MelOptions) -> Array:
    """Log-mel in dB, shape (mel, frame)."""
    power = librosa.feature.melspectrogram(
        y=wave,
        sr=mel.sample_rate,
        n_fft=mel.n_fft,
        hop_length=mel.hop_length,
        n_mels=mel.n_mels,
        pad_mode="reflect",
    )
    decibel: Array = librosa.power_to_db(power, top_db=None)
    return decibel


def librosa_features(path: Path, mel: MelOptions) -> Array:
    """From a file to log-mel."""
    return librosa_mel(librosa_wave(path, mel), mel)


class LibrosaProcesses:
    """librosa in a pool of processes, a clip a task; start it before the clock runs."""

    def __init__(self, n: int = 2) -> None:
        self._pool = ProcessPoolExecutor(n)

    def __call__(self, files: Sequence[Path], mel: MelOptions) -> float:
        """Features of all; the processor seconds of the other processes."""
        results = self._pool.map(_timed_features, files, [mel] * len(files), chunksize=4)
        return float(sum(seconds for _, seconds in results))

    def close(self) -> None:
        self._pool.shutdown()


def _timed_features(path: Path, mel: MelOptions) -> tuple[Array, float]:
    torch.set_num_threads(1)
    start = time.process_time()
    return librosa_features(path, mel), time.process_time() - start


class PlainMel:
    """``torch.stft``, a product with the mel bands, decibels; waves (batch, time)."""

    def __init__(self, mel: MelOptions) -> None:
        self._mel = mel
        self._window = torch.hann_window(mel.n_fft)
        self._filters = torch.from_numpy(filters_of(mel)).float()

    @torch.inference_mode()
    def __call__(self, waves: Tensor) -> Tensor:
        spectrum = torch.stft(
            waves,
            self._mel.n_fft,
            self._mel.hop_length,
            window=self._window,
            pad_mode="reflect",
            return_complex=True,
        )
        power = torch.matmul(self._filters, spectrum.abs().square())
        return 10 * power.clamp(min=1e-10).log10()


def statistics_of(path: Path, mel: MelOptions) -> Array:
    """Mean and deviation of 20 MFCC over frames, as in the baselines of ESC-50 (Piczak 2015)."""
    cepstra = librosa.feature.mfcc(
        y=librosa_wave(path, mel),
        sr=mel.sample_rate,
        n_mfcc=20,
        n_fft=mel.n_fft,
        hop_length=mel.hop_length,
        n_mels=mel.n_mels,
    )
    return np.concatenate([cepstra.mean(axis=1), cepstra.std(axis=1)])


def classical(n_classes: int = 10) -> Pipeline:
    """A fitted pipeline of scikit-learn on such statistics; what it has learnt does not matter."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20 * n_classes, 40)), np.arange(20 * n_classes) % n_classes
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(x, y)
