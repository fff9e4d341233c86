"""What this machine can do at most, on one core: transforms, products, memory, decoding.

    python benchmarks/limits.py -o runs/bench/limits.json

Other benchmarks name these beside what they measure. Each is the best of several rounds and
several sizes, as a limit should be. Decoding alone is libsndfile's and, where it is installed,
miniaudio's, through nothing but their own functions.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import soundfile as sf
import soxr
import torch

import material
import measuring
from measuring import Row
from semisonic.features.options import MelOptions

PART = "limits"
_BEST_OF = 9


def best(work: Callable[[], object], rounds: int = _BEST_OF) -> float:
    """The least processor seconds of a call."""
    work()
    times = []
    with measuring.one_core(), torch.inference_mode():
        for _ in range(rounds):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
    return min(times)


def fourier(mel: MelOptions) -> float:
    """Seconds of the bare real FFT of all frames of a clip, by the best way of calling it."""
    frames = torch.randn(mel.n_frames, mel.n_fft)
    found = []
    for n_blocks in (1, 2, 4):
        blocks = frames.tensor_split(n_blocks)
        outputs = [torch.empty(len(b), mel.n_fft // 2 + 1, dtype=torch.complex64) for b in blocks]
        pairs = list(zip(blocks, outputs, strict=True))
        found += [
            best(lambda blocks=blocks: [torch.fft.rfft(b) for b in blocks], 25),
            best(lambda pairs=pairs: [torch.fft.rfft(b, out=out) for b, out in pairs], 25),
        ]
    return min(found)


def product_flops(kind: torch.dtype) -> float:
    """Operations a second of the product of two square matrices."""
    rates = []
    for n in (512, 1024):
        a, b = torch.randn(n, n).to(kind), torch.randn(n, n).to(kind)
        rates.append(2 * n**3 / best(lambda a=a, b=b: a @ b))
    return max(rates)


def convolution_flops(kind: torch.dtype) -> float:
    """Operations a second of a 3 x 3 convolution, 64 to 64 channels, channels last."""
    rates = []
    for size in (16, 32):
        layer = torch.nn.Conv2d(64, 64, 3, padding=1).to(kind)
        layer = layer.to(memory_format=torch.channels_last)
        x = torch.randn(32, 64, size, size).to(kind).to(memory_format=torch.channels_last)
        work = 2 * 32 * size * size * 64 * 64 * 9
        rates.append(work / best(lambda layer=layer, x=x: layer(x)))
    return max(rates)


def bandwidth(n_bytes: int) -> float:
    """Bytes a second, read and written, of a copy of so many bytes."""
    a, b = torch.ones(n_bytes // 4), torch.empty(n_bytes // 4)
    times = max(1, (1 << 26) // n_bytes)
    return 2 * n_bytes * times / best(lambda: [b.copy_(a) for _ in range(times)])


def decoders(files: list[Path]) -> dict[str, Callable[[], object]]:
    """Ways to decode 16-bit or compressed files and nothing else."""
    kind = "int16" if files[0].suffix == ".wav" else "float32"
    ways: dict[str, Callable[[], object]] = {
        "soundfile": lambda: [sf.read(path, dtype=kind) for path in files],
    }
    if files[0].suffix == ".ogg" and importlib.util.find_spec("miniaudio"):
        import miniaudio

        ways["miniaudio"] = lambda: [miniaudio.vorbis_read_file(str(path)) for path in files]
    return ways


def decoding(files: list[Path]) -> float:
    """Seconds to decode the files by the fastest decoder at hand."""
    return min(best(way, 3) for way in decoders(files).values())


def resampling(n: int) -> float:
    """Seconds to take ``n`` clips of 5 s from 44.1 to 22.05 kHz with soxr."""
    x = material.noise(round(material.SECONDS * material.RATE))
    return n * best(lambda: soxr.resample(x, material.RATE, material.RATE // 2, "HQ"))


def measure(data: Path | None) -> list[Row]:
    """All limits; rates stand in the column of our time, in the unit that is named."""
    rows = []
    settings = {
        "28 x 36 of 12288": MelOptions(44100, n_fft=12288, hop_length=6144, n_mels=28),
        "60 x 216 of 1024": MelOptions(n_mels=60),
    }
    for name, mel in settings.items():
        rows.append(Row(PART, f"real FFT, {name}", "ms a clip", 1e3 * fourier(mel)))
    for kind in (torch.float32, torch.bfloat16):
        name = str(kind).removeprefix("torch.")
        rows.append(Row(PART, f"product of matrices, {name}", "GFLOP/s", product_flops(kind) / 1e9))
        rows.append(Row(PART, f"convolution, {name}", "GFLOP/s", convolution_flops(kind) / 1e9))
    for name, n_bytes in (("in the cache", 1 << 19), ("in memory", 1 << 28)):
        rows.append(Row(PART, f"copy {name}", "GB/s", bandwidth(n_bytes) / 1e9))
    with material.clips(data, tuple(material.FORMATS)) as tables:
        for kind, clips in tables.items():
            for name, way in decoders(list(clips.paths)).items():
                ms = 1e3 * best(way, 3) / len(clips)
                rows.append(Row(PART, f"decode {kind}, {name}", "ms a clip", ms))
    rows.append(Row(PART, "resample 44.1 to 22.05 kHz, soxr", "ms a clip", 1e3 * resampling(1)))
    return rows


if __name__ == "__main__":
    measuring.main(__doc__, measure)
