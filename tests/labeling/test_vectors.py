"""Vectors that were made elsewhere, from files to an index that is searched and asked."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

import semisonic
from semisonic.cli.main import main
from semisonic.core.errors import DataError, OptionError
from semisonic.labeling.improve import why_not
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.map import draw_map
from semisonic.labeling.project import Project
from semisonic.labeling.suggest import suggest

N = 12
VECTORS = np.eye(3, dtype=np.float32)[np.arange(N) % 3] + 0.01 * np.arange(N)[:, None]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings of 4 s; each has four segments of 1 s."""
    folder = tmp_path_factory.mktemp("recordings")
    for number in range(3):
        sf.write(folder / f"{number}.wav", np.full(32000, 0.1 * number), 8000)
    return folder


def segments(folder: Path | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "path": [f"{i // 4}.wav" for i in range(N)],
            "start_time": [i % 4 for i in range(N)],
            "end_time": [i % 4 + 1 for i in range(N)],
            "species": ["wren", "owl", "frog"] * 4,
        }
    )


def check(index: EmbeddingIndex, recordings: Path) -> None:
    """The vectors, what they are of, and that an index can do what it does."""
    assert np.allclose(index.vectors, VECTORS, atol=1e-3)
    assert index.clips.start_time.tolist() == [i % 4 for i in range(N)]
    assert [p.resolve() for p in index.clips.paths] == [
        recordings / f"{i // 4}.wav" for i in range(N)
    ]
    assert index.clips.labels[:3] == (("wren",), ("owl",), ("frog",))
    assert {hit.row % 3 for hit in index.search(1, k=3, all_windows=True)} == {1}
    assert len(suggest(None, index, 4)) == 4
    assert "3" in draw_map(index.folder, clusters="3", projection="pca", megabytes=0.0).text


def test_a_numpy_file_and_a_table(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "birdnet.npy", VECTORS)
    segments().to_csv(recordings / "segments.csv", index=False)
    made = ["embed", str(tmp_path / "birdnet.npy"), str(recordings / "segments.csv")]
    assert main([*made, "-o", str(tmp_path / "index")]) == 0
    assert "12 rows of 3 numbers" in capsys.readouterr().out
    index = EmbeddingIndex.open(tmp_path / "index")
    assert index.about["model"]["network"] == "birdnet"
    check(index, recordings)
    assert main([*made, "-o", str(tmp_path / "index")]) == 2
    assert "choose a new or empty folder" in capsys.readouterr().err
    assert main(["embed", str(tmp_path / "birdnet.npy"), str(recordings)]) == 2
    assert "expected a CSV file with a row for each vector" in capsys.readouterr().err


