"""The verbs on real recordings, where they are at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from semisonic.classifier.evaluate import evaluate
from semisonic.classifier.model_file import open_model
from semisonic.classifier.options import EvaluateOptions, TrainOptions
from semisonic.classifier.predict import predict_files
from semisonic.classifier.train import train
from semisonic.features.options import MelOptions
from semisonic.training.options import FitOptions

MEL = MelOptions(sample_rate=16000, n_fft=1024, hop_length=1024, n_mels=32)
FIT = FitOptions(epochs=12, batch_size=16, monitor="val_choice", precision="fp32")


@pytest.mark.slow
def test_a_fold_of_esc10_is_learnt_and_scored(shared_data: Path, tmp_path: Path) -> None:
    data = shared_data / "esc10"
    options = TrainOptions(
        method="supervised",
        data=data,
        output=tmp_path / "run",
        model="(32)5c-2p-(32)3c-2p-(32)3c-2p-64fcr",
        mel=MEL,
        fit=FIT,
        test_fold=1,
        device="cpu",
    )
    train(options)
    result = evaluate(
        EvaluateOptions(
            model=tmp_path / "run", data=data, fold=1, output=tmp_path / "test", device="cpu"
        )
    )
    assert result.metrics["n_clips"] == 80
    assert result.metrics["accuracy"] > 0.4  # chance is 0.1
    assert not [overlap for overlap in result.overlaps if overlap.files]
    again = train(replace(options, cache=tmp_path / "run" / "cache"))
    assert again.metrics


def test_odd_files_are_predicted_or_reported(shared_data: Path, trained: Path) -> None:
    result = predict_files(open_model(trained), [shared_data / "odd_files"])
    assert result.n_clips >= 1
    assert all(reason for _, reason in result.failures)
    named = {row[0] for row in result.rows} | {name for name, _ in result.failures}
    assert len(named) == result.n_clips + len(result.failures)
