"""Calls and verbs on a Ray cluster, some of which do not end well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from far_work import make_failing, make_patient, make_sleeper

from calls import cli
from semisonic.core.cluster import open_engine
from semisonic.core.errors import AudioError, DataError, OptionError, SemisonicError
from semisonic.core.options import EngineOptions
from semisonic.core.parallel import Engine, in_any_order, in_order
from waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def engine(cluster) -> Iterator[Engine]:
    with open_engine(EngineOptions("ray", cluster)) as opened:
        yield opened


def test_a_node_that_dies_loses_and_doubles_nothing(engine, tmp_path, doomed) -> None:
    log, n = tmp_path / "log", 24
    # As soon as it has begun something, so in the middle of that.
    killer = doomed(lambda node: log.is_file() and node in log.read_text(encoding="utf-8"))
    with engine.calls(partial(make_sleeper, log, 0.5)) as calls:
        found = [number for number, _ in in_order(calls, range(n))]
    killer.join(5)
    assert not killer.is_alive()
    assert found == list(range(n))
    begun = log.read_text(encoding="utf-8").split()[::2]
    assert len(begun) > n  # some began once more
    assert {int(number) for number in begun} == set(range(n))


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("ours", DataError, "^the table is wrong$"),
        ("sound", AudioError, r"^a.wav: empty\. Record it again$"),
        ("bug", ZeroDivisionError, "on purpose"),
        ("vanish", SemisonicError, "started 2 times"),
    ],
)
def test_errors_come_back_as_what_they_are(engine, monkeypatch, how, kind, text) -> None:
    from semisonic.core import cluster

    monkeypatch.setattr(cluster, "RETRIES", 1)
    with pytest.raises(kind, match=text), engine.calls(make_failing) as calls:
        list(in_any_order(calls, [how]))


def test_of_what_is_given_up_short_calls_end_and_long_ones_are_interrupted(
    engine, tmp_path
) -> None:
    log = tmp_path / "log"
    log.touch()
    with engine.calls(partial(make_patient, log)) as calls:
        for seconds in (3600, 0.4):  # the second is under way when both are given up
            calls.submit(seconds)
            until(lambda begun=f"begun {seconds}": begun in log.read_text(encoding="utf-8"))
    assert log.read_text(encoding="utf-8").splitlines() == [
        "begun 3600",
        "begun 0.4",
        "ended 0.4",
        "interrupted 3600",
    ]


def test_a_card_is_not_waited_for_where_there_is_none(engine) -> None:
    with pytest.raises(OptionError, match="no node of the Ray cluster has a graphics card"):
        engine.calls(make_failing, device="cuda")


@pytest.fixture
def on(cluster) -> list[str]:
    return ["--engine", "ray", "--address", cluster, "-q"]


def _content(index: Path) -> tuple[bytes, bytes, bytes]:
    names = ("embeddings.npy", "index.csv", "bad_files.csv")
    return tuple((index / name).read_bytes() for name in names)  # type: ignore[return-value]


def test_embed(model, sounds, tmp_path, on, monkeypatch) -> None:
    from semisonic.labeling import embed as build

    monkeypatch.setattr(build, "GROUP_CLIPS", 3)
    monkeypatch.chdir(tmp_path)  # relative paths mean the same there
    command = ["embed", str(model), str(sounds), "--device", "cpu", "-o"]
    assert cli(command, "here -q") == 3
    assert cli(command, "there", on) == 3
    assert _content(Path("there")) == _content(Path("here"))
    assert b"bad.wav" in _content(Path("there"))[2]
    assert len(np.load("there/embeddings.npy")) >= 14


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
    run = json.loads((there / "run.json").read_text(encoding="utf-8"))
    assert run["options"]["where"]["engine"] == "ray"
    # Finished here by the other engine: nothing is trained again.
    stamps = {path: path.stat().st_mtime_ns for path in there.glob("jobs/*/job.json")}
    assert cli(command, there, "-q") == 0
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_the_cluster_file_has_the_form_that_ray_asks_for() -> None:
    ray = pytest.importorskip("ray")
    import jsonschema
    import yaml

    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    found = yaml.safe_load(
        (Path(__file__).parents[2] / "docs" / "guides" / "cluster.yaml").read_text(encoding="utf-8")
    )
    jsonschema.validate(found, json.loads(schema.read_text(encoding="utf-8")))
    assert found["head_node_type"] in found["available_node_types"]
