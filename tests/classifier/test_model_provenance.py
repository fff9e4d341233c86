from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from tiny_sounds import write_kinds

from semisonic.classifier.provenance import DataPart, data_hash, overlaps, recording_hashes
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips


def about(clips: Clips) -> dict[str, object]:
    part = DataPart.of(clips, recording_hashes(clips))
    return json.loads(json.dumps({"training": part.to_dict()}))


def test_a_part_survives_the_model_file(kinds: Path) -> None:
    clips = load_clips(kinds)
    part = DataPart.of(clips, recording_hashes(clips))
    assert DataPart.from_dict(json.loads(json.dumps(part.to_dict()))) == part
    assert len(part.hashes) == part.n_clips == 24


def test_a_copy_is_found_whatever_it_is_called(kinds: Path, tmp_path: Path) -> None:
    made = about(load_clips(kinds))
    write_kinds(tmp_path, 2, first=900)
    shutil.copy(kinds / "hum" / "03.wav", tmp_path / "hiss" / "new name.wav")
    test = load_clips(tmp_path)
    (found,) = overlaps(test, recording_hashes(test), made)
    assert found.files == ("hiss/new name.wav",)
    assert found.role == "training"
    assert "hiss/new name.wav" in found.text()


def test_other_recordings_do_not_overlap(kinds: Path, others: Path) -> None:
    test = load_clips(others)
    assert overlaps(test, recording_hashes(test), about(load_clips(kinds))) == []


def test_other_clips_of_a_recording_are_told_whatever_the_data_set_is_called(kinds: Path) -> None:
    clips = load_clips(kinds, name="ours")
    group = [file.split("/")[0] + file[-6] for file in clips.file.tolist()]
    clips = clips.with_columns(group=np.array(group))
    half = clips.file < "hum/04"
    for name in ("ours", "other"):
        rest = clips[~half].with_columns(name=name)
        (found,) = overlaps(rest, recording_hashes(rest), about(clips[half]))
        assert not found.files
        assert "other clips of" in found.text()


def test_the_hash_of_a_set_does_not_depend_on_order_or_names() -> None:
    assert data_hash(["a", "b"]) == data_hash(["b", "a", "a"])
    assert data_hash(["a", "b"]) != data_hash(["a", "c"])


def test_damaged_provenance_is_no_provenance(kinds: Path) -> None:
    clips = load_clips(kinds)
    hashes = recording_hashes(clips)
    assert overlaps(clips, hashes, {"training": {"hashes": "!!!"}}) == []
    assert overlaps(clips, hashes, {"training": 7}) == []
    assert overlaps(clips, hashes, {}) == []


def test_many_recordings_take_little_room() -> None:
    hashes = frozenset(f"{i:012x}" for i in range(10_000))
    part = DataPart("big", 10_000, hashes, frozenset())
    assert len(json.dumps(part.to_dict())) < 85_000
    assert DataPart.from_dict(part.to_dict()) == part
