"""Leaks are found: planted copies in every disguise, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from semisonic.audio.resample import resample
from semisonic.audio.write import write
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.duplicates import check, clean_pool, find_duplicates, group_duplicates
from semisonic.data.splits import fold_splits
from semisonic.data.windows import windows

RATE = 22050


Sound = NDArray[np.float32]


def noise(seed, duration=3.0):
    """Coloured noise with a slow random envelope: two of them sound alike and are not the same."""
    rng = np.random.default_rng(seed)
    n = int(duration * RATE)
    spectrum = np.fft.rfft(rng.normal(size=n)) / np.maximum(np.fft.rfftfreq(n, 1 / RATE), 50) ** 0.5
    envelope = np.interp(np.arange(n), np.linspace(0, n, 12), rng.uniform(0.2, 1, 12))
    x = np.fft.irfft(spectrum, n) * envelope
    return (0.3 * x / np.abs(x).max()).astype(np.float32)


def burst(seed):
    """A short event in digital silence, like a dog's bark in a padded clip."""
    x = np.zeros(3 * RATE, np.float32)
    event = noise(seed, 0.25) * np.hanning(int(0.25 * RATE)).astype(np.float32)
    x[2000 : 2000 + len(event)] = event
    return x


def table(folder, sounds, folds=True):
    """Write sounds (samples, rate) and make a table; the fold is the file's first character."""
    rows = []
    for name, (x, rate) in sounds.items():
        write(folder / name, x, rate)
        rows.append({"file": name, "labels": "x", "fold": int(name[0]) if folds else 0})
    return Clips.from_rows(folder, rows)


def pairs(found):
    return {tuple(sorted((d.first, d.second))) for d in found}


