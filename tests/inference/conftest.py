"""Tiny recordings of three kinds of sound that are easy to tell apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from semisonic.base.seeds import generator
from semisonic.features import MelOptions
from semisonic.training import FitOptions

RATE = 8000
KINDS = ("hiss", "hum", "sweep")
MEL = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
NOTATION = "(8)3c-2p-(8)3c-2p-16fcr"
QUICK = FitOptions(epochs=12, batch_size=8, learning_rate=5e-3, monitor="val_choice")
QUICK_PRETRAIN = FitOptions(epochs=2, batch_size=8, learning_rate=3e-3)


def sound(kind: str, number: int, duration: float = 0.5) -> np.ndarray:
    """A sound of a kind; each number is another recording."""
    rng = generator(number, "test sound", kind)
    time = np.arange(round(duration * RATE)) / RATE
    if kind == "hiss":
        wave = rng.normal(0, 0.15, len(time))
    elif kind == "hum":
        wave = 0.4 * np.sin(2 * np.pi * rng.uniform(150, 300) * time)
    else:
        low, high = rng.uniform(800, 1200), rng.uniform(2500, 3500)
        wave = 0.4 * np.sin(2 * np.pi * (low + (high - low) * time / duration / 2) * time)
    return (wave + rng.normal(0, 0.01, len(time))).astype(np.float32)


def write_kinds(folder: Path, n: int, first: int = 0, suffix: str = ".wav") -> Path:
    """A folder of class folders with ``n`` recordings each."""
    for kind in KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + n):
            sf.write(folder / kind / f"{number:02d}{suffix}", sound(kind, number), RATE)
    return folder


@pytest.fixture(scope="session")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight recordings of each kind, in class folders."""
    return write_kinds(tmp_path_factory.mktemp("kinds"), 8)


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four other recordings of each kind, in class folders."""
    return write_kinds(tmp_path_factory.mktemp("others"), 4, first=100)


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four recordings without labels."""
    folder = tmp_path_factory.mktemp("pool")
    for number in range(24):
        sf.write(folder / f"{number:02d}.wav", sound(KINDS[number % 3], 200 + number), RATE)
    return folder


@pytest.fixture(scope="session")
def trained(kinds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a quick training on all kinds."""
    from semisonic.inference import TrainOptions, train

    output = tmp_path_factory.mktemp("runs") / "train"
    train(TrainOptions(data=kinds, output=output, model=NOTATION, mel=MEL, fit=QUICK, device="cpu"))
    return output
