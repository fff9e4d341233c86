"""Which copies are found, what else is taken for a copy, and how fast a pool is searched.

    python benchmarks/copies.py --data path/to/data -o benchmarks/results/copies.json

The data are folders ``esc10``, ``animals`` and ``urbansound8k_part``. Copies are made from ESC-10:
each clip is changed, looked up among all 400, and also put into an hour of noise. Clips of one
Freesound recording are left out of what else is found. One core, processor time.
"""

# ruff: noqa: E402  (thread counts must be set before numpy is imported)
from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import io
import re
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from measuring import head
from semisonic.audio.read import read
from semisonic.audio.resample import resample
from semisonic.core.files import write_json
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.duplicates import clean_pool, find_duplicates
from semisonic.data.fingerprints import SAMPLE_RATE, Fingerprint, clip_fingerprints, fingerprint
from semisonic.data.sound_index import SoundIndex

Wave = NDArray[np.float32]
SETS = ("esc10", "animals", "urbansound8k_part")
NOISE_DB = (20, 10, 5, 0)
HOURS = (1, 4)


def encoded(x: Wave, rate: int, kind: str) -> tuple[Wave, int]:
    """The sound after the lowest quality of a lossy encoder."""
    data = io.BytesIO()
    sf.write(data, x, rate, format=kind, compression_level=0.99)
    data.seek(0)
    y, _ = sf.read(data, dtype="float32")
    return np.asarray(y, np.float32), rate


def at_rate(x: Wave, rate: int, new: int) -> tuple[Wave, int]:
    return resample(x, rate, new), new


CHANGES: dict[str, Callable[[Wave, int], tuple[Wave, int]]] = {
    "20 dB quieter": lambda x, r: (0.1 * x, r),
    "Ogg, lowest quality": lambda x, r: encoded(0.5 * x, r, "OGG"),
    "MP3, lowest rate": lambda x, r: encoded(0.5 * x, r, "MP3"),
    "16 kHz, MP3, lowest rate": lambda x, r: encoded(*at_rate(x, r, 16000), "MP3"),
    "8 kHz": lambda x, r: at_rate(x, r, 8000),
    "without the first 3 s": lambda x, r: (x[3 * r :], r),
    "the second second": lambda x, r: (x[r : 2 * r], r),
    "without 1 s, quieter, Ogg": lambda x, r: encoded(0.2 * x[r + 77 :], r, "OGG"),
}


def is_audible(x: Wave) -> bool:
    return bool((x * x).mean() > 1e-7)


def changed_copies(clips: Clips, index: SoundIndex) -> dict[str, Any]:
    """Share of changed clips for which the original is found, and others that are found."""
    found: dict[str, Any] = {}
    recording = clips.group.tolist()
    for name, change in CHANGES.items():
        n = n_found = n_wrong = 0
        for row, path in enumerate(clips.paths):
            x, rate = read(path)
            y, new_rate = change(x, rate)
            if not is_audible(y):
                continue
            rows = [one.row for one in index.find(printed(y, new_rate))]
            n += 1
            n_found += row in rows
            n_wrong += any(recording[other] != recording[row] for other in rows)
        found[name] = {"copies": n, "found": n_found, "with_another_recording": n_wrong}
        print(name, found[name], flush=True)
    return found


def in_an_hour(clips: Clips, index: SoundIndex) -> dict[str, Any]:
    """Share of clips that are found where they stand in an hour of noise, by their level in it."""
    found: dict[str, Any] = {}
    every = [row for row in range(0, len(clips), 4) if is_audible(read(clips.paths[row])[0])]
    for snr in NOISE_DB:
        rng = np.random.default_rng(snr)
        hour = rng.normal(0, 1, 3600 * SAMPLE_RATE).astype(np.float32)
        starts = {}
        for place, row in enumerate(every):
            x, _ = read(clips.paths[row], sample_rate=SAMPLE_RATE)
            start = round((30 * place + rng.uniform(0, 20)) * SAMPLE_RATE)
            hour[start : start + len(x)] += 10 ** (snr / 20) * x / np.sqrt((x * x).mean())
            starts[row] = start / SAMPLE_RATE
        n_found = n_wrong = 0
        for one in index.find(fingerprint([0.02 * hour])):
            there = starts.get(one.row)
            is_right = there is not None and abs(there + one.match.offset_time) < 0.1
            n_found, n_wrong = n_found + is_right, n_wrong + (not is_right)
        found[f"{snr} dB above the noise"] = {
            "clips": len(every),
            "found": n_found,
            "elsewhere": n_wrong,
        }
        print(snr, found[f"{snr} dB above the noise"], flush=True)
    return found


