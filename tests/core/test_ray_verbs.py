"""The verbs on a Ray cluster give what they give on one machine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calls import cli

pytestmark = pytest.mark.slow
RATE = 8000


@pytest.fixture
def on(cluster) -> list[str]:
    return ["--engine", "ray", "--address", cluster, "-q"]


def test_detect(model, sounds, tmp_path, on) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    command = ["detect", str(model), str(sounds), "--threshold", "0.2", "--device", "cpu", "-o"]
    assert cli(command, here, "-q") == 3
    assert cli(command, there, on) == 3
    table = (here / "events.csv").read_bytes()
    assert table.count(b"\n") > 10
    assert (there / "events.csv").read_bytes() == table
    assert (there / "bad_files.csv").read_bytes() == (here / "bad_files.csv").read_bytes()
    assert (there / "scores" / "data.bin").read_bytes() == (
        here / "scores" / "data.bin"
    ).read_bytes()
    # The engine is no part of the run: the same folder goes on here, and hears nothing again.
    before = (there / "scores" / "data.bin").stat().st_mtime_ns
    assert cli(command, there, "-q --merge-gap 5") == 3
    assert (there / "scores" / "data.bin").stat().st_mtime_ns == before


def _content(index: Path) -> tuple[bytes, bytes, bytes]:
    names = ("embeddings.npy", "index.csv", "bad_files.csv")
    return tuple((index / name).read_bytes() for name in names)  # type: ignore[return-value]


@pytest.mark.parametrize("per", ["window", "clip"])
def test_embed(model, sounds, tmp_path, on, per, monkeypatch) -> None:
    from semisonic.labeling import embed as build

    monkeypatch.setattr(build, "GROUP_CLIPS", 3)
    monkeypatch.chdir(tmp_path)  # relative paths mean the same there
    command = ["embed", str(model), str(sounds), "--per", per, "--device", "cpu", "-o"]
    assert cli(command, "here -q") == 3
    assert cli(command, "there", on) == 3
    assert _content(Path("there")) == _content(Path("here"))
    assert b"bad.wav" in _content(Path("there"))[2]
    assert len(np.load("there/embeddings.npy")) >= 14


def test_stores(sounds, tmp_path, cluster) -> None:
    from semisonic.classifier.prepare import prepare
    from semisonic.core.cluster import open_engine
    from semisonic.core.options import EngineOptions
    from semisonic.core.parallel import LOCAL_ENGINE
    from semisonic.data.datasets.load import load_clips
    from semisonic.data.stores import FeatureStore, SampleStore
    from semisonic.features.options import MelOptions

    clips = load_clips(sounds, labels="none")
    with open_engine(EngineOptions("ray", cluster)) as engine:
        stores = [
            SampleStore.build(clips, tmp_path / name, sample_rate=RATE, engine=where)
            for name, where in (("here", LOCAL_ENGINE), ("there", engine))
        ]
    assert stores[0].clips.ids == stores[1].clips.ids
    assert len(stores[0]) == 14
    for row in range(14):
        assert stores[0][row].tobytes() == stores[1][row].tobytes()
        assert stores[0].scale[row] == stores[1].scale[row]
    mel = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
    here = prepare(clips, mel, tmp_path / "cache-here", engine=LOCAL_ENGINE)
    with open_engine(EngineOptions("ray", cluster)) as engine:
        there = prepare(clips, mel, tmp_path / "cache-there", engine=engine)
    assert isinstance(there.features, FeatureStore)
    assert isinstance(here.features, FeatureStore)
    assert there.features.clips.ids == here.features.clips.ids
    assert there.features[:].tobytes() == here.features[:].tobytes()
    assert len(there.features) > 60
    assert there.failures == here.failures


def test_run(tiny_set, tiny_recipe, tmp_path, on, doomed) -> None:
    """A third of the cluster dies when the first job is done."""
    command = ["run", tiny_recipe, "--data", tiny_set / "labelled.csv", "--device", "cpu"]
    command += ["--change", "setting.fit.precision=fp32", "--no-near-copies", "-o"]
    here, there = tmp_path / "here", tmp_path / "there"
    assert cli(command, here, "-q --workers 1") == 0
    killer = doomed(lambda _: any(there.glob("jobs/*/job.json")))
    assert cli(command, there, on) == 0
    killer.join(5)
    assert not killer.is_alive()
    names = sorted(path.parent.name for path in here.glob("jobs/*/job.json"))
    assert sorted(path.parent.name for path in there.glob("jobs/*/job.json")) == names
    for file in sorted(here.glob("jobs/train-*/predictions.csv.gz")):
        first, second = (pd.read_csv(root / file.relative_to(here)) for root in (here, there))
        assert first.select_dtypes(exclude="float").equals(second.select_dtypes(exclude="float"))
        np.testing.assert_allclose(
            second.select_dtypes("float"), first.select_dtypes("float"), atol=1e-5
        )
    run = json.loads((there / "run.json").read_text())
    assert run["options"]["where"]["engine"] == "ray"
    # Finished here by the other engine: nothing is trained again.
    stamps = {path: path.stat().st_mtime_ns for path in there.glob("jobs/*/job.json")}
    assert cli(command, there, "-q") == 0
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
