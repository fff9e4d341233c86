from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from semisonic.base.errors import DataError
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


def test_a_cache_that_another_run_wrote_anew_is_not_read(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"file": f"{i}.wav", "labels": "ab"[i % 2], "fold": 1 + i % 2} for i in range(6)
    ]
    labelled = table(tmp_path / "labelled", rows, seed=1)
    cache = tmp_path / "cache"
    first = gather(labelled, None, [MEL], cache, seed=0).table(MEL)
    assert len(first.open()) == 6
    again = gather(labelled, None, [MEL], cache, seed=0).table(MEL)
    assert len(first.open()) == len(again.open()) == 6  # nothing was written
    gather(labelled[np.arange(4)], None, [MEL], cache, seed=0)
    with pytest.raises(DataError, match="another run with the same cache"):
        first.open()
