from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_sounds import MEL, RATE, sound

from semisonic.base.errors import DataError
from semisonic.data.readers import load_clips
from semisonic.inference.sounds import as_sounds


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
    with pytest.raises(DataError, match="expected 'file'"):
        as_sounds(frame.drop(columns="file"))


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
        ([np.zeros((2, 5))], "mono"),
        ([np.zeros(5, np.int16)], "floating-point"),
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
