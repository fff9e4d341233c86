"""Long work in processes of this machine gives what it gives in threads."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from far_work import meet, who

from calls import cli
from semisonic.classifier import scoring as predicting
from semisonic.classifier.detection import detect
from semisonic.classifier.model_file import open_model
from semisonic.classifier.scoring import score_clips
from semisonic.core.errors import DataError, SemisonicError
from semisonic.core.files import locked
from semisonic.core.parallel import (
    LOCAL_ENGINE,
    PROCESS_ENGINE,
    allow_processes,
    engine_for,
    in_any_order,
    in_order,
)
from semisonic.data import stores as store
from semisonic.data.datasets.load import load_clips
from semisonic.data.stores import FeatureStore, SampleStore
from semisonic.features.frontend import make_extractor
from semisonic.features.options import MelOptions
from semisonic.labeling import embed as build
from systems import POSIX
from waiting import until

RATE = 8000
MEL = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)


@pytest.fixture
def allowed() -> Iterator[None]:
    allow_processes()
    yield
    allow_processes(False)


def test_calls_in_two_processes(tmp_path) -> None:
    with PROCESS_ENGINE.calls(partial(partial, meet, tmp_path), workers=2) as calls:
        found = list(in_order(calls, range(40)))
    assert [x for x, _ in found] == list(range(40))
    assert os.getpid() not in {process for _, process in found}


def test_an_error_of_a_call_is_raised_here() -> None:
    with (
        pytest.raises(DataError, match="seven"),
        PROCESS_ENGINE.calls(partial(partial, who, 0), workers=1) as calls,
    ):
        list(in_any_order(calls, range(8)))  # an 8 would kill the process meanwhile


def test_a_process_that_is_killed_is_an_error_with_advice() -> None:
    with (
        pytest.raises(SemisonicError, match="--workers 1"),
        PROCESS_ENGINE.calls(partial(partial, who, 0), workers=1) as calls,
    ):
        list(in_any_order(calls, [8, *range(5)]))


def test_processes_where_they_are_worth_it(allowed) -> None:
    assert engine_for(LOCAL_ENGINE, 100, 100, 2) is PROCESS_ENGINE
    assert engine_for(LOCAL_ENGINE, 99, 100, 2) is LOCAL_ENGINE
    assert engine_for(LOCAL_ENGINE, 100, 100, 1) is LOCAL_ENGINE
    assert engine_for(PROCESS_ENGINE, 1, 100, 2) is PROCESS_ENGINE
    allow_processes(False)
    assert engine_for(LOCAL_ENGINE, 100, 100, 2) is LOCAL_ENGINE


def test_stores(sounds, tmp_path) -> None:
    clips = load_clips(sounds, labels="none")
    found = []
    for name, engine in (("threads", LOCAL_ENGINE), ("processes", PROCESS_ENGINE)):
        samples = SampleStore.build(
            clips, tmp_path / name / "samples", sample_rate=RATE, workers=2, engine=engine
        )
        features = FeatureStore.build(
            samples,
            tmp_path / name / "features",
            extractor=partial(make_extractor, MEL),
            key="k",
            shape=MEL.shape,
            n_samples=MEL.n_samples,
            workers=2,
            engine=engine,
        )
        found.append(
            (
                [samples[row].tobytes() for row in range(len(samples))],
                samples.clips.ids,
                samples.failures,
                samples.notes,
                features[:].tobytes(),
            )
        )
    assert len(found[0][0]) == 15
    assert len(found[0][2]) == 1
    assert found[0] == found[1]


def test_scores(model, sounds, allowed, monkeypatch) -> None:
    opened = open_model(model)
    clips = load_clips(sounds, labels="none")
    here = list(score_clips(opened, clips, workers=2))
    monkeypatch.setattr(predicting, "WORTH_PROCESSES", 2)
    monkeypatch.setattr(predicting, "BLOCK_CLIPS", 3)
    monkeypatch.setattr(predicting, "stream_windows", None)  # nothing is scored in this process
    there = list(score_clips(opened, clips, workers=2))
    assert [one.row for one in there] == list(range(len(clips)))
    assert [one.reason for one in there] == [one.reason for one in here]
    for one, other in zip(here, there, strict=True):
        assert one.times.tolist() == other.times.tolist()
        assert one.windows == pytest.approx(other.windows, abs=1e-6)
        assert one.known.tolist() == other.known.tolist()


@pytest.mark.parametrize("verb", ["detect", "embed"])
def test_verbs(verb, model, sounds, tmp_path, monkeypatch) -> None:
    tables = {"detect": ("events.csv", "bad_files.csv"), "embed": ("embeddings.npy", "index.csv")}
    more = ["--threshold", "0.2"] if verb == "detect" else []
    made = []
    engine_calls = PROCESS_ENGINE.calls
    monkeypatch.setattr(
        PROCESS_ENGINE, "calls", lambda *a, **k: (made.append(1), engine_calls(*a, **k))[1]
    )
    for name, worth in (("threads", math.inf), ("processes", 1)):
        monkeypatch.setattr(detect, "WORTH_PROCESSES", worth)
        monkeypatch.setattr(build, "WORTH_PROCESSES", worth)
        command = [verb, str(model), str(sounds), "-o", str(tmp_path / name), "--device", "cpu"]
        assert cli(command, "--workers 2 -q", more) == 3
        assert len(made) == (name == "processes")
    for table in tables[verb]:
        one, other = ((tmp_path / name / table).read_bytes() for name in ("threads", "processes"))
        assert one == other
        assert len(one) > 100


BUILD = """
from pathlib import Path
import sys
from semisonic.data import cache as journal
from semisonic.data import stores as store
from semisonic.data.datasets.load import load_clips
from semisonic.data.stores import SampleStore
from semisonic.core.parallel import PROCESS_ENGINE
if __name__ == "__main__":
    journal.CHUNK_ELSEWHERE, journal.FLUSH_INTERVAL = 1, 0.001
    clips = load_clips(Path(sys.argv[1]), labels="none")
    SampleStore.build(clips, sys.argv[2], sample_rate=8000, workers=2, engine=PROCESS_ENGINE)