DISGUISES: dict[str, Callable[[Sound], tuple[Sound, int]]] = {
    "gain.wav": lambda x: (0.1 * x, RATE),
    "inverted.wav": lambda x: (-x, RATE),
    "ogg.ogg": lambda x: (x, RATE),
    "resampled.wav": lambda x: (resample(x, RATE, 16000), 16000),
    "phone.wav": lambda x: (resample(x, RATE, 8000), 8000),
    "delayed.wav": lambda x: (np.concatenate([np.zeros(9137, np.float32), x])[: len(x)], RATE),
    "cropped.wav": lambda x: (x[7001:], RATE),
    "middle.wav": lambda x: (x[len(x) // 5 : 4 * len(x) // 5], RATE),
    "noisy.wav": lambda x: (x + 0.05 * x.std() * noise(99, len(x) / RATE) / 0.1, RATE),
    "all.ogg": lambda x: (0.3 * resample(x, RATE, 16000)[4111:], 16000),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_copies_are_found_and_nothing_else(tmp_path, disguise):
    sounds = {f"1_noise{i}.wav": (noise(i), RATE) for i in range(6)}
    copy, rate = DISGUISES[disguise](noise(2))
    sounds[f"2_{disguise}"] = (copy, rate)
    found = find_duplicates(table(tmp_path, sounds))
    assert pairs(found) == {("1_noise2.wav", f"2_{disguise}")}
    assert found[0].kind == "near-identical"
    assert found[0].across
    assert found[0].score > 0.5
    assert found[0].shared_time > 1.0


@pytest.mark.parametrize("disguise", ["gain.wav", "ogg.ogg", "resampled.wav", "delayed.wav"])
def test_copies_of_short_events_are_found_and_nothing_else(tmp_path, disguise):
    sounds = {f"1_burst{i}.wav": (burst(i), RATE) for i in range(6)}
    copy, rate = DISGUISES[disguise](burst(3))
    sounds[f"2_{disguise}"] = (copy, rate)
    found = find_duplicates(table(tmp_path, sounds))
    assert pairs(found) == {("1_burst3.wav", f"2_{disguise}")}


def test_offset_is_measured(tmp_path):
    x = noise(0, 4.0)
    n = int(0.417 * RATE)
    clips = table(tmp_path, {"1_a.wav": (x, RATE), "2_b.wav": (x[n:], RATE)})
    (found,) = find_duplicates(clips)
    assert (found.first, found.second) == ("1_a.wav", "2_b.wav")
    assert found.offset_time == pytest.approx(n / RATE, abs=0.01)
    assert found.score > 0.7
    assert found.shared_time == pytest.approx(4.0 - n / RATE, abs=0.3)


def test_clips_that_share_half_of_their_sound(tmp_path):
    shared = noise(0, 2.0)
    one = np.concatenate([noise(1, 1.5), shared])
    two = np.concatenate([noise(2, 1.1), shared, noise(3, 0.4)])
    found = find_duplicates(table(tmp_path, {"1.wav": (one, RATE), "2.wav": (two, RATE)}))
    assert pairs(found) == {("1.wav", "2.wav")}
    assert found[0].shared_time == pytest.approx(2.0, abs=0.5)


def test_mains_hum_is_no_copy(tmp_path):
    t = np.arange(3 * RATE) / RATE
    hum = (0.5 * np.sin(2 * np.pi * 120 * t)).astype(np.float32)
    sounds = {f"{i + 1}.wav": (hum + 0.05 * noise(i), RATE) for i in range(3)}
    assert find_duplicates(table(tmp_path, sounds)) == []


def test_identical_files_whatever_their_names(tmp_path):
    clips = table(tmp_path, {"1_a.wav": (noise(0), RATE), "1_b.wav": (noise(1), RATE)})
    (tmp_path / "2_c.wav").write_bytes((tmp_path / "1_a.wav").read_bytes())
    (tmp_path / "2_d.wav").write_bytes((tmp_path / "1_a.wav").read_bytes())
    rows = [
        {"file": f, "labels": f[-5], "fold": int(f[0])}
        for f in ("1_a.wav", "1_b.wav", "2_c.wav", "2_d.wav")
    ]
    clips = Clips.from_rows(tmp_path, rows)
    for near in (True, False):
        found = find_duplicates(clips, near=near)
        assert pairs(found) == {("1_a.wav", "2_c.wav"), ("1_a.wav", "2_d.wav")}
        assert all(d.kind == "identical" and d.score == 1.0 and d.across for d in found)
        assert not any(d.same_labels for d in found)
    assert "DIFFERENT LABELS" in str(found[0])


def test_silence_is_like_nothing(tmp_path):
    silence = np.zeros(RATE, np.float32)
    faint = np.random.default_rng(0).normal(size=2 * RATE).astype(np.float32) * 1e-6
    sounds = {"1.wav": (silence, RATE), "2.wav": (silence[:-100], RATE), "3.wav": (faint, RATE)}
    assert find_duplicates(table(tmp_path, sounds)) == []


def test_across_means_that_a_split_may_part_them(tmp_path):
    def across(rows):
        (found,) = find_duplicates(Clips.from_rows(tmp_path, rows))
        return found.across

    for name in ("a.wav", "b.wav"):
        write(tmp_path / name, noise(0), RATE)
    assert across([{"file": "a.wav", "fold": 1}, {"file": "b.wav", "fold": 2}])
    assert not across([{"file": "a.wav", "fold": 1}, {"file": "b.wav", "fold": 1}])
    assert across([{"file": "a.wav"}, {"file": "b.wav"}])
    assert across([{"file": "a.wav", "fold": 1}, {"file": "b.wav"}])
    assert not across([{"file": "a.wav", "group": "g"}, {"file": "b.wav", "group": "g"}])


def test_against_a_pool(tmp_path):
    for place in ("labelled", "pool"):
        (tmp_path / place).mkdir()
    clips = table(tmp_path / "labelled", {f"{i + 1}.wav": (noise(i), RATE) for i in range(3)})
    names = [f"9_{i}.wav" for i in range(3)]
    pool = table(
        tmp_path / "pool",
        {names[0]: (0.5 * noise(1), RATE), names[1]: (noise(7), RATE), names[2]: (noise(7), RATE)},
    )
    found = find_duplicates(clips, pool.without_labels())
    assert [(d.first, d.second, d.across) for d in found] == [("2.wav", "9_0.wav", True)]
    (tmp_path / "pool" / "9_1.wav").write_bytes((tmp_path / "labelled" / "1.wav").read_bytes())
    (tmp_path / "pool" / "9_2.wav").write_bytes((tmp_path / "pool" / "9_0.wav").read_bytes())
    found = find_duplicates(clips, pool)
    assert {(d.kind, d.first, d.second) for d in found} == {
        ("identical", "1.wav", "9_1.wav"),
        ("near-identical", "2.wav", "9_0.wav"),
        ("near-identical", "2.wav", "9_2.wav"),
    }
    assert all(d.same_labels for d in find_duplicates(clips, pool.without_labels()))


def test_pool_cut_into_windows_at_another_place(tmp_path):
    long = noise(0, 16.0)
    write(tmp_path / "long.wav", long, RATE)
    write(tmp_path / "cut.wav", long[int(6.3 * RATE) : int(10.3 * RATE)], RATE)
    clips = Clips.from_rows(tmp_path, [{"file": "cut.wav", "labels": "x"}])
    pool = windows(Clips.from_rows(tmp_path, [{"file": "long.wav"}]), 4.0)
    found = find_duplicates(clips, pool)
    assert {d.second for d in found} == {"long.wav@4.000-8.000", "long.wav@8.000-12.000"}
    # Windows of one file in one group are known to belong together.
    assert (
        find_duplicates(windows(Clips.from_rows(tmp_path, [{"file": "long.wav"}]), 4.0, 1.0)) == []
    )


def test_bad_files_are_reported_and_the_rest_goes_on(tmp_path):
    clips = table(tmp_path, {"1.wav": (noise(0), RATE), "2.wav": (noise(0) * 0.5, RATE)})
    (tmp_path / "3.wav").write_bytes(b"text")
    rows = [{"file": f"{i}.wav", "labels": "x", "fold": i} for i in (1, 2, 3, 4)]
    report = check(Clips.from_rows(tmp_path, rows))
    assert pairs(report.leaks) == {("1.wav", "2.wav")}
    assert [clip for clip, _ in report.failures] == ["3.wav", "4.wav"]
    assert "no such file" in report.failures[1][1]
    assert not report.ok
    assert len(clips) == 2


def test_check_of_clean_and_leaking_sets(tmp_path):
    clips = table(tmp_path, {f"{i + 1}.wav": (noise(i), RATE) for i in range(3)})
    report = check(clips)
    assert report.ok
    assert report.straddling == ()
    leaking = clips.with_columns(group=np.array(["g", "g", "h"]))
    assert check(leaking).straddling == ("g",)
    assert not check(leaking, audio=False).ok


def test_grouping_duplicates_keeps_them_on_one_side(tmp_path):
    sounds = {f"1_{i}.wav": (noise(i), RATE) for i in range(8)}
    sounds |= {"1_x.wav": (0.5 * noise(0), RATE), "1_y.ogg": (noise(0), RATE)}
    clips = table(tmp_path, sounds, folds=False)
    found = find_duplicates(clips)
    assert {d.first_row for d in found} | {d.second_row for d in found} == {0, 8, 9}
    grouped = group_duplicates(clips, found)
    assert len(set(grouped.group.tolist())) == 8
    assert len(set(grouped.group[[0, 8, 9]].tolist())) == 1
    assert find_duplicates(grouped)[0].across is False
    for seed in range(5):
        for split in fold_splits(grouped, seed=seed, n_folds=3):
            sides = [{0, 8, 9} & set(rows.tolist()) for rows in (split.train, split.test)]
            assert not (sides[0] and sides[1])


def test_result_does_not_depend_on_order_or_workers(tmp_path):
    sounds = {f"1_{i}.wav": (noise(i), RATE) for i in range(4)}
    sounds["2_copy.wav"] = (noise(2)[5000:], RATE)
    clips = table(tmp_path, sounds)
    one = find_duplicates(clips, workers=1)
    two = find_duplicates(clips[[4, 2, 0, 1, 3]], workers=4)
    assert pairs(one) == pairs(two) == {("1_2.wav", "2_copy.wav")}
    assert one[0].score == pytest.approx(two[0].score, abs=1e-3)


def test_no_clips_have_no_copies(tmp_path):
    assert find_duplicates(Clips.from_rows(tmp_path, [])) == []


@pytest.mark.slow
def test_real_esc10(shared_data):
    """ESC-10 holds one pair across folds: two uploads of one baby's cry, which share 2.3 s."""
    report = check(load_clips(shared_data / "esc10"))
    assert report.straddling == ()
    assert report.failures == ()
    assert [(d.first, d.second) for d in report.leaks] == [
        ("004 - Baby cry/3-151080-A.ogg", "004 - Baby cry/5-151085-A.ogg")
    ]
    assert report.leaks[0].shared_time > 2
    # Two uploads of one fire, twice, and a sneeze that was mixed anew.
    assert len(report.duplicates) == 4


@pytest.fixture
def labelled(tmp_path):
    for kind, seed in (("a", 1), ("b", 2)):
        (tmp_path / "labelled" / kind).mkdir(parents=True)
        write(tmp_path / "labelled" / kind / "x.wav", noise(seed), RATE)
    return load_clips(tmp_path / "labelled")


def pool(folder, sounds):
    for name, wave in sounds.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write(folder / name, wave, RATE)
    return load_clips(folder, labels="none")


def test_a_copy_that_was_encoded_anew_leaves_the_pool(labelled, tmp_path):
    sounds = {"again.ogg": 0.5 * noise(1), "x.wav": noise(3)}
    found = clean_pool(pool(tmp_path / "pool", sounds), labelled)
    assert found.clips.file.tolist() == ["x.wav"]
    assert found.notes() == [
        "1 clip of the pool is the same sound as labelled clips, cut or re-encoded, and left out."
    ]


def test_a_near_copy_of_the_same_name_leaves_the_pool(labelled, tmp_path):
    """A pool that is the labelled set in another quality has the same folders and names."""
    sounds = {"a/x.wav": 0.5 * noise(1), "b/x.wav": noise(7)}
    found = clean_pool(pool(tmp_path / "pool", sounds), labelled)
    assert found.clips.file.tolist() == ["b/x.wav"]


def test_only_bytes_are_compared_when_asked_so(labelled, tmp_path):
    clips = pool(tmp_path / "pool", {"again.ogg": 0.5 * noise(1), "new.wav": noise(3)})
    shutil.copy(tmp_path / "labelled" / "b" / "x.wav", tmp_path / "pool" / "copy.wav")
    clips = load_clips(tmp_path / "pool", labels="none")
    found = clean_pool(clips, labelled, near=False)
    assert (found.n_copies, found.n_near_copies) == (1, 0)
    assert found.clips.file.tolist() == ["again.ogg", "new.wav"]


def test_copies_among_labelled_clips_cost_the_pool_nothing(tmp_path):
    sounds = {"a/1.wav": noise(1), "b/2.wav": 0.5 * noise(1)}
    labelled = pool(tmp_path / "labelled", sounds)
    clips = pool(tmp_path / "pool", {"1.wav": noise(5), "2.wav": noise(6)})
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
