"""A pool is left without the sounds of labelled clips, whatever they are called."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from semisonic.audio.write import write
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.duplicates import clean_pool

RATE = 16000


def burst(seed):
    """Three seconds of noise that swells and fades at random."""
    rng = np.random.default_rng(seed)
    swell = np.interp(np.linspace(0, 30, 3 * RATE), np.arange(31), rng.random(31))
    return (0.4 * swell * rng.uniform(-1, 1, 3 * RATE)).astype(np.float32)


@pytest.fixture
def labelled(tmp_path):
    for kind, seed in (("a", 1), ("b", 2)):
        (tmp_path / "labelled" / kind).mkdir(parents=True)
        write(tmp_path / "labelled" / kind / "x.wav", burst(seed), RATE)
    return load_clips(tmp_path / "labelled")


def pool(folder, sounds):
    for name, wave in sounds.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write(folder / name, wave, RATE)
    return load_clips(folder, labels="none")


def test_a_copy_that_was_encoded_anew_leaves_the_pool(labelled, tmp_path):
    sounds = {"again.ogg": 0.5 * burst(1), "x.wav": burst(3)}
    found = clean_pool(pool(tmp_path / "pool", sounds), labelled)
    assert found.clips.file.tolist() == ["x.wav"]
    assert found.notes() == [
        "1 clip of the pool is the same sound as labelled clips, cut or encoded anew, and left out."
    ]


def test_a_near_copy_of_the_same_name_leaves_the_pool(labelled, tmp_path):
    """A pool that is the labelled set in another quality has the same folders and names."""
    sounds = {"a/x.wav": 0.5 * burst(1), "b/x.wav": burst(7)}
    found = clean_pool(pool(tmp_path / "pool", sounds), labelled)
    assert found.clips.file.tolist() == ["b/x.wav"]


def test_only_bytes_are_compared_when_asked_so(labelled, tmp_path):
    clips = pool(tmp_path / "pool", {"again.ogg": 0.5 * burst(1), "new.wav": burst(3)})
    shutil.copy(tmp_path / "labelled" / "b" / "x.wav", tmp_path / "pool" / "copy.wav")
    clips = load_clips(tmp_path / "pool", labels="none")
    found = clean_pool(clips, labelled, near=False)
    assert (found.n_copies, found.n_near_copies) == (1, 0)
    assert found.clips.file.tolist() == ["again.ogg", "new.wav"]


def test_copies_among_labelled_clips_cost_the_pool_nothing(tmp_path):
    sounds = {"a/1.wav": burst(1), "b/2.wav": 0.5 * burst(1)}
    labelled = pool(tmp_path / "labelled", sounds)
    clips = pool(tmp_path / "pool", {"1.wav": burst(5), "2.wav": burst(6)})
    found = clean_pool(clips, labelled)
    assert len(found.clips) == 2
    assert found.notes() == []


def test_all_parts_of_a_copied_file_go(labelled: Clips, tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    shutil.copy(tmp_path / "labelled" / "b" / "x.wav", tmp_path / "pool" / "copy.wav")
    rows = [{"file": "copy.wav", "start_time": s, "end_time": s + 1.0} for s in (0.0, 1.0)]
    found = clean_pool(Clips.from_rows(tmp_path / "pool", rows), labelled, near=False)
    assert (len(found.clips), found.n_copies) == (0, 1)
    assert found.notes() == ["1 file of the pool is a copy of labelled recordings, and left out."]
