from pathlib import Path

import numpy as np

from semisonic.audio import write
from semisonic.data import load_clips
from semisonic.experiments.material import without_near_copies

RATE = 16000


def burst(seed: int) -> np.ndarray:
    """Three seconds of noise that swells and fades at random."""
    rng = np.random.default_rng(seed)
    swell = np.interp(np.linspace(0, 30, 3 * RATE), np.arange(31), rng.random(31))
    return (0.4 * swell * rng.uniform(-1, 1, 3 * RATE)).astype(np.float32)


def test_a_copy_that_was_encoded_anew_leaves_the_pool(tmp_path: Path) -> None:
    for name in ("labelled/a", "labelled/b", "pool"):
        (tmp_path / name).mkdir(parents=True)
    write(tmp_path / "labelled" / "a" / "x.wav", burst(1), RATE)
    write(tmp_path / "labelled" / "b" / "y.wav", burst(2), RATE)
    write(tmp_path / "pool" / "again.ogg", 0.5 * burst(1), RATE)
    write(tmp_path / "pool" / "x.wav", burst(3), RATE)
    labelled = load_clips(tmp_path / "labelled")
    pool = load_clips(tmp_path / "pool", labels="none")

    kept, n_dropped = without_near_copies(pool, labelled)

    assert n_dropped == 1
    assert kept.file.tolist() == ["x.wav"]
