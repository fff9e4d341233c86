"""Fingerprints do not depend on blocks, survive storage, and know a sound within any other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.audio.write import write
from semisonic.data.clips import Clips
from semisonic.data.fingerprints import Fingerprint, clip_fingerprints, fingerprint
from semisonic.data.sound_index import SoundIndex, align

RATE = 8000


def noise(seed, seconds):
    """Noise whose level and colour change all the time."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    wave = rng.normal(0, 0.1, n) * np.interp(
        np.arange(n), np.linspace(0, n, max(2, n // 2000)), rng.uniform(0.2, 1, max(2, n // 2000))
    )
    return wave.astype(np.float32)


def same(one, two):
    return one.frame.tolist() == two.frame.tolist() and one.bin.tolist() == two.bin.tolist()


@given(st.lists(st.integers(1, 9000), max_size=6))
@settings(max_examples=25, deadline=None)
def test_blocks_of_any_length_give_the_same_peaks(lengths):
    x = noise(0, 4)
    assert same(fingerprint(np.split(x, np.cumsum(lengths).clip(max=len(x)))), fingerprint([x]))


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 223)), max_size=40))
def test_packing_keeps_every_peak(steps):
    frame = np.cumsum([step for step, _ in steps]).astype(np.int32)
    one = Fingerprint(frame, np.array([bin_ for _, bin_ in steps], np.uint8))
    back = Fingerprint.unpacked(one.packed())
    assert same(back, one)
    assert (back.frame.dtype, back.bin.dtype) == (np.int32, np.uint8)


@pytest.mark.parametrize("text", ["", "!!!", "AAAA"])
def test_a_damaged_text_has_no_peaks(text):
    assert not len(Fingerprint.unpacked(text))


@given(st.floats(0, 50), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_a_part_is_found_where_it_was_cut(start, seed):
    x = noise(seed, 60)
    first = int(start * RATE)
    (found,) = SoundIndex([fingerprint([x])]).find(fingerprint([0.2 * x[first : first + 3 * RATE]]))
    assert found.match.offset_time == pytest.approx(start, abs=0.02)
    assert found.match.shared_time > 2


@given(st.integers(0, 10_000), st.integers(10_001, 20_000))
@settings(max_examples=20, deadline=None)
def test_other_noise_is_no_copy(one, two):
    assert SoundIndex([fingerprint([noise(one, 20)])]).find(fingerprint([noise(two, 20)])) == []


def test_a_tone_that_is_switched_on_again_and_again_is_no_copy_of_another():
    """Both begin at the same moments with the same frequencies; only their noise differs."""
    t = np.arange(10 * RATE) / RATE
    beeps = (0.3 * np.sin(2 * np.pi * 1000 * t) * (t % 1 < 0.2)).astype(np.float32)
    one, two = (fingerprint([beeps + 0.1 * noise(i, 10)]) for i in (1, 2))
    assert SoundIndex([one]).find(two) == []


def peaks(frames: list[int]) -> Fingerprint:
    """A peak in each of these frames, of frequencies far apart."""
    return Fingerprint(
        np.array(frames, np.int32), (20 + 37 * np.arange(len(frames)) % 190).astype(np.uint8)
    )


@pytest.mark.parametrize(
    ("frames", "is_copy"),
    [
        ([0, 10, 20, 30], False),
        ([0, 10, 20, 30, 40], True),  # few peaks, but over some time
        ([0, 1, 2, 3, 4, 5, 6], False),  # more, but in a tenth of a second: as of any click
        ([0, 0, 0, 0, 3, 3, 3, 3, 6], True),  # a click with many
    ],
)
def test_a_copy_is_known_by_a_long_stretch_or_by_many_peaks(
    frames: list[int], is_copy: bool
) -> None:
    assert bool(SoundIndex([peaks(frames)]).find(peaks(frames))) == is_copy


def test_a_few_peaks_that_many_others_cover_are_no_copy() -> None:
    """All peaks of the one lie on peaks of the other, most of which lie on none."""
    few = peaks([10 * i for i in range(12)])
    rng = np.random.default_rng(0)
    frame = [frame for frame in range(115) if not 40 < frame < 50 for _ in range(2)]
    cells = {*zip(few.frame.tolist(), few.bin.tolist(), strict=True)}
    cells |= {*zip(frame, rng.integers(0, 224, len(frame)).tolist(), strict=True)}
    frames, bins = np.array(sorted(cells)).T
    many = Fingerprint(frames.astype(np.int32), bins.astype(np.uint8))
    assert align(few, few, 0)[1] is not None
    assert align(few, many, 0)[1] is None
    assert align(many, few, 0)[1] is None


def test_windows_have_the_peaks_of_their_part_and_a_bad_one_spoils_no_other(tmp_path):
    write(tmp_path / "long.wav", noise(0, 20), RATE)
    times = [(0.0, 5.0), (4.0, 9.0), (12.0, 20.0), (15.0, 90.0)]
    rows = [{"file": "long.wav", "start_time": s, "end_time": e} for s, e in times]
    clips = Clips.from_rows(tmp_path, rows)
    found = dict(clip_fingerprints(clips))
    assert isinstance(found[3], str)
    index = SoundIndex([fingerprint([noise(0, 20)])])
    for row in range(3):
        (one,) = index.find(found[row])
        assert one.match.offset_time == pytest.approx(times[row][0], abs=0.02)


def test_fingerprints_are_kept_and_made_anew_for_a_changed_file(tmp_path):
    clips = Clips.from_rows(tmp_path, [{"file": "a.wav"}])
    write(tmp_path / "a.wav", noise(0, 2), RATE)
    ((_, first),) = clip_fingerprints(clips, cache=tmp_path)
    assert any(tmp_path.rglob("*.jsonl"))
    ((_, again),) = clip_fingerprints(clips, cache=tmp_path)
    assert same(first, again)
    write(tmp_path / "a.wav", noise(1, 3), RATE)
    ((_, other),) = clip_fingerprints(clips, cache=tmp_path)
    assert not same(first, other)