def printed(x: Wave, rate: int) -> Fingerprint:
    return fingerprint([resample(x, rate, SAMPLE_RATE)])


def freesound(file: str) -> str:
    """The recording on Freesound that a clip is from, of ESC-50 and UrbanSound8K, or its file."""
    one = re.search(r"(?:^|/)[1-5]-(\d+)-[A-Z]|(?:^|/)(\d+)-\d+-\d+-\d+\.", file)
    return file if one is None else one[1] or one[2]


def others(folder: Path) -> dict[str, Any]:
    """Pairs found in a set as it is, and those of two recordings, by name."""
    clips = load_clips(folder)
    start = time.process_time()
    pairs = find_duplicates(clips, workers=1)
    seconds = time.process_time() - start
    apart = [p for p in pairs if freesound(p.first) != freesound(p.second)]
    other_class = [p for p in apart if not p.same_labels]
    found = {
        "clips": len(clips),
        "seconds": round(seconds, 1),
        "pairs": len(pairs),
        "of_two_recordings": len(apart),
        "of_two_classes": [str(pair) for pair in other_class],
    }
    if len(apart) <= 40:
        found["pairs_of_two_recordings"] = [str(pair) for pair in apart]
    print(folder.name, {k: v for k, v in found.items() if not isinstance(v, list)}, flush=True)
    return found


def speed(clips: Clips, hours: int, suffix: str) -> dict[str, Any]:
    """Cleaning a pool of one long recording; its hours a minute of one core, and the memory."""
    rng = np.random.default_rng(hours)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"night{suffix}"
        with sf.SoundFile(path, "w", 16000, 1) as file:
            for minute in range(60 * hours):
                x = rng.normal(0, 0.05, 60 * 16000).astype(np.float32)
                y, _ = read(clips.paths[minute % len(clips)], sample_rate=16000)
                x[: len(y)] += y
                file.write(x)
        n_bytes = path.stat().st_size
        pool = Clips.from_rows(place, [{"file": path.name}])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        cleaned = clean_pool(pool, clips, workers=1)
        seconds = time.process_time() - start
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        clean_pool(pool[:0], clips, workers=1)
        alone = time.process_time() - start
        start = time.process_time()
        ((_, one),) = clip_fingerprints(pool, workers=1)
        assert isinstance(one, Fingerprint)
        of_print = time.process_time() - start
        index = SoundIndex([one])
        in_index = index._number.nbytes + index._place.nbytes
        in_index += index._frame.nbytes + index._owner.nbytes
    return {
        "hours": hours,
        "format": suffix,
        "file_mb": round(n_bytes / 1e6, 1),
        "pieces_left": len(cleaned.clips),
        "seconds": round(seconds, 1),
        "seconds_of_fingerprint": round(of_print, 1),
        "seconds_of_the_400_clips": round(alone, 1),
        "hours_a_minute_of_one_core": round(60 * hours / seconds, 1),
        "peaks_a_second": round(len(one) / 3600 / hours, 1),
        "packed_bytes_an_hour": round(len(one.packed()) / hours),
        "fingerprint_bytes_an_hour": round((one.frame.nbytes + one.bin.nbytes) / hours),
        "index_bytes_an_hour": round(in_index / hours),
        "more_resident_mb": round((after - before) / 1024, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    clips = load_clips(options.data / "esc10")
    speeds = [
        speed(clips, hours, suffix) for suffix in (".wav", ".flac", ".ogg") for hours in HOURS
    ]
    print(*speeds, sep="\n", flush=True)
    prints = [one for _, one in clip_fingerprints(clips, workers=1)]
    index = SoundIndex([one for one in prints if isinstance(one, Fingerprint)])
    record: dict[str, Any] = {
        "what": "copies of sounds: those found, those wrongly found, speed and memory",
        **head("python benchmarks/copies.py --data path/to/data -o FILE", [0]),
        "speed": speeds,
    }
    write_json(options.output, record)  # after each part, as the next ones take long
    record["sets"] = {name: others(options.data / name) for name in SETS}
    write_json(options.output, record)
    record["clips_in_an_hour"] = in_an_hour(clips, index)
    write_json(options.output, record)
    record["changed_clips"] = changed_copies(clips, index)
    write_json(options.output, record)


if __name__ == "__main__":
    main()
