from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from semisonic.classifier.config import SegmentOptions
from semisonic.core.errors import DataError
from semisonic.data.clips import Clips
from semisonic.experiments.material import WHOLE, gather
from semisonic.features.options import MelOptions

RATE = 8000
MEL = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
INPUT = (MEL, WHOLE)


def table(folder: Path, rows: list[dict[str, object]], seed: int) -> Clips:
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for row in rows:
        sf.write(folder / str(row["file"]), 0.1 * rng.standard_normal(RATE // 2), RATE)
    return Clips.from_rows(folder, rows, name=folder.name)


def test_files_of_one_name_in_two_folders_are_two_recordings(tmp_path) -> None:
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
    material = gather(labelled, pool, [INPUT], tmp_path / "cache", seed=0)
    assert material.pool.group.tolist() == ["pool: 1.wav", "freesound-7"]


def test_another_run_with_the_same_cache_disturbs_nothing(tmp_path) -> None:
    rows: list[dict[str, object]] = [
        {"file": f"{i}.wav", "labels": "ab"[i % 2], "fold": 1 + i % 2} for i in range(6)
    ]
    labelled = table(tmp_path / "labelled", rows, seed=1)
    first = gather(labelled, None, [INPUT], tmp_path / "cache", seed=0).table(MEL).features
    before = first[:]
    (labelled.root / "0.wav").write_bytes((labelled.root / "1.wav").read_bytes())
    other = gather(labelled[np.arange(4)], None, [INPUT], tmp_path / "cache", seed=0).table(MEL)
    np.testing.assert_array_equal(first[:], before)
    np.testing.assert_array_equal(other.features[0], before[1])


def test_it_is_said_where_no_clip_names_its_recording_and_only_there(tmp_path) -> None:
    nameless = "No clip names the recording"
    bare = [{"file": f"{i}.wav", "labels": "ab"[i % 2], "fold": 1 + i // 4} for i in range(8)]
    named = [{**row, "group": f"freesound{i}"} for i, row in enumerate(bare)]  # all of their own
    for rows, said in ((bare, True), (named, False)):
        labelled = table(tmp_path / f"said-{said}", rows, seed=1)
        material = gather(labelled, None, [INPUT], tmp_path / f"cache-{said}", seed=0)
        assert any(nameless in note for note in material.notes) == said
    material = gather(labelled, None, [INPUT], tmp_path / "cache", seed=0, group="file")
    assert not any(nameless in note for note in material.notes)


def test_copies_stay_in_one_fold_where_folds_are_made(tmp_path) -> None:
    rows: list[dict[str, object]] = [
        {"file": f"{i:02d}.wav", "labels": "ab"[i % 2]} for i in range(20)
    ]
    labelled = table(tmp_path / "labelled", rows, seed=1)
    sound, _ = sf.read(tmp_path / "labelled" / "00.wav")
    for copy in ("02.wav", "04.wav", "06.wav", "08.wav"):  # louder or softer each time
        sound *= 0.8
        sf.write(tmp_path / "labelled" / copy, sound, RATE)
    material = gather(labelled, None, [INPUT], tmp_path / "cache", seed=0)
    assert len(set(material.labelled.fold[[0, 2, 4, 6, 8]].tolist())) == 1
    assert len(set(material.labelled.fold.tolist())) == 5
    assert any("pairs of near-identical clips are kept together" in n for n in material.notes)
    by_bytes = gather(labelled, None, [INPUT], tmp_path / "cache", seed=0, near_copies=False)
    assert len(set(by_bytes.labelled.fold[[0, 2, 4, 6, 8]].tolist())) > 1


def test_silence_of_the_pool_is_left_out(tmp_path) -> None:
    labelled = table(
        tmp_path / "labelled",
        [{"file": f"{i}.wav", "labels": "ab"[i % 2], "fold": 1 + i // 2} for i in range(4)],
        seed=1,
    )
    pool = table(tmp_path / "pool", [{"file": f"{i}.wav"} for i in range(3)], seed=2)
    sf.write(tmp_path / "labelled" / "0.wav", np.zeros(RATE // 2), RATE)
    for file, seconds in (("0.wav", 0.4), ("1.wav", 1.0)):
        sf.write(tmp_path / "pool" / file, np.zeros(int(seconds * RATE)), RATE)
    long = np.r_[np.zeros(RATE // 2), 0.1 * np.ones(RATE // 2) * np.sin(np.arange(RATE // 2))]
    sf.write(tmp_path / "pool" / "2.wav", long, RATE)
    material = gather(labelled, pool, [INPUT], tmp_path / "cache", seed=0)
    assert list(material.pool.ids) == ["2.wav"]
    assert len(material.labelled) == 4  # a label may be of silence
    assert len(material.table(MEL).rows_of(np.array([4]))) == 1  # of two windows one sounds
    assert any("of the pool were left out" in note for note in material.notes)
    with pytest.raises(DataError, match="all 3 clips are silent"):
        gather(labelled, pool[np.arange(2)], [INPUT], tmp_path / "other", seed=0)


def test_segments_overlap_and_copies_are_for_training_only(tmp_path) -> None:
    labelled = table(
        tmp_path / "labelled",
        [{"file": f"{i}.wav", "labels": "ab"[i % 2], "fold": 1 + i // 2} for i in range(4)],
        seed=1,
    )
    pool = table(tmp_path / "pool", [{"file": "9.wav"}], seed=2)
    short = replace(MEL, duration=0.2)
    cut = SegmentOptions(hop=0.1, rest=False, copies=("class-wise", "class-wise"))
    noisy = replace(cut, copies=("white",))
    inputs = [(short, cut), (short, WHOLE), (short, noisy)]
    material = gather(labelled, pool, inputs, tmp_path / "cache", seed=0)
    one_copy = material.table(short, noisy)
    assert len(one_copy.features) == 5 * 4 + 4 * 4  # each table of its own, none in another's place
    assert len(one_copy.with_copies(np.array([2]))) == 8
    found = material.table(short, cut)
    assert np.bincount(found.source[found.source >= 0]).tolist() == [4, 4, 4, 4, 4]
    n_copies = np.bincount(found.copy_of[found.copy_of >= 0])
    assert len(n_copies) == 4
    assert n_copies.min() >= 4
    assert n_copies.max() <= 8
    assert ((found.source < 0) | (found.copy_of < 0)).all()
    assert not any("silent" in note for note in material.notes)
    one = np.array([2])
    assert (len(found.rows_of(one)), len(found.with_copies(one))) == (4, 4 + n_copies[2])
    assert (found.target(labelled)[found.with_copies(one)] == 0).all()
    assert (found.target(labelled)[found.rows_of(np.array([4]))] == -1).all()
    features = found.features
    levels = features[found.with_copies(one)].reshape(4 + n_copies[2], -1)
    assert len(np.unique(levels, axis=0)) == len(levels)  # each draws its own change
    plain = material.table(short)
    assert np.bincount(plain.source).tolist() == [3, 3, 3, 3, 3]  # the rest has its own
    again = gather(labelled, pool, [(short, cut)], tmp_path / "cache", seed=0)
    np.testing.assert_array_equal(again.table(short, cut).features[:], features[:])
