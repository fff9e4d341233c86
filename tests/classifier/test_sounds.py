from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from tiny_sounds import MEL, RATE, sound

from semisonic.classifier.sounds import as_sounds
from semisonic.core.errors import DataError
from semisonic.data.datasets.load import load_clips


def test_paths_keep_their_order(kinds: Path) -> None:
    files = [kinds / "sweep" / "01.wav", kinds / "hiss" / "00.wav"]
    sounds = as_sounds(files, ["s", "h"])
    assert sounds.clips.paths == files
    assert sounds.clips.labels == (("s",), ("h",))
    assert sounds.clips.classes == ("h", "s")
    assert as_sounds(np.array([str(f) for f in files])).clips.paths == files


def test_a_path_is_a_data_set(kinds: Path) -> None:
    assert as_sounds(kinds).clips.ids == load_clips(kinds).ids
    assert as_sounds(str(kinds), labels="none").clips.classes == ()


def test_a_frame_is_read_by_its_columns(kinds: Path) -> None:
    frame = pd.DataFrame(
        {
            "file": [str(kinds / "hum" / "00.wav")] * 2,
            "label": ["a", "a;b"],
            "start_time": [0.0, 0.2],
            "end_time": [0.2, np.nan],
            "group": [7, 7],
        }
    )
    clips = as_sounds(frame).clips
    assert clips.labels == (("a",), ("a", "b"))
    assert clips.group.tolist() == ["7", "7"]
    assert clips.start_time.tolist() == [0.0, 0.2]
    with pytest.raises(DataError, match="the frame: no column for the audio file"):
        as_sounds(frame.drop(columns="file"))


def test_a_frame_has_the_columns_that_tables_of_labels_have(kinds: Path) -> None:
    files = [kinds / "hum" / "00.wav", kinds / "hiss" / "00.wav", kinds / "hiss" / "01.wav"]
    frame = pd.DataFrame(
        {"Path": files, "species": ["hum", ["hiss", "hum"], None], "fold": [2, 1, np.nan]}
    )
    clips = as_sounds(frame).clips
    assert clips.paths == files
    assert clips.labels == (("hum",), ("hiss", "hum"), ())
    assert clips.fold.tolist() == [2, 1, 0]
    assert as_sounds(frame["Path"], pd.Series(["a", "b", np.nan])).clips.labels == (
        ("a",),
        ("b",),
        (),
    )


def test_whole_numbers_are_scaled_as_in_files(tmp_path: Path) -> None:
    wave = sound("hum", 1)
    sf.write(tmp_path / "hum.wav", wave, RATE, subtype="PCM_16")
    as_read, _ = sf.read(tmp_path / "hum.wav", dtype="float32")
    for kind in ("int16", "int32"):
        whole, _ = sf.read(tmp_path / "hum.wav", dtype=kind)
        found = as_sounds([whole], sample_rate=RATE).waves
        assert found is not None
        assert np.array_equal(found[0], as_read)
    quiet = as_sounds([np.full(9, 128, np.uint8)], sample_rate=RATE).waves
    assert quiet is not None
    assert not quiet[0].any()


def test_channels_are_mixed_whichever_way_they_stand() -> None:
    left, right = sound("hum", 1), sound("hiss", 1)
    mono = (left.astype(np.float64) + right) / 2
    stereo = np.stack([left, right])
    for one in ([stereo], [stereo.T], stereo.T, [torch.from_numpy(stereo)], stereo[None]):
        found = as_sounds(one, sample_rate=RATE).waves
        assert found is not None
        assert len(found) == 1
        assert np.allclose(found[0], mono, atol=1e-6)
    assert len(as_sounds(stereo, sample_rate=RATE)) == 2  # as in scikit-learn: two sounds


def test_one_array_is_one_sound() -> None:
    wave = sound("hum", 1)
    for one in (wave, torch.from_numpy(wave), wave.tolist(), pd.Series(wave), wave[None]):
        found = as_sounds(one, sample_rate=RATE).waves
        assert found is not None
        assert len(found) == 1
        assert np.array_equal(found[0], wave)


def test_arrays_need_a_rate_and_are_resampled() -> None:
    waves = [sound("hum", i) for i in range(3)]
    sounds = as_sounds(waves, [2, 10, 2], sample_rate=RATE)
    assert sounds.clips.classes == ("2", "10")
    at_double = sounds.at_rate(2 * RATE)
    assert at_double.waves is not None
    assert len(at_double.waves[0]) == 2 * len(waves[0])
    assert as_sounds(np.stack(waves), sample_rate=RATE).clips.ids == sounds.clips.ids
    with pytest.raises(DataError, match="sample_rate="):
        as_sounds(waves)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ([np.zeros((9, 50))], "at most 8 channels"),
        ([np.zeros((2, 2, 50))], "at most 8 channels"),
        ([np.zeros(5, np.int64)], "type int64, expected floating-point"),
        ({"a": 1}, "found dict"),
        ([np.array([0.0, np.nan])], "NaN"),
        ([np.zeros(0)], "shape"),
        (7, "expected a clip table"),
    ],
)
def test_wrong_sounds_are_named(x: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        as_sounds(x, sample_rate=RATE)


def test_labels_and_groups_must_be_as_many() -> None:
    waves = [sound("hum", i) for i in range(3)]
    with pytest.raises(DataError, match="found 2 for 3"):
        as_sounds(waves, ["a", "b"], sample_rate=RATE)
    with pytest.raises(DataError, match=r"found shape \(2,\)"):
        as_sounds(waves, sample_rate=RATE, groups=["a", "b"])


def test_files_and_arrays_do_not_mix(kinds: Path) -> None:
    files = as_sounds(kinds)
    arrays = as_sounds([sound("hum", 1)], sample_rate=RATE)
    with pytest.raises(DataError, match="all as arrays"):
        files.joined(arrays, MEL)
    assert len(arrays.joined(arrays, MEL).clips) == 2
