"""From a folder without a label to a classifier, and on after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
from labeling_sounds import KINDS, MEL, RATE, sound

from semisonic import SoundClassifier, evaluate
from semisonic.classifier.model_file import open_model
from semisonic.core.errors import DataError, ModelError, OptionError
from semisonic.data.datasets.load import load_clips
from semisonic.labeling import start as starting
from semisonic.labeling.options import ProjectOptions
from semisonic.labeling.project import Project
from semisonic.labeling.queue import take_answers
from semisonic.labeling.rounds import HISTORY
from semisonic.labeling.start import start_project
from semisonic.models.model_file import save
from semisonic.models.sound_model import build


@pytest.fixture
def options(model, project):
    """What the project was started with."""
    return ProjectOptions(
        project.recordings, project.folder, encoder=str(model), clusters="3", workers=1
    )


def truth(row):
    found = Path(row.file).parent.name
    return found if found in KINDS else "hum"  # the copy


def answer(project, n, **how):
    for row in project.suggest(n, **how):
        project.log.append(row.file, row.start_time, row.end_time, truth(row), source=row.source)


def test_what_is_found_is_told_and_left_out(started):
    assert started.n_recordings == 18
    assert [Path(name).name for name, _ in started.failures] == ["broken.wav"]
    assert "1 silent recording left out" in started.notes[0]
    assert "1 copy of another left out" in started.notes[1]
    assert started.n_clusters == 3
    assert started.project.describe()["segments"] == 18


@pytest.mark.slow
def test_a_group_like_steady_noise_is_marked(tmp_path):
    """With the encoder of the package: one that nobody trained knows no noise."""
    rate, rng = 22_050, np.random.default_rng(0)
    (tmp_path / "sounds").mkdir()
    time_s = np.arange(5 * rate) / rate
    for number in range(5):
        noise = rng.normal(0, 0.02 * (number + 1), len(time_s))
        chirps = np.sin(2 * np.pi * (900 + 60 * number) * time_s) * (time_s * 4 % 1 < 0.3)
        sf.write(tmp_path / "sounds" / f"noise-{number}.wav", noise, rate)
        sf.write(tmp_path / "sounds" / f"chirps-{number}.wav", 0.3 * chirps + noise / 50, rate)
    how = {"encoder": "synth", "clusters": "2", "device": "cpu", "workers": 1}
    started = start_project(ProjectOptions(tmp_path / "sounds", tmp_path / "project", **how))
    groups = started.project.clusters(5)
    marked = {one.typical[0].file.partition("-")[0]: one.is_noise for one in groups}
    assert marked == {"noise": True, "chirps": False}


def test_recordings_that_come_later_are_taken_in_and_nothing_is_touched(project, options, tmp_path):
    options = replace(options, output=tmp_path / "new")
    first = start_project(options)
    np.testing.assert_array_equal(first.project.index.vectors, project.index.vectors)
    answer(first.project, 6)
    sf.write(project.recordings / "hum" / "9.wav", sound("hum", 9), RATE)
    files = [path for path in project.recordings.rglob("*") if path.is_file()]
    before = [(path.stat().st_mtime_ns, path.read_bytes()) for path in files]
    again = start_project(options)
    assert len(again.project.index) == 19
    assert "unchanged" in again.notes[-1]
    assert again.project.learn().n_answers == 6
    assert before == [(path.stat().st_mtime_ns, path.read_bytes()) for path in files]


def test_many_recordings_are_told_apart_first(options, model, tmp_path, monkeypatch):
    asked = []

    def fake(how):
        asked.append(how)
        return SimpleNamespace(encoder=model)

    monkeypatch.setattr(starting, "FEWEST_HEARD", 18)
    monkeypatch.setattr(starting, "pretrain", fake)
    monkeypatch.setattr(starting, "synthetic_file", lambda *_, **__: model)
    steps: list[str] = []
    monkeypatch.setattr(starting, "MOST_PRETRAINED", 10)
    new = replace(options, encoder="auto", output=tmp_path / "new")
    started = start_project(new, tell=steps.append)
    assert steps == list(starting.STEPS)
    (how,) = asked
    assert (how.objective, str(how.encoder)) == ("simclr", "synth")
    assert "10 windows of the recordings by contrast" in started.notes[-1]
    heard = load_clips(how.data)
    assert len(heard) == 10
    assert all(path.is_file() for path in heard.paths)
    assert started.project.encoder.read_bytes() == model.read_bytes()


def test_rounds_end_in_a_classifier_that_knows_the_kinds(project, tmp_path):
    assert project.model is None
    answer(project, 6)
    first = project.learn()
    assert set(first.counts) == set(KINDS)
    assert sum(first.counts.values()) == 6
    assert first.by_random.n == 0  # nothing was drawn at random before there was a classifier
    answer(project, 10, random_share=0.5)
    second = project.learn()
    assert second.n_answers == 16
    assert second.left_out.accuracy == 1.0
    assert second.by_random.n >= 5
    assert second.by_random.accuracy == 1.0
    assert project.history.n_answers.tolist() == [6, 16]
    assert project.history.random_accuracy.tolist()[1] == 1.0
    assert project.classes == KINDS
    for kind in KINDS:
        sf.write(tmp_path / f"{kind}.wav", sound(kind, 90), RATE)
    model = SoundClassifier.load(second.model)
    assert model.predict([tmp_path / f"{kind}.wav" for kind in KINDS]).tolist() == list(KINDS)
    # of files it says what it says of the vectors that are kept
    pool = project.pool()
    assert np.allclose(model.predict_proba(pool.clips.paths), pool.scores, atol=1e-4)
    # and it knows what it was trained on
    with pytest.raises(DataError, match="the model was trained on 16 recordings"):
        evaluate(second.model, project.log.path, tmp_path / "evaluation")


def test_a_round_that_was_killed_is_done_again_with_the_same_result(project):
    answer(project, 9)
    first = project.learn()
    weights = open_model(first.model).state_dict()
    # Killed after the model was written, before the history was.
    (project.folder / HISTORY).unlink()
    again = project.learn()
    assert len(project.history) == 1
    assert again.state == first.state
    for name, value in open_model(again.model).state_dict().items():
        assert np.allclose(value.numpy(), weights[name].numpy(), atol=1e-6), name
    project.learn()
    assert len(project.history) == 1  # the same answers are one step
    (project.folder / HISTORY).write_text("time,notes\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read as the history"):
        project.learn()


def test_scores_are_calibrated_by_answers_that_were_left_out(project, options, tmp_path):
    for kind in KINDS:
        for number in (6, 7):
            sf.write(project.recordings / kind / f"{number}.wav", sound(kind, number), RATE)
    project = start_project(replace(options, output=tmp_path / "new")).project
    answer(project, 19)
    made = project.learn()
    assert any("not calibrated: this needs 20 answers" in note for note in made.notes)
    assert open_model(made.model).decision.calibration.method == "none"
    answer(project, 1)
    decision = open_model(project.learn().model).decision
    assert decision.calibration.method == "temperature"
    assert decision.note["clips"] == 20
    assert np.allclose(project.pool().scores.sum(axis=1), 1.0)


def test_a_table_that_was_filled_in_gives_answers_once(project):
    table = project.folder / "queue.csv"
    project.suggest(6).write(table)
    lines = table.read_text(encoding="utf-8").splitlines()
    texts = ["hum", "-", "?", "hum;hiss", "", " sweep "]
    filled = [
        line.replace(",,typical", f",{text},typical")
        for line, text in zip(lines[1:], texts, strict=True)
    ]
    table.write_text("\n".join([lines[0], *filled]) + "\n", encoding="utf-8")
    taken = take_answers(project.log, table, annotator="ann")
    said = [(entry.presence, entry.labels) for entry in taken]
    assert said == [
        ("positive", ("hum",)),
        ("negative", ()),
        ("uncertain", ()),
        ("positive", ("hum", "hiss")),
        ("positive", ("sweep",)),
    ]
    assert {entry.source for entry in taken} == {"suggest:typical"}
    assert take_answers(project.log, table, annotator="ann") == ()
    assert len(project.suggest(18)) == 13


def test_several_labels_a_clip(project):
    project.set_several_labels(True)
    for row in project.suggest(18):
        kind = truth(row)
        labels = {"hiss": ("hiss", "noise"), "hum": ("hum",), "sweep": ()}[kind]
        presence = "positive" if labels else "negative"
        project.log.append(row.file, row.start_time, row.end_time, labels, presence=presence)
    made = project.learn()
    assert made.counts == {"hiss": 6, "hum": 6, "noise": 6}
    assert open_model(made.model).multi_label
    assert made.left_out.accuracy > 0.5
    with pytest.raises(DataError, match="all 18 segments are answered"):
        project.suggest(5)


def test_one_answer_with_two_labels_leaves_a_project_of_one_label_as_it_is(project):
    answer(project, 12)
    before = project.learn()
    (row,) = project.suggest(1)
    project.log.append(row.file, row.start_time, row.end_time, ["hum", "hiss"], annotator="ann")
    after = project.learn()
    assert not open_model(after.model).multi_label
    assert after.counts == before.counts
    assert after.left_out == before.left_out
    assert "segments with several labels" in after.summary()
    project.set_several_labels(True)
    assert Project.open(project.folder).several_labels
    several = project.learn()
    assert open_model(several.model).multi_label
    assert project.history.several_labels.tolist() == [False, False, True]
    assert project.history.notes.tolist()[-1] == " | ".join(several.notes)


def test_clusters_are_named_by_what_is_answered_in_them(project):
    clusters = project.clusters(2)
    assert [cluster.size for cluster in clusters] == [6, 6, 6]
    for cluster in clusters:
        assert len({row.file for row in cluster.typical}) == 2
        for row in cluster.typical:
            project.log.append(row.file, row.start_time, row.end_time, truth(row))
    named = project.clusters(2)
    assert sorted(max(c.answers, key=lambda k: c.answers[k]) for c in named) == list(KINDS)
    assert project.learn().n_answers == 6  # an answer labels its segment and nothing else


@pytest.mark.parametrize("what", ["learn", "label_issues"])
def test_too_few_answers_are_told(project, what):
    with pytest.raises(DataError, match="found 0 answers of 0 classes"):
        getattr(project, what)()
    project.log.append("hum/1.wav", 0, 0.5, "hum")
    project.log.append("elsewhere.wav", 0, 0.5, "hum")
    with pytest.raises(DataError, match="no segment of the pool: 1; expected at least two classes"):
        getattr(project, what)()


def test_folders_of_something_else_and_other_options_are_refused(options, tmp_path):
    with pytest.raises(OptionError, match="'clusters' was 3, now 2"):
        start_project(replace(options, clusters="2"))
    with pytest.raises(OptionError, match="not the folder of a project; choose a new"):
        start_project(replace(options, output=options.recordings))
    with pytest.raises(DataError, match="'semisonic project new"):
        Project.open(tmp_path)


def test_an_encoder_with_layers_behind_it_is_refused(options, tmp_path):
    flat = build("(4)3c-2p-8fc", MEL, ("x", "y"), standardize="none")
    save(tmp_path / "flat.zip", flat, about={"seed": 0})
    with pytest.raises(ModelError, match="layers between encoder and class layer"):
        start_project(replace(options, encoder=str(tmp_path / "flat.zip"), output=tmp_path / "new"))


def test_a_project_that_was_moved_still_works(project, tmp_path):
    answer(project, 9)
    project.learn()
    project.folder.parent.rename(tmp_path / "moved")
    moved = Project.open(tmp_path / "moved" / "project")
    assert len(moved.log.entries()) == 9
    assert moved.learn().n_answers == 9
    assert moved.pool().scores is not None


def test_project_log_and_index_show_themselves(project):
    for row in project.suggest(6):
        labels = truth(row)
        project.log.append(row.file, row.start_time, row.end_time, labels, annotator="<ada>")
    log, index = project.log._repr_html_(), project.index._repr_html_()
    assert "<td" in log
    for text in ("LabelLog", "&lt;ada&gt;", str(project.recordings)):
        assert text in log
    for text in ("EmbeddingIndex", f"{len(project.index)}, each of {project.index.dim} numbers"):
        assert text in index
    assert "... and" in index
    assert "nan" not in index.lower()
    before = project._repr_html_()
    assert str(project.folder) in before
    project.learn()
    assert project._repr_html_().count("<tr>") == before.count("<tr>") + 1
