"""Indexes: what is in them, how they grow, and what a kill or a changed file does."""

from __future__ import annotations

import atexit
import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from labeling_sounds import KINDS, MEL, RATE, sound

from semisonic.classifier.model_file import open_model
from semisonic.classifier.scoring import score_clips
from semisonic.core.errors import DataError, ModelError, OptionError
from semisonic.core.options import EngineOptions
from semisonic.data.clips import Clips
from semisonic.labeling.embed import embed, embed_files
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.map import draw_map
from semisonic.labeling.search import search_index
from semisonic.labeling.suggest import suggest
from semisonic.models.model_file import save_encoder
from semisonic.models.pretrained import build_encoder
from systems import NAMES_OF_BYTES, POSIX
from waiting import until


def embedded(model, *files, output, **how):
    how = {"labels": "auto", "device": "cpu", "workers": 1, **how}
    return embed_files(model, files, output, EngineOptions(), **how)


def content(folder):
    return (folder / "embeddings.npy").read_bytes(), (folder / "index.csv").read_bytes()


def test_rows_are_the_embeddings_that_the_model_gives(model, kinds, tmp_path):
    result = embedded(model, kinds, output=tmp_path / "index")
    index = EmbeddingIndex.open(tmp_path / "index")
    assert isinstance(index.vectors, np.memmap) == (os.name != "nt")  # where it could not change
    assert index.vectors.shape == (18, 8)
    assert (result.n_clips, result.n_new, result.failures) == (18, 18, ())
    clips = index.clips
    assert {path.resolve() for path in clips.paths} == {p.resolve() for p in kinds.rglob("*.wav")}
    assert [row[0] for row in clips.labels] == [p.parent.name for p in clips.paths]
    network = open_model(model)
    expected = np.concatenate([one.windows for one in score_clips(network, clips, embed=True)])
    np.testing.assert_allclose(index.vectors, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(np.load(tmp_path / "index" / "embeddings.npy"), index.vectors)
    assert set(index.predicted.tolist()) <= set(KINDS)
    assert ((index.score > 0) & (index.score <= 1)).all()
    assert index.about["model"]["features"]["sample_rate"] == RATE


def test_a_row_a_window_or_the_mean_of_a_clip(model, long, tmp_path):
    windows = embed(model, long, tmp_path / "w", device="cpu")
    assert windows.clips.start_time.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    finer = embed(model, long, tmp_path / "f", hop=0.25, device="cpu")
    assert len(finer) == 11
    np.testing.assert_allclose(finer.vectors[::2], windows.vectors, rtol=1e-4, atol=1e-4)
    clip = embed(model, long, tmp_path / "c", per="clip", device="cpu")
    np.testing.assert_allclose(clip.vectors[0], windows.vectors.mean(axis=0), rtol=1e-5, atol=1e-5)
    assert (clip.clips.start_time[0], clip.clips.end_time[0]) == (0.0, 3.0)


def test_bytes_do_not_depend_on_threads(model, kinds, tmp_path):
    embedded(model, kinds, output=tmp_path / "a")
    embedded(model, kinds, output=tmp_path / "b", workers=3)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_more_files_are_added_and_known_ones_left(model, kinds, tmp_path):
    output = tmp_path / "index"
    first = embedded(model, kinds / "hum", output=output)
    before = first.index.vectors[:].copy()
    first.index.set_clusters(np.arange(6))
    second = embedded(model, kinds / "hum", kinds / "hiss", output=output)
    assert (second.n_clips, second.n_new) == (12, 6)
    np.testing.assert_array_equal(second.index.vectors[:6], before)
    assert second.index.cluster.tolist() == [0, 1, 2, 3, 4, 5, -1, -1, -1, -1, -1, -1]
    # The same table named from elsewhere, with labels: rows stay, labels are those of now.
    third = embedded(model, kinds, output=output)
    assert third.n_new == 6
    assert [row[0] for row in third.index.clips.labels] == ["hum"] * 6 + ["hiss"] * 6 + [
        "sweep"
    ] * 6
    again = embedded(model, kinds, output=output)
    assert again.n_new == 0
    assert "18 already there" in again.summary()


def test_a_file_that_changed_is_embedded_again(model, kinds, tmp_path):
    output = tmp_path / "index"
    index = embedded(model, kinds / "hum", output=output).index
    vectors = index.vectors[:].copy()
    index.set_clusters(np.arange(6))
    sf.write(kinds / "hum" / "2.wav", np.tile(sound("hiss", 77), 2), RATE)
    result = embedded(model, kinds / "hum", output=output)
    assert result.n_new == 1
    files = [path.name for path in result.index.clips.paths]
    assert files == ["0.wav", "1.wav", "3.wav", "4.wav", "5.wav", "2.wav", "2.wav"]
    np.testing.assert_array_equal(result.index.vectors[:5], vectors[[0, 1, 3, 4, 5]])
    assert result.index.cluster[[0, 1, 2, 3, 4, 6]].tolist() == [0, 1, 3, 4, 5, -1]


def test_a_bad_file_disturbs_no_other(model, kinds, tmp_path):
    (kinds / "hum" / "3a.wav").write_text("no sound", encoding="utf-8")
    broken = (kinds / "hiss" / "4.wav").read_bytes()
    (kinds / "hiss" / "4.wav").write_bytes(broken[:20])
    output = tmp_path / "index"

    def again():
        return embedded(model, kinds, tmp_path / "missing", output=output)

    result = again()
    assert len(result.index) == 17
    assert {Path(name).name for name, _ in result.failures} == {"3a.wav", "4.wav", "missing"}
    with (output / "bad_files.csv").open() as stream:
        assert [Path(row["file"]).name for row in csv.DictReader(stream)] == ["4.wav", "3a.wav"]
    second = again()
    assert second.n_new == 0
    assert len(second.failures) == 3, "what failed is told again"
    sf.write(kinds / "hum" / "3a.wav", sound("hum", 9), RATE)
    assert again().n_new == 1


# Embeds slowly, so that there is a middle to be killed in.
SCRIPT = """
import sys, time
from pathlib import Path
from semisonic.data import cache as journal
from semisonic.labeling import embedder as batching
from semisonic.labeling import embed as build
from semisonic.core.options import EngineOptions
journal.FLUSH_INTERVAL = 0.0
build.GROUP_CLIPS = 4
real = batching.Embedder.__call__
def slow(*arguments):
    time.sleep(0.3)
    return real(*arguments)
batching.Embedder.__call__ = slow
model, files, output = map(Path, sys.argv[1:4])
how = {"labels": "auto", "batch_size": 3, "device": "cpu", "workers": 2}
build.embed_files(model, [files], output, EngineOptions(), **how)
"""


@POSIX
def test_a_killed_run_goes_on_and_every_byte_is_the_same(model, kinds, long, tmp_path, monkeypatch):
    (kinds / "hum" / "3a.wav").write_text("no sound", encoding="utf-8")
    os.rename(long, kinds / "hum" / "long.wav")
    monkeypatch.setattr("semisonic.labeling.embed.GROUP_CLIPS", 4)
    embedded(model, kinds, output=tmp_path / "whole", batch_size=3, workers=2)
    output = tmp_path / "killed"
    command = [sys.executable, "-c", SCRIPT, str(model), str(kinds), str(output)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    journal = output / "store" / "journal.jsonl"
    until(lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 2, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (output / "index.csv").exists()
    with pytest.raises(DataError, match="not finished"):
        EmbeddingIndex.open(output)
    result = embedded(model, kinds, output=output, batch_size=3, workers=2)
    assert 0 < result.n_new < result.n_clips == 20
    assert content(output) == content(tmp_path / "whole")


def test_another_model_or_a_foreign_folder_is_refused(model, kinds, tmp_path):
    output = tmp_path / "index"
    embedded(model, kinds, output=output)
    with pytest.raises(OptionError, match=r"'hop' was None, now 0\.1"):
        embedded(model, kinds, output=output, hop=0.1)
    save_encoder(tmp_path / "enc.zip", build_encoder("(8)3c-2p", MEL, standardize="none"))
    with pytest.raises(OptionError, match="'model' was"):
        embedded(tmp_path / "enc.zip", kinds, output=output)
    with pytest.raises(OptionError, match="not the folder of an index"):
        embedded(model, kinds, output=kinds)
    with pytest.raises(DataError, match="expected the folder of an index"):
        EmbeddingIndex.open(kinds)


def test_an_encoder_without_classes_embeds_too(kinds, tmp_path):
    save_encoder(tmp_path / "enc.zip", build_encoder("(8)3c-2p", MEL, standardize="none"))
    index = embed(tmp_path / "enc.zip", [kinds / "hum"], tmp_path / "index", device="cpu")
    assert index.vectors.shape == (6, 8)
    assert index.about["model"]["classes"] == []
    assert set(index.predicted.tolist()) == {""}


def test_a_model_in_memory_and_a_table(model, kinds, monkeypatch):
    ends = []
    monkeypatch.setattr(atexit, "register", ends.append)
    clips = Clips.from_rows(kinds, [{"file": f"hum/{i}.wav", "labels": "a"} for i in range(3)])
    index = embed(open_model(model), clips, device="cpu")
    assert len(index) == 3
    assert index.clips.classes == ("a",)
    hits = index.search(sound("hum", 1), 1, sample_rate=RATE)
    assert Path(hits[0].file).name == "1.wav"
    with pytest.raises(OptionError, match="expected the file of a model"):
        embed(3, clips)
    assert index.folder.is_dir()
    for end in ends:
        end()
    assert not index.folder.exists()  # it was given no place: it goes with the program


def test_both_can_be_moved_together(model, kinds, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    os.rename(kinds, place / "sounds")
    embed(model, place / "sounds", place / "index", device="cpu")
    os.rename(place, tmp_path / "elsewhere")
    index = EmbeddingIndex.open(tmp_path / "elsewhere" / "index")
    assert all(path.is_file() for path in index.clips.paths)


def test_a_model_that_is_gone_or_another_is_named(model, kinds, tmp_path):
    own = tmp_path / "own.zip"
    own.write_bytes(model.read_bytes())
    embed(own, kinds / "hum", tmp_path / "index", device="cpu")
    own.unlink()
    index = EmbeddingIndex.open(tmp_path / "index")
    with pytest.raises(ModelError, match="--model"):
        index.embedder()
    save_encoder(tmp_path / "enc.zip", build_encoder("(8)3c-2p", MEL, standardize="none"))
    with pytest.raises(ModelError, match="not the model"):
        index.embedder(tmp_path / "enc.zip")
    assert index.embedder(model).dim == 8


@NAMES_OF_BYTES
def test_any_file_name_comes_through(model, tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    names = ['a;b, "c".wav', "ü 鳥.wav", os.fsdecode(b"\xff.wav"), "NA.wav"]
    for number, name in enumerate(names):
        (folder / "0.wav").unlink(missing_ok=True)
        sf.write(folder / "0.wav", sound("hum", number), RATE)
        os.rename(folder / "0.wav", folder / name)
    index = embed(model, folder, tmp_path / "index", device="cpu", workers=1)
    assert {path.name for path in index.clips.paths} == set(names)
    assert all(path.is_file() for path in index.clips.paths)
    assert len(embed(model, folder, tmp_path / "index", device="cpu", workers=1)) == 4
    draw_map(index.folder, projection="pca", megabytes=0.0)
    search_index(index.folder, row=(0,), output=tmp_path / "found")


def test_vectors_of_another_encoder_are_searched_drawn_and_asked_about(kinds, tmp_path):
    files = sorted(kinds.rglob("*.wav"))
    number = [KINDS.index(file.parent.name) for file in files]
    rng = np.random.default_rng(0)
    vectors = np.eye(4)[number] + 0.05 * rng.normal(size=(len(files), 4))
    table = pd.DataFrame({"path": files, "species": [file.parent.name for file in files]})
    index = EmbeddingIndex.from_vectors(vectors, table, tmp_path / "own", model="BirdNET")
    assert [path.resolve() for path in index.clips.paths] == [file.resolve() for file in files]
    assert index.clips.end_time.tolist() == [pytest.approx(sf.info(f).duration) for f in files]
    again = EmbeddingIndex.open(tmp_path / "own")
    assert {again.clips.labels[hit.row] for hit in again.search(0, k=5)} == {again.clips.labels[0]}
    assert again.search(vectors[7], k=1)[0].row == 7
    frame = again.to_frame()
    assert frame["label"].tolist() == table.species.tolist()
    assert np.allclose(frame[[0, 1, 2, 3]], vectors, atol=1e-6)
    drawn = draw_map(tmp_path / "own", clusters="3")
    assert "purity 100.0 %" in drawn.text
    assert "BirdNET" in drawn.report.read_text(encoding="utf-8")
    assert len(suggest(None, again, 6)) == 6
    with pytest.raises(ModelError, match="made elsewhere \\(BirdNET\\)"):
        again.search(files[0])
    with pytest.raises(DataError, match=r"found shape \(18, 4\) for 17 clips"):
        EmbeddingIndex.from_vectors(vectors, files[1:], tmp_path / "b")
    with pytest.raises(DataError, match="already exists"):
        EmbeddingIndex.from_vectors(vectors, table, tmp_path / "own")
    with pytest.raises(DataError, match="which gives no order of rows"):
        EmbeddingIndex.from_vectors(vectors, str(kinds), tmp_path / "b")


def test_a_recording_is_an_example_by_its_name(model, kinds, tmp_path):
    index = embed(model, kinds, tmp_path / "index", device="cpu", workers=1)
    file = kinds / "hum" / "3.wav"
    (best,) = index.search(str(file), k=1)
    assert index.clips.paths[best.row].resolve() == file.resolve()
