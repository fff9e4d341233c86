"""Better vectors: learned from the project's recordings, used unless the answers speak against."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from labeling_sounds import KINDS

from semisonic.classifier.config import PRETRAIN
from semisonic.core.errors import DataError
from semisonic.labeling import improve, start
from semisonic.labeling.improve import improve_project, why_not
from semisonic.labeling.options import ProjectOptions
from semisonic.labeling.project import Project
from semisonic.labeling.start import start_project


@pytest.fixture
def begun(model, project, tmp_path, monkeypatch):
    """A project that began with what stands here for the encoder that comes with the package."""
    monkeypatch.setattr(improve, "FEWEST_HEARD", 18)
    monkeypatch.setattr(start, "SYNTH", str(model))
    monkeypatch.setattr(improve, "SYNTH", str(model))
    fit = replace(PRETRAIN, steps=2, epoch_steps=1, batch_size=4)
    monkeypatch.setattr(start, "PRETRAIN", fit)
    monkeypatch.setattr(start, "synthetic_file", lambda *_, **__: model)
    options = ProjectOptions(
        project.recordings, tmp_path / "new", encoder=str(model), clusters="3", workers=1
    )
    return start_project(options).project


def answer(project, n):
    for row in project.suggest(n):
        name = Path(row.file).parent.name
        label = name if name in KINDS else "hum"
        project.log.append(row.file, row.start_time, row.end_time, label, source=row.source)


def test_the_encoder_learns_and_answers_and_groups_stay(begun):
    answer(begun, 6)
    begun.learn()
    before, groups = np.array(begun.index.vectors), begun.index.cluster.copy()
    found = improve_project(begun.folder, device="cpu", workers=1)
    assert found.is_used
    now = Project(begun.folder)
    assert now.vectors_said == found.said
    assert now.encoder != begun.encoder
    assert not np.allclose(now.index.vectors, before)
    assert now.index.clips.file.tolist() == begun.index.clips.file.tolist()
    np.testing.assert_array_equal(now.index.cluster, groups)
    assert now.history.n_answers.tolist() == [6, 6]  # the classifier learned anew
    assert now.pool().scores is not None
    assert not (begun.folder / start.CACHE).exists()
    with pytest.raises(DataError, match="trained on these recordings"):
        improve_project(begun.folder, device="cpu")


def test_recordings_that_come_later_get_the_better_vectors(begun, project):
    improve_project(begun.folder, device="cpu", workers=1)
    shutil.copyfile(next(project.recordings.rglob("*.wav")), project.recordings / "late.wav")
    encoder = Project(begun.folder).encoder
    again = start_project(
        ProjectOptions(
            project.recordings,
            begun.folder,
            encoder=str(improve.SYNTH),
            clusters="3",
            workers=1,
        )
    )
    assert again.project.encoder == encoder
    assert again.project.vectors_said


def test_worse_vectors_are_not_used(begun, monkeypatch):
    answer(begun, 6)
    monkeypatch.setattr(improve, "FEWEST_CALIBRATED", 4)
    right = iter([(6, 6), (5, 6)])
    monkeypatch.setattr(improve, "_n_right", lambda *_: next(right))
    found = improve_project(begun.folder, device="cpu", workers=1)
    assert not found.is_used
    assert "5 of 6 answers" in found.said
    now = Project(begun.folder)
    assert now.encoder == begun.encoder
    np.testing.assert_array_equal(now.index.vectors, begun.index.vectors)
    assert why_not(now) == found.said


def test_an_interruption_is_gone_on_with(begun, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(improve, "make_index", stop)
        with pytest.raises(KeyboardInterrupt):
            improve_project(begun.folder, device="cpu", workers=1)
    assert Project(begun.folder).encoder == begun.encoder
    monkeypatch.setattr(improve, "learn_by_contrast", stop)  # is not done twice
    assert improve_project(begun.folder, device="cpu", workers=1).is_used


def test_too_few_segments_and_other_encoders_are_refused(begun, project, monkeypatch):
    monkeypatch.setattr(improve, "FEWEST_HEARD", 19)
    with pytest.raises(DataError, match="found 18 segments, expected at least 19"):
        improve_project(begun.folder)
    monkeypatch.setattr(improve, "SYNTH", "synth")
    with pytest.raises(DataError, match="not from the encoder that comes"):
        improve_project(begun.folder)


def test_what_was_decoded_goes_after_an_interruption_and_it_goes_on(begun, monkeypatch):
    """Decoded sounds are many times the size of the recordings."""
    whole = start.pretrain

    def interrupted(options):
        assert options.cache is not None
        options.cache.mkdir()
        (options.cache / "samples").write_bytes(bytes(1000))
        raise KeyboardInterrupt

    monkeypatch.setattr(start, "pretrain", interrupted)
    with pytest.raises(KeyboardInterrupt):
        improve_project(begun.folder, device="cpu", workers=1)
    assert not (begun.folder / start.CACHE).exists()
    monkeypatch.setattr(start, "pretrain", whole)
    assert improve_project(begun.folder, device="cpu", workers=1).is_used
