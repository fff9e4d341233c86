from pathlib import Path

import numpy as np
import soundfile as sf

from semisonic.data import Clips
from semisonic.experiments.material import gather
from semisonic.features import MelOptions

RATE = 8000
MEL = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)


def table(folder: Path, rows: list[dict[str, object]], seed: int) -> Clips:
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for row in rows:
        sf.write(folder / str(row["file"]), 0.1 * rng.standard_normal(RATE // 2), RATE)
    return Clips.from_rows(folder, rows, name=folder.name)


def test_files_of_one_name_in_two_folders_are_two_recordings(tmp_path: Path) -> None:
    """But a recording's own name, such as a number at Freesound, is the same in both."""
    labelled = table(
        tmp_path / "labelled",
        [
            {"file": "1.wav", "labels": "a", "fold": 1},
            {"file": "2.wav", "labels": "b", "fold": 2},
            {"file": "3.wav", "labels": "b", "fold": 2, "group": "freesound-7"},
        ],
        seed=1,
    )
    pool = table(
        tmp_path / "pool", [{"file": "1.wav"}, {"file": "9.wav", "group": "freesound-7"}], seed=2
    )
    material = gather(labelled, pool, [MEL], tmp_path / "cache", seed=0)
    assert material.pool.group.tolist() == ["pool: 1.wav", "freesound-7"]
