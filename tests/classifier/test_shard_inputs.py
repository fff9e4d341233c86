"""Shards go into the verbs like the recordings in them, and the same comes out."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_sounds import MEL, NOTATION, QUICK, QUICK_PRETRAIN

from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.options import PredictOptions, TrainOptions
from semisonic.classifier.predict import predict
from semisonic.classifier.prepare import prepare
from semisonic.classifier.train import train
from semisonic.core.shards import SHARD_SUFFIXES
from semisonic.data.datasets.load import load_clips
from semisonic.data.datasets.shards import pack
from semisonic.data.options import ShardOptions


@pytest.fixture(scope="module", params=["tar", "parquet"])
def shards(
    request: pytest.FixtureRequest, others: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    pack(load_clips(others), folder, ShardOptions(5, request.param))
    return folder


def test_features_are_equal(others: Path, shards: Path, tmp_path: Path) -> None:
    a, b = (prepare(load_clips(p), MEL, tmp_path / p.name) for p in (others, shards))
    order = np.argsort([file.partition("::")[2] for file in b.clips.file.tolist()])
    np.testing.assert_array_equal(a.features[np.arange(len(a))], b.features[order])
    assert [a.clips.labels[i] for i in range(len(a))] == [b.clips.labels[i] for i in order]


def test_scores_are_equal(trained: Path, others: Path, shards: Path, tmp_path: Path) -> None:
    options = PredictOptions(model=trained, files=(others,), device="cpu", workers=1)
    table = tmp_path / "answers.csv"
    whole = predict(replace(options, files=(shards,), output=table))
    for files in ((others,), tuple(sorted(p for p in shards.iterdir() if p.suffix != ".txt"))):
        other = predict(replace(options, files=files))
        expected = {Path(row.file.split("::")[-1]).name + row.labels[0]: row for row in other.rows}
        assert len(expected) == whole.n_rows
        for row in whole.rows:
            found = expected[Path(row.file).name + row.labels[0]]
            assert row.scores == found.scores
            assert row.labels == found.labels
    one = predict(replace(options, files=(Path(whole.rows[3].file),)))
    assert one.rows[0].scores == pytest.approx(whole.rows[3].scores, abs=1e-6)
    assert len(predict(replace(options, files=(table,))).rows) == whole.n_rows


def test_a_damaged_shard_is_listed(trained: Path, shards: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(shards, folder)
    last = max(path for path in folder.iterdir() if path.suffix in SHARD_SUFFIXES)
    last.write_bytes(last.read_bytes()[:600])
    result = predict(PredictOptions(model=trained, files=(folder,), device="cpu", workers=1))
    ((file, reason),) = result.failures
    assert file == str(last)
    assert "a shard that cannot be read" in reason
    assert {Path(row.file.partition("::")[0]) for row in result.rows} == {
        path for path in folder.iterdir() if path != last and path.suffix == last.suffix
    }


def test_a_classifier_learns_from_shards(
    shards: Path, kinds: Path, pool: Path, tmp_path: Path
) -> None:
    pack(load_clips(pool), tmp_path / "pool", ShardOptions(10))
    result = train(
        TrainOptions(
            method="supervised",
            data=shards,
            output=tmp_path / "run",
            model=NOTATION,
            mel=MEL,
            fit=QUICK,
            device="cpu",
            unlabelled=tmp_path / "pool",
            validation=0.0,
            pretrain=QUICK_PRETRAIN,
        )
    )
    assert SoundClassifier.load(result.model).score(kinds) > 0.9
