from pathlib import Path

import numpy as np

from semisonic.data.checks import without_copies
from semisonic.data.clips import Clips, join


def table(folder: Path, contents: dict[str, bytes], label: str = "") -> Clips:
    folder.mkdir(parents=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return Clips.from_rows(folder, [{"file": name, "labels": label} for name in contents])


def test_joined_rows_point_at_the_same_files_in_order(tmp_path: Path) -> None:
    first = table(tmp_path / "a", {"x.wav": b"1", "y.wav": b"2"}, "dog")
    second = table(tmp_path / "b" / "c", {"x.wav": b"3"})

    joined = join(first, second)

    assert [path.read_bytes() for path in joined.paths] == [b"1", b"2", b"3"]
    assert joined.labels == (("dog",), ("dog",), ())
    assert len(set(joined.ids)) == 3
    assert joined.target().tolist() == [0, 0, -1]


def test_copies_are_found_by_their_bytes_not_by_name_or_size(tmp_path: Path) -> None:
    known = table(tmp_path / "a", {"x.wav": b"abc", "y.wav": b"long one"})
    pool = table(tmp_path / "b", {"x.wav": b"xyz", "copy.wav": b"abc", "new.wav": b"other"})

    kept, dropped = without_copies(pool, known)

    assert dropped == ["copy.wav"]
    assert kept.file.tolist() == ["new.wav", "x.wav"]


def test_parts_of_one_copied_file_all_go(tmp_path: Path) -> None:
    known = table(tmp_path / "a", {"x.wav": b"abc"})
    table(tmp_path / "b", {"copy.wav": b"abc"})
    rows = [{"file": "copy.wav", "start_time": s, "end_time": s + 1.0} for s in (0.0, 1.0)]
    pool = Clips.from_rows(tmp_path / "b", rows)

    kept, _ = without_copies(pool, known)

    assert len(kept) == 0
    assert np.isfinite(pool.end_time).all()