"""


HOLD = """
import sys
from functools import partial
from pathlib import Path
from far_work import hold
from semisonic.core.parallel import PROCESS_ENGINE, in_order
if __name__ == "__main__":
    with PROCESS_ENGINE.calls(partial(partial, hold, Path(sys.argv[1])), workers=1) as calls:
        list(in_order(calls, [1]))
"""


def test_a_worker_ends_with_the_process_that_started_it(tmp_path) -> None:
    script, lock = tmp_path / "hold.py", tmp_path / "worker.lock"
    script.write_text(HOLD, encoding="utf-8")
    paths = [*map(str, Path(__file__).parents[:2]), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        [sys.executable, script, lock], env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    )
    until(lock.with_suffix(".held").exists, process)
    process.kill()
    process.wait()

    def is_free() -> bool:
        with locked(lock, wait=False) as got:
            return got

    until(is_free)


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
def test_a_build_that_is_stopped_goes_on(sounds, tmp_path, how) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(400):
        os.link(sounds / "00.wav", many / f"{number:03d}.wav")
    script, folder = tmp_path / "build.py", tmp_path / "store"
    script.write_text(BUILD, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, script, many, folder], stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        journal = folder / "journal.jsonl"
        while not (journal.exists() and journal.stat().st_size):
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(getattr(signal, how))
        process.wait(30)
    finally:
        threading.Timer(5, process.kill).start()
    built = SampleStore.build(load_clips(many, labels="none"), folder, sample_rate=RATE)
    assert len(built) == 400
    assert 0 < built.n_decoded < 400
    assert len({built[row].tobytes() for row in range(400)}) == 1
    assert store.WORTH_PROCESSES > 400  # so the second build was in threads
