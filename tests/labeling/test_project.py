"""From a folder without a label to a classifier, and on after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
from labeling_sounds import KINDS, MEL, RATE, sound

from semisonic import SoundClassifier
from semisonic.classifier.evaluate import evaluate
from semisonic.classifier.model_file import open_model
from semisonic.classifier.options import EvaluateOptions
from semisonic.core.errors import DataError, ModelError, OptionError
from semisonic.data.datasets.load import load_clips
from semisonic.labeling import start as starting
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.options import ProjectOptions
from semisonic.labeling.project import Project
from semisonic.labeling.queue import take_answers
from semisonic.labeling.rounds import HISTORY
from semisonic.labeling.start import start_project
from semisonic.labeling.suggest import candidate_pool
from semisonic.models.model_file import save
from semisonic.models.sound_model import build


@pytest.fixture
def options(model, kinds, tmp_path):
    """18 recordings of three kinds, a copy of one, a silent one, and one that is no sound."""
    (kinds / "copy.wav").write_bytes((kinds / "hum" / "0.wav").read_bytes())
    (kinds / "broken.wav").write_bytes(b"RIFF")
    sf.write(kinds / "silent.wav", np.zeros(RATE), RATE)
    return ProjectOptions(
        recordings=kinds, output=tmp_path / "project", encoder=str(model), clusters="3", workers=1
    )


@pytest.fixture
def project(options):
    """A project without an answer."""
    return start_project(options).project


def truth(row):
    found = Path(row.file).parent.name
    return found if found in KINDS else "hum"  # the copy


def answer(project, n, **how):
    for row in project.suggest(n, **how):
        project.log.append(row.file, row.start_time, row.end_time, truth(row), source=row.source)


def test_what_is_found_is_told_and_left_out(options):
    started = start_project(options)
    assert started.n_recordings == 18
    assert [Path(name).name for name, _ in started.failures] == ["broken.wav"]
    assert len(started.notes) == 3
    assert "1 silent recordings left out" in started.notes[0]
    assert "1 copies of others left out" in started.notes[1]
    assert len(started.project.index) == 18
    assert started.n_clusters == 3
    again = start_project(options)
    assert np.array_equal(again.project.index.vectors, started.project.index.vectors)
    assert Project.open(options.output).describe()["segments"] == 18


def test_recordings_that_come_later_are_taken_in(options, kinds):
    project = start_project(options).project
    answer(project, 6)
    sf.write(kinds / "hum" / "9.wav", sound("hum", 9), RATE)
    again = start_project(options)
    assert len(again.project.index) == 19
    assert "as it was" in again.notes[-1]
    assert again.project.learn().n_answers == 6


def test_many_recordings_are_told_apart_first(options, model, monkeypatch):
    asked = []

    def fake(how):
        asked.append(how)
        return SimpleNamespace(encoder=model)

    monkeypatch.setattr(starting, "LEAST_HEARD", 18)
    monkeypatch.setattr(starting, "pretrain", fake)
    monkeypatch.setattr(starting, "synthetic_file", lambda *_, **__: model)
    steps: list[str] = []
    monkeypatch.setattr(starting, "MOST_PRETRAINED", 10)
    started = start_project(replace(options, encoder="auto"), tell=steps.append)
    assert steps == list(starting.STEPS)
    (how,) = asked
    assert (how.objective, str(how.encoder)) == ("simclr", "synth")
    assert "10 windows of the recordings by contrast" in started.notes[-1]
    heard = load_clips(how.data)
    assert len(heard) == 10
    assert all(path.is_file() for path in heard.paths)
    assert started.project.encoder.read_bytes() == model.read_bytes()


def test_rounds_end_in_a_classifier_that_knows_the_kinds(project, kinds, tmp_path):
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
    assert project.classes == KINDS
    new = [sound(kind, 90) for kind in KINDS]
    for kind, wave in zip(KINDS, new, strict=True):
        sf.write(tmp_path / f"{kind}.wav", wave, RATE)
    found = SoundClassifier.load(project.folder / "model.zip").predict(
        [tmp_path / f"{kind}.wav" for kind in KINDS]
    )
    assert found.tolist() == list(KINDS)


def test_the_classifier_says_of_files_what_it_says_of_kept_vectors(project, kinds):
    answer(project, 9)
    project.learn()
    pool = project.pool()
    assert pool.scores is not None
    files = pool.clips.paths
    direct = SoundClassifier.load(project.folder / "model.zip").predict_proba(files)
    assert np.allclose(direct, pool.scores, atol=1e-4)


def test_the_model_knows_what_it_was_trained_on(project, tmp_path):
    answer(project, 9)
    made = project.learn()
    with pytest.raises(DataError, match="the model was trained on 9 recordings"):
        evaluate(
            EvaluateOptions(model=made.model, data=project.log.path, output=tmp_path / "evaluation")
        )


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


def test_scores_are_calibrated_by_answers_that_were_left_out(options, kinds):
    for kind in KINDS:
        for number in (6, 7):
            sf.write(kinds / kind / f"{number}.wav", sound(kind, number), RATE)
    project = start_project(options).project
    answer(project, 19)
    made = project.learn()
    assert any("not calibrated: that takes 20 answers" in note for note in made.notes)
    assert open_model(made.model).decision.is_empty
    answer(project, 1)
    decision = open_model(project.learn().model).decision
    assert decision.calibration.method == "temperature"
    assert decision.note["clips"] == 20
    pool = project.pool()
    assert pool.scores is not None
    assert np.allclose(pool.scores.sum(axis=1), 1.0)


def test_a_table_that_was_filled_in_gives_answers_once(project):
    table = project.folder / "queue.csv"
    queue = project.suggest(6)
    queue.write(table)
    lines = table.read_text().splitlines()
    texts = ["hum", "-", "?", "hum;hiss", "", " sweep "]
    filled = [
        line.replace(",,typical", f",{text},typical")
        for line, text in zip(lines[1:], texts, strict=True)
    ]
    table.write_text("\n".join([lines[0], *filled]) + "\n")
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
    model = open_model(made.model)
    assert model.multi_label
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
    assert any("segments with several labels" in note for note in after.notes)
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
    plain = project.learn()
    assert plain.n_answers == 6  # an answer labels its segment and nothing else


def test_too_few_answers_are_told(project):
    with pytest.raises(DataError, match="found 0 answers of 0 classes"):
        project.learn()
    project.log.append("hum/1.wav", 0, 0.5, "hum")
    project.log.append("elsewhere.wav", 0, 0.5, "hum")
    with pytest.raises(DataError, match="no segment of the pool: 1"):
        project.learn()


def test_folders_of_something_else_and_other_options_are_refused(options, project, tmp_path, kinds):
    with pytest.raises(OptionError, match="'clusters' was 3, now 2"):
        start_project(replace(options, clusters="2"))
    with pytest.raises(OptionError, match="not the folder of a project; choose a new"):
        start_project(replace(options, output=kinds))
    with pytest.raises(DataError, match="'semisonic project new"):
        Project.open(tmp_path)


def test_an_encoder_with_layers_behind_it_is_refused(options, tmp_path):
    flat = build("(4)3c-2p-8fc", MEL, ("x", "y"), standardize="none")
    save(tmp_path / "flat.zip", flat, about={"seed": 0})
    with pytest.raises(ModelError, match="layers of its own behind the encoder"):
        start_project(replace(options, encoder=str(tmp_path / "flat.zip"), output=tmp_path / "new"))


def test_nothing_of_the_recordings_is_touched(options, kinds):
    def state():
        return {
            str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in kinds.rglob("*") if p.is_file()
        }

    before = state()
    project = start_project(options).project
    answer(project, 6)
    project.learn()
    assert state() == before


def test_a_project_that_was_moved_still_works(project, kinds):
    answer(project, 9)
    project.learn()
    place = kinds.parent / "moved"
    (kinds.parent / "together").mkdir()
    project.folder.rename(place)
    moved = Project.open(place)
    assert len(moved.log.entries()) == 9
    assert moved.learn().n_answers == 9
    assert isinstance(moved.log, LabelLog)
    assert candidate_pool(moved.model, moved.index, place).scores is not None
