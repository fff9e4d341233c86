"""The synthetic data set as files and tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import contents

from semisonic.core.errors import DataError, OptionError
from semisonic.data.datasets.load import load_clips
from semisonic.data.options import CLASSES, SynthOptions
from semisonic.data.synth.dataset import labelled_items, load_synth, make_synth, pool_items

SMALL = SynthOptions(
    n_classes=3, clips_per_class=6, n_folds=3, n_pool=8, duration=1.0, sample_rate=16000, seed=3
)


def changed(**values: object) -> SynthOptions:
    return replace(SMALL, **values)  # type: ignore[arg-type]


def audio(folder: Path) -> dict[str, np.ndarray]:
    return {
        path.relative_to(folder).as_posix(): soundfile.read(path, dtype="int16")[0]
        for path in sorted(folder.rglob("*.flac"))
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synth") / "set"
    make_synth(folder, SMALL, workers=1)
    return folder


def test_a_set_has_what_was_asked_for(small: Path) -> None:
    labelled, pool = load_synth(small)
    assert labelled.classes == CLASSES[:3]
    assert Counter(row[0] for row in labelled.labels) == dict.fromkeys(CLASSES[:3], 6)
    assert labelled.folds == [1, 2, 3]
    assert (len(pool), pool.classes, pool.is_labelled.any()) == (8, (), False)
    assert not set(pool.group) & set(labelled.group)
    assert load_clips(small).ids == labelled.ids, "the table reads as any table does"
    for path in (*labelled.paths, *pool.paths):
        x, rate = soundfile.read(path)
        assert (rate, x.shape) == (16000, (16000,))
        assert 0.01 < np.abs(x).max() < 0.98
        assert abs(x.mean()) < 0.05


def test_neither_workers_nor_size_change_a_clip(small: Path, tmp_path: Path) -> None:
    make_synth(tmp_path / "other", SMALL, workers=4)
    assert contents(tmp_path / "other") == contents(small)
    make_synth(tmp_path / "more", changed(clips_per_class=8, n_pool=12, n_folds=2), workers=2)
    make_synth(tmp_path / "seed", changed(seed=4, n_pool=0), workers=2)
    larger, other = audio(tmp_path / "more"), audio(tmp_path / "seed")
    for name, samples in audio(small).items():
        assert np.abs(samples.astype(int) - larger[name]).max() <= 1, name
        assert name.startswith("pool") or not np.array_equal(samples, other[name])


def test_a_set_grows_and_what_is_missing_is_made_again(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "growing"
    make_synth(folder, changed(n_pool=2), workers=1)
    (folder / "labelled" / "rain-001-0.flac").unlink()
    (folder / "labels.csv").unlink()
    for _ in range(2):  # the second call writes nothing
        old = {path: path.stat().st_mtime_ns for path in folder.rglob("*.flac")}
        make_synth(folder, SMALL, workers=1)
        assert {path: path.stat().st_mtime_ns for path in old} == old
        assert contents(folder) == contents(small)
    assert len(old) == 26


def test_other_folders_and_options_are_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"duration \(found 1.0, asked for 2.0\)"):
        make_synth(small, changed(duration=2.0))
    with pytest.raises(OptionError, match="clips_per_recording"):
        make_synth("never", changed(clips_per_class=4, n_folds=3))
    with pytest.raises(DataError, match="Make one"):
        load_synth(tmp_path)
    (tmp_path / "synth.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="damaged"):
        load_synth(tmp_path)
    (tmp_path / "synth.json").write_bytes((small / "synth.json").read_bytes())
    with pytest.raises(DataError, match="not finished"):
        load_synth(tmp_path)
    (tmp_path / "synth.json").rename(tmp_path / "holiday.txt")
    with pytest.raises(OptionError, match="not the folder of a synth set"):
        make_synth(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.txt"]


def test_a_failure_half_way_leaves_whole_files_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semisonic.data.synth import render

    real, calls = render.render, []

    def breaks(*clip: Any) -> np.ndarray:
        calls.append(clip)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return real(*clip)

    monkeypatch.setattr(render, "render", breaks)
    with pytest.raises(KeyboardInterrupt):
        make_synth(tmp_path / "set", SMALL, workers=1)
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "set").rglob("*.flac")}
    assert 7 <= len(done) < 26
    calls.clear()
    monkeypatch.setattr(render, "render", lambda *clip: (calls.append(clip), real(*clip))[1])
    make_synth(tmp_path / "set", SMALL, workers=1)
    assert len(calls) == 26 - len(done)
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_the_pool_can_be_read_with_its_labels_for_measuring(small: Path) -> None:
    true, pool = load_synth(small, true_labels=True)
    assert [row[0] for row in true.labels] == [str(g).rsplit("-", 1)[0] for g in true.group]
    assert 4 <= pool.is_labelled.sum() <= 8, "sounds outside the classes have no label"
    assert pool.classes == true.classes


big = st.builds(
    SynthOptions,
    n_classes=st.integers(2, 20),
    clips_per_class=st.integers(12, 80),
    clips_per_recording=st.integers(1, 3),
    n_folds=st.integers(2, 4),
    n_pool=st.integers(0, 300),
    mixtures=st.floats(0, 1),
    seed=st.integers(0, 10**6),
)


@settings(max_examples=25, deadline=None)
@given(big)
def test_a_plan_keeps_its_promises(options: SynthOptions) -> None:
    items, pool = list(labelled_items(options)), list(pool_items(options))
    fold_of: dict[str, set[int]] = {}
    for item in items:
        fold_of.setdefault(item.recording, set()).add(item.fold)
    assert all(len(folds) == 1 for folds in fold_of.values())
    assert {item.fold for item in items} == set(range(1, options.n_folds + 1))
    assert not {item.recording for item in pool} & set(fold_of)
    assert len({item.file for item in (*items, *pool)}) == len(items) + options.n_pool
    for name in options.classes:
        own = [item for item in items if item.sounds[0] == name]
        assert len(own) == options.clips_per_class
        mixed = sum(len(item.sounds) > 1 for item in own)
        assert abs(mixed - options.mixtures * len(own)) <= 3
        assert all(item.labels == item.sounds for item in own)
    assert all(len(set(item.sounds)) == len(item.sounds) for item in (*items, *pool))
    assert all(item.labels == () for item in pool)


def test_the_share_of_strange_sounds_in_the_pool() -> None:
    options = SynthOptions(n_pool=600)
    sounds = [item.sounds[0] for item in pool_items(options)]
    strange = [name for name in sounds if name not in options.classes]
    assert abs(len(strange) - 120) <= 6
    assert len(set(strange)) > 8
    known = Counter(name for name in sounds if name in options.classes)
    assert set(known) == set(options.classes)
    assert min(known.values()) > 0.6 * max(known.values())


def test_noisy_clips_have_recordings_of_their_own_and_a_share_of_wrong_labels(
    tmp_path: Path,
) -> None:
    options = changed(n_noisy=30, mixtures=0.5, n_classes=6, n_pool=0)
    make_synth(tmp_path / "set", options)
    given, _ = load_synth(tmp_path / "set")
    true, _ = load_synth(tmp_path / "set", true_labels=True)
    assert given.ids == true.ids
    noisy = given.label_type == "uncertain"
    assert noisy.sum() == 30
    assert not given.fold[noisy].any(), "labels nobody checked are never tested on"
    assert not set(given.group[noisy]) & set(given.group[~noisy])
    wrong = [a != b for a, b in zip(given.labels, true.labels, strict=True)]
    assert not np.array(wrong)[~noisy].any()
    assert abs(np.array(wrong)[noisy].mean() - 0.4) < 0.08
    assert all(set(labels) <= set(given.classes) for labels in given.labels)


def test_noisy_clips_can_be_asked_for_later_and_left_out_again(tmp_path: Path) -> None:
    options = changed(n_pool=0)
    make_synth(tmp_path / "set", options)
    for n in (4, 0):
        make_synth(tmp_path / "set", changed(n_pool=0, n_noisy=n))
        given, _ = load_synth(tmp_path / "set")
        assert (given.label_type == "uncertain").sum() == n
        assert given.is_verified.sum() == 18