@pytest.mark.parametrize("column", ["embedding", None])
def test_a_table_in_parquet(
    column: str | None, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = pd.DataFrame(VECTORS).rename(columns=str)
    rest = segments() if column is None else segments().assign(embedding=list(VECTORS))
    frame = pd.concat([rest, vectors], axis=1) if column is None else rest
    path = tmp_path / "birds.parquet"
    path.touch()
    monkeypatch.setattr(pd, "read_parquet", lambda _: frame)  # pyarrow is not needed for tests
    check(semisonic.embed(path, recordings, tmp_path / "index"), recordings)
    with pytest.raises(OptionError, match="found 2 paths beside the vectors"):
        semisonic.embed(path, [recordings, recordings], tmp_path / "two")
    monkeypatch.setattr(pd, "read_parquet", lambda _: segments())
    with pytest.raises(DataError, match="expected one of embedding, "):
        semisonic.embed(path, recordings, tmp_path / "none")

    def missing(_: Any) -> None:
        raise ImportError("no pyarrow")

    monkeypatch.setattr(pd, "read_parquet", missing)
    with pytest.raises(OptionError, match="pip install pyarrow"):
        semisonic.embed(path, recordings, tmp_path / "none")


def offsets(start: float, end: float) -> bytes:
    return np.array([start, end], "<f8").tobytes()


class StandInIndex:
    """What is used of ``usearch.index.Index``: vectors by key, here in a numpy file."""

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def restore(cls, path: str, view: bool) -> StandInIndex:
        return cls(path)

    def get(self, keys: np.ndarray) -> np.ndarray:
        with open(self.path, "rb") as stream:
            return np.load(stream)[keys.astype(int) - 1]


def test_a_database_of_perch_hoplite(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "hoplite"
    folder.mkdir()
    table = segments()
    with sqlite3.connect(folder / "hoplite.sqlite") as db:
        db.execute("CREATE TABLE recordings (id INTEGER PRIMARY KEY, filename TEXT)")
        db.execute("CREATE TABLE windows (id INTEGER PRIMARY KEY, recording_id, offsets)")
        db.execute("CREATE TABLE annotations (recording_id, offsets, label, label_type)")
        for number in range(3):
            db.execute("INSERT INTO recordings VALUES (?, ?)", (number + 1, f"{number}.wav"))
        for i in range(N):
            place = i // 4 + 1, offsets(i % 4, i % 4 + 1)
            db.execute("INSERT INTO windows VALUES (?, ?, ?)", (i + 1, *place))
            db.execute("INSERT INTO annotations VALUES (?, ?, ?, 1)", (*place, table.species[i]))
            db.execute("INSERT INTO annotations VALUES (?, ?, 'bat', 0)", place)  # none is heard
    db.close()
    with (folder / "usearch.index").open("wb") as stream:
        np.save(stream, VECTORS.astype(np.float16))
    module = type(sys)("usearch.index")
    module.Index = StandInIndex  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "usearch.index", module)
    check(semisonic.embed(folder, recordings, tmp_path / "index"), recordings)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with pytest.raises(OptionError, match="pip install usearch"):
        semisonic.embed(folder, recordings, tmp_path / "none")


def truth(file: str, start_time: float) -> str:
    """The class of a segment, by where it is."""
    place = 4 * int(Path(file).stem) + round(start_time)
    return str(segments().species[place])


@pytest.fixture
def begun(recordings: Path, tmp_path: Path) -> list[str]:
    """The command that starts a project from vectors; they and the recordings may be changed."""
    shutil.copytree(recordings, tmp_path / "heard")
    unlabelled = segments().drop(columns="species")
    unlabelled.to_csv(tmp_path / "heard" / "segments.csv", index=False)
    np.save(tmp_path / "Bird Net.npy", VECTORS)
    table, vectors = tmp_path / "heard" / "segments.csv", tmp_path / "Bird Net.npy"
    made = ["project", "new", str(table), "--encoder", str(vectors), "--clusters", "3"]
    return [*made, "-o", str(tmp_path / "project")]


def test_a_project_of_vectors_asks_learns_and_names_all_segments(
    begun: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(begun) == 0
    said = capsys.readouterr().out
    assert "3 recordings, 12 segments, 3 groups that sound alike" in said
    project = Project.open(tmp_path / "project")
    assert project.classes == ()
    assert project.noise_like(3) == ()
    assert "not from the encoder" in why_not(project)
    for group in project.clusters(4):
        assert len({truth(one.file, one.start_time) for one in group.typical}) == 1
    for one in project.suggest(9).rows:
        named = truth(one.file, one.start_time)
        project.log.append(one.file, one.start_time, one.end_time, named, source=one.source)
    assert main(["project", "learn", str(project.folder)]) == 0
    assert "the classifier cannot name other sounds" in capsys.readouterr().out
    found = pd.read_csv(project.folder / "predictions.csv")
    assert len(found) == N
    assert found.label.tolist() == [
        truth(*row) for row in zip(found.file, found.start_time, strict=True)
    ]
    assert found.score.between(0, 1).all()
    asked = project.suggest(3, strategy="uncertain").rows
    assert len(asked) == 3
    assert all(one.predictions for one in asked)
    assert main(["predict", str(project.folder), str(tmp_path / "heard" / "0.wav")]) == 2
    assert "the vectors were made elsewhere (bird-net)" in capsys.readouterr().err


def test_labels_beside_vectors_are_answers_once(
    begun: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = segments()
    table.loc[5:, "species"] = ""
    table.to_csv(tmp_path / "heard" / "segments.csv", index=False)
    assert main(begun) == 0
    assert "5 labels beside the vectors imported as answers" in capsys.readouterr().out
    project = Project.open(tmp_path / "project")
    answers = project.log.answers()
    assert [one.labels for one in answers] == [(name,) for name in segments().species[:5]]
    assert {one.source for one in answers} == {"import:Bird Net.npy"}
    assert project.learn().n_answers == 5
    project.log.take_back(answers[:1])  # somebody heard that it is wrong
    project.log.append(answers[1].file, answers[1].start_time, answers[1].end_time, "owl")
    held = [one.labels for one in project.log.standing()]
    assert main(begun) == 0
    assert "0 labels beside the vectors imported as answers; 5 segments already had an answer" in (
        capsys.readouterr().out
    )
    assert [one.labels for one in Project.open(project.folder).log.standing()] == held


def test_vectors_that_come_later_keep_the_answers(begun: list[str], tmp_path: Path) -> None:
    assert main(begun) == 0
    project = Project.open(tmp_path / "project")
    for one in project.suggest(6).rows:
        named = truth(one.file, one.start_time)
        project.log.append(one.file, one.start_time, one.end_time, named, source=one.source)
    project.learn()
    unlabelled = segments().drop(columns="species")
    more = pd.concat([unlabelled, unlabelled[:1].assign(path="0.wav", start_time=0.5)])
    more.to_csv(tmp_path / "heard" / "segments.csv", index=False)
    np.save(tmp_path / "Bird Net.npy", np.vstack([VECTORS, VECTORS[:1]]))
    assert main(begun) == 0
    again = Project.open(tmp_path / "project")
    assert len(again.index) == N + 1
    assert len(again.suggest(6, strategy="uncertain").rows) == 6  # by the classifier of before
    assert again.learn().n_answers == 6


def test_vectors_come_with_their_segments(
    begun: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--hop", "--silence-db"):
        assert main([*begun, option, "1" if option == "--hop" else "-50"]) == 2
        said = capsys.readouterr().err
        assert f"option '{option}'" in said
        assert "segments of these vectors are given" in said


@pytest.mark.parametrize("shape", [(), (12,), (12, 0), (0, 3)])
def test_what_is_no_table_of_vectors_is_told(
    shape: tuple[int, ...], begun: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "Bird Net.npy", np.zeros(shape))
    assert main(begun) == 2
    assert "expected (n, dim)" in capsys.readouterr().err
    assert not (tmp_path / "project" / "project.json").exists()


def test_recordings_that_are_elsewhere_too_are_learned_by_their_vectors(
    begun: list[str], tmp_path: Path
) -> None:
    assert main(begun) == 0
    project = Project.open(tmp_path / "project")
    for one in project.suggest(9).rows:
        named = truth(one.file, one.start_time)
        project.log.append(one.file, one.start_time, one.end_time, named, source=one.source)
    for file in (tmp_path / "heard").glob("*.wav"):
        file.unlink()
    assert project.learn().n_answers == 9
