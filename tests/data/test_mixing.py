"""Windows mixed of clips and background: levels, times, groups, folders."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from layouts import contents

from semisonic.core.errors import DataError, OptionError
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.synth.mixing import add_sound, find_event, mix, place_sound, rms

RATE = 8000
SMALL: dict[str, Any] = {
    "window": 1.0,
    "copies": 3,
    "sample_rate": RATE,
    "seed": 5,
    "workers": 2,
}


def tone(seconds: float, hz: float = 1000.0) -> np.ndarray:
    return (0.2 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype("f4")


def write_clips(folder: Path, n: int = 3) -> Path:
    """Two classes of tones of 0.5 s with silence around them."""
    for label, hz in (("low", 500.0), ("high", 1500.0)):
        (folder / label).mkdir(parents=True)
        for i in range(n):
            wave = np.concatenate([np.zeros(RATE // 2), tone(0.5, hz + i), np.zeros(RATE)])
            soundfile.write(folder / label / f"{label}{i}.wav", wave, RATE)
    return folder


def write_quiet(folder: Path, seconds: float = 30.0) -> Path:
    folder.mkdir()
    noise = 0.01 * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    soundfile.write(folder / "quiet.wav", noise, RATE)
    return folder


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    return load_clips(write_clips(tmp_path / "clips"))


@pytest.fixture
def quiet(tmp_path: Path) -> Path:
    return write_quiet(tmp_path / "quiet")


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@given(n_sound=st.integers(1, 5000), n_window=st.integers(1, 3000), seed=st.integers(0, 2**32 - 1))
def test_a_sound_lies_in_its_window_by_half_at_least(
    n_sound: int, n_window: int, seed: int
) -> None:
    first, end, at = place_sound(np.random.default_rng(seed), n_sound, n_window)
    assert 0 <= first < end <= n_sound
    assert end - first == min(n_sound, n_window)
    heard = min(n_window, at + end - first) - max(0, at)
    assert heard >= (end - first) // 2
    assert heard >= 1
    assert -at <= n_window // 4


@given(
    at=st.integers(-400, 1900),
    n=st.integers(200, 3000),
    snr_db=st.floats(-20, 40),
    seed=st.integers(0, 1000),
)
def test_the_level_over_the_background_is_the_one_asked_for(
    at: int, n: int, snr_db: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    background = (0.01 * rng.standard_normal(2000)).astype(np.float32)
    sound = rng.standard_normal(n).astype(np.float32)
    wave, level = background.copy(), rms(background)
    heard = add_sound(wave, sound, at, snr_db, level, RATE)
    if heard is None:
        assert at + n <= 0
        return
    first, end = heard
    assert (first, end) == (max(0, at), min(2000, at + n))
    added = wave.astype(np.float64) - background
    assert not added[:first].any()
    assert not added[end:].any()
    found = 20 * np.log10(rms(added[first:end]) / level)
    assert found == pytest.approx(snr_db, abs=0.1)


def test_silence_is_not_made_loud() -> None:
    wave = np.full(100, 0.01, np.float32)
    assert add_sound(wave, np.zeros(50, np.float32), 10, 20.0, 0.01, RATE) is None
    assert (wave == np.float32(0.01)).all()


def test_the_longest_segment_is_found_and_short_gaps_are_bridged() -> None:
    gap, pause = np.zeros(RATE // 5, np.float32), np.zeros(RATE, np.float32)
    wave = np.concatenate([tone(0.2), pause, tone(0.4), gap, tone(0.4), pause, tone(0.7)])
    first, end = find_event(wave, RATE) or (0, 0)
    assert first / RATE == pytest.approx(1.2, abs=0.011)
    assert end / RATE == pytest.approx(2.2, abs=0.011)
    assert find_event(np.zeros(RATE, np.float32), RATE) is None


def test_files_have_the_level_and_the_times_of_their_rows(
    clips: Clips, quiet: Path, tmp_path: Path
) -> None:
    done = mix(clips, tmp_path / "w", **{**SMALL, "background": quiet, "snr_db": (15.0, 25.0)})
    assert (done.n_sounds, done.n_background, done.n_clips) == (18, 9, 6)
    for row in rows_of(tmp_path / "w")[:18]:
        wave, rate = soundfile.read(tmp_path / "w" / row["file"])
        assert (len(wave), rate) == (RATE, RATE)
        first, end = (round(float(row[name]) * RATE) for name in ("event_start", "event_end"))
        assert 0 <= first < end <= RATE
        sound, around = wave[first:end], np.concatenate([wave[:first], wave[end:]])
        level = np.mean(np.square(around))
        snr_db = 10 * np.log10((np.mean(np.square(sound)) - level) / level)
        assert snr_db == pytest.approx(float(row["snr_db"]), abs=0.5)
        hz = np.fft.rfftfreq(len(sound), 1 / RATE)[np.abs(np.fft.rfft(sound)).argmax()]
        assert abs(hz - (500 if row["label"] == "low" else 1500)) < 10


def test_no_window_without_its_row_and_groups_are_kept(
    clips: Clips, quiet: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "w"
    mix(clips, folder, **{**SMALL, "background": quiet, "background_windows": 7})
    rows = rows_of(folder)
    assert {row["file"] for row in rows} == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*.wav")
    }
    read = load_clips(folder)
    assert read.classes == ("background", "high", "low")
    assert len(read) == 18 + 7
    sounds = read[[labels != ("background",) for labels in read.labels]]
    assert sorted(sounds.group.tolist()) == sorted(clips.group.tolist() * 3)
    by_group = dict(zip(clips.group.tolist(), clips.labels, strict=True))
    for group, labels in zip(sounds.group.tolist(), sounds.labels, strict=True):
        assert by_group[group] == labels
    assert "fold" not in rows[0]
    quiet_rows = [row for row in rows if row["label"] == "background"]
    for row in quiet_rows:
        low, high = map(float, row["group"].rpartition("@")[2].split("-"))
        assert low <= float(row["background_start"]) + 1e-3
        assert float(row["background_start"]) + 1.0 <= high + 1e-3


def test_folds_are_made_kept_and_do_not_share_background(
    clips: Clips, quiet: Path, tmp_path: Path
) -> None:
    options = {**SMALL, "background": quiet, "n_folds": 3}
    mix(clips, tmp_path / "all", **options)
    rows = rows_of(tmp_path / "all")
    for row in rows:
        begin, fold = float(row["background_start"]), int(row["fold"])
        assert 10.0 * (fold - 1) <= begin + 1e-3
        assert begin + 1.0 <= 10.0 * fold + 1e-3
    assert len({(row["group"], row["fold"]) for row in rows}) == len({row["group"] for row in rows})
    assert {row["fold"] for row in rows if row["label"] == "background"} == {"1", "2", "3"}
    mix(clips, tmp_path / "some", **{**options, "fold": (1, 3)})
    some = [row for row in rows_of(tmp_path / "some") if row["label"] != "background"]
    wanted = [r for r in rows if r["label"] != "background" and r["fold"] in "13"]
    assert [row["file"] for row in some] == [row["file"] for row in wanted]
    with pytest.raises(OptionError, match="found 4; the clips have 1, 2, 3"):
        mix(clips, tmp_path / "none", **{**options, "fold": (4,)})


def test_labels_that_nobody_checked_stay_so(clips: Clips, quiet: Path, tmp_path: Path) -> None:
    types = np.array(["positive"] * 5 + ["uncertain"])
    clips = clips.with_columns(label_type=types)
    mix(clips, tmp_path / "w", **{**SMALL, "background": quiet, "n_folds": 2})
    read = load_clips(tmp_path / "w")
    sounds = read.group == clips.group[5]
    assert (read.label_type[sounds] == "uncertain").all()
    assert (read.label_type[~sounds] == "positive").all()
    assert (read.fold[sounds] == 0).all()
    assert (read.fold == 0).sum() > 3, "background is heard in training by these, too"


def test_the_same_seed_gives_the_same_bytes(clips: Clips, tmp_path: Path) -> None:
    done = mix(clips, tmp_path / "a", **SMALL)
    assert "synthetic" in done.notes[-1]
    mix(clips, tmp_path / "b", **{**SMALL, "workers": 1})
    mix(clips, tmp_path / "c", **{**SMALL, "seed": 6})
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    first, other = contents(tmp_path / "a"), contents(tmp_path / "c")
    assert all(first[name] != other[name] for name in first if name.endswith(".wav"))


def test_a_broken_off_call_is_continued(clips: Clips, quiet: Path, tmp_path: Path) -> None:
    options = {**SMALL, "background": quiet, "n_folds": 2}
    mix(clips, tmp_path / "whole", **options)
    mix(clips, tmp_path / "w", **options)
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "w").glob("high*.wav")}
    for name in ("labels.csv", "low-000003-1.wav", "background-000004.wav"):
        (tmp_path / "w" / name).unlink()
    assert not load_clips(tmp_path / "w").is_labelled.any(), "half a set is no set to learn from"
    mix(clips, tmp_path / "w", **options)
    assert contents(tmp_path / "w") == contents(tmp_path / "whole")
    assert len(kept) == 9
    assert kept == {p: p.stat().st_mtime_ns for p in kept}


def test_other_folders_are_refused(clips: Clips, quiet: Path, tmp_path: Path) -> None:
    options = {**SMALL, "background": quiet}
    with pytest.raises(OptionError, match="not the folder of mixed windows"):
        mix(clips, clips.root, **options)
    mix(clips, tmp_path / "w", **options)
    with pytest.raises(DataError, match=r"another copies \(found 3, asked for 1\)"):
        mix(clips, tmp_path / "w", **{**options, "copies": 1})
    with pytest.raises(DataError, match="another clips"):
        mix(clips[1:], tmp_path / "w", **options)


def test_whole_clips_and_clips_left_out(clips: Clips, quiet: Path, tmp_path: Path) -> None:
    options = {**SMALL, "background": quiet, "copies": 1}
    short = {**options, "longest": 0.45}
    with pytest.raises(DataError, match=r"longest segment of sound is 0\.5"):
        mix(clips, tmp_path / "short", **short)
    soundfile.write(clips.paths[0], tone(3.0), RATE)
    limited = {**options, "longest": 1.0}
    done = mix(clips, tmp_path / "cut", **limited)
    assert [name for name, _ in done.left_out] == [clips.ids[0]]
    assert "3.00 s" in (tmp_path / "cut" / "left_out.csv").read_text(encoding="utf-8")
    done = mix(clips, tmp_path / "all", **{**options, "cut": False})
    assert not done.left_out
    assert done.n_sounds == 6


def test_background_that_is_too_short_silent_or_missing(clips: Clips, tmp_path: Path) -> None:
    short = write_quiet(tmp_path / "short", 1.5)
    with pytest.raises(DataError, match=r"longest of 1\.5 s; expected at least 2\.02 s"):
        mix(clips, tmp_path / "w", **{**SMALL, "background": short, "n_folds": 2})
    silent = write_quiet(tmp_path / "silent")
    soundfile.write(silent / "quiet.wav", np.zeros(5 * RATE), RATE)
    with pytest.raises(DataError, match="digital silence"):
        mix(clips, tmp_path / "w", **{**SMALL, "background": silent})
    with pytest.raises(DataError, match="expected a folder of recordings"):
        mix(clips, tmp_path / "v", **{**SMALL, "background": tmp_path / "nowhere"})


@pytest.mark.parametrize("snr_db", [(), (5.0,), (9.0, 3.0), (1.0, 2.0, 3.0)])
def test_levels_that_are_no_range(clips: Clips, tmp_path: Path, snr_db: tuple[float, ...]) -> None:
    with pytest.raises(OptionError, match="lowest and the highest"):
        mix(clips, tmp_path / "w", **{**SMALL, "snr_db": snr_db})
    assert not (tmp_path / "w").exists()
