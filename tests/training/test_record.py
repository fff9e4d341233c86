"""The run folder: what it holds, when it goes on, when it refuses."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from semisonic.core.errors import DataError, OptionError
from semisonic.training.options import FitOptions
from semisonic.training.run_folder import RunFolder, commit, machine, versions


@dataclass(frozen=True)
class VerbOptions:
    fit: FitOptions = field(default_factory=FitOptions)
    labels_per_class: int | None = None
    workers: int = 2


def run(folder, options=None, command="train", **more):
    return RunFolder(folder, command, options or VerbOptions(), free=("workers",), **more)


def record(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def test_holds_what_was_run_with_what(tmp_path):
    folder = tmp_path / "new" / "run"
    with run(folder, seed=7) as opened:
        assert record(folder)["status"] == "running"
        opened.add_data("esc10", "abc")
        opened.note(best_fold=3)
        assert opened.path("models", "a.zip").parent.is_dir()
    found = record(folder)
    expected = {"command": "train", "status": "done", "seeds": {"seed": 7}}
    expected |= {"data": {"esc10": "abc"}, "notes": {"best_fold": 3}}
    assert found.items() >= expected.items()
    assert found["options"]["fit"]["epochs"] == FitOptions().epochs
    assert found["options"]["labels_per_class"] is None
    assert found["versions"]["torch"] == versions()["torch"]
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["cpu"]
    assert found["started"] <= found["finished"]
    assert found["seconds"] >= 0


def test_same_options_go_on_and_times_add_up(tmp_path):
    with run(tmp_path) as first:
        assert not first.resumed
    started = record(tmp_path)["started"]
    with run(tmp_path, VerbOptions(workers=8)) as second:
        assert second.resumed
        assert second.finished
    found = record(tmp_path)
    assert found["started"] == started
    assert len(found["resumed"]) == 1
    assert found["options"]["workers"] == 8


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"options": VerbOptions(fit=FitOptions(epochs=9))}, "'options.fit.epochs' was 50, now 9"),
        ({"options": VerbOptions(labels_per_class=4)}, "'options.labels_per_class' was None"),
        ({"seed": 1}, "'seeds.seed' was 0, now 1"),
        ({"command": "evaluate"}, "'command' was train, now evaluate"),
    ],
)
def test_refuses_a_folder_of_another_run(tmp_path, change, named):
    with run(tmp_path):
        pass
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(OptionError, match=named), run(tmp_path, **change):
        pass
    assert (tmp_path / "run.json").read_bytes() == before


def test_refuses_what_is_not_a_run(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OptionError, match=r"contains 'thesis\.txt' and is not"), run(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(OptionError, match="is a file"), run(tmp_path / "thesis.txt"):
        pass
    other = tmp_path / "other"
    other.mkdir()
    (other / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(OptionError, match="not a readable run record"), run(other):
        pass


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("odd"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_says_how_it_ended(tmp_path, error, status):
    with pytest.raises(type(error)), run(tmp_path):
        raise error
    found = record(tmp_path)
    assert found["status"] == status
    assert type(error).__name__ in found["error"]
    assert status in (tmp_path / "log.txt").read_text(encoding="utf-8")
    with run(tmp_path) as again:
        assert again.resumed
        assert not again.finished
    assert record(tmp_path)["status"] == "done"
    assert record(tmp_path)["error"] is None


def test_logs_of_the_package_go_into_the_folder_while_it_is_open(tmp_path):
    level = logging.getLogger("semisonic").level
    with run(tmp_path):
        logging.getLogger("semisonic.data").info("decoded 3 clips")
    logging.getLogger("semisonic.data").warning("too late")
    text = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert "INFO decoded 3 clips" in text
    assert "too late" not in text
    assert logging.getLogger("semisonic").level == level


def test_bad_files_are_a_sorted_table_without_doubles(tmp_path):
    with run(tmp_path) as opened:
        assert opened.add_bad_files([("b,1.wav", 'says "no"'), ("a.wav", "empty")]) == 2
    with run(tmp_path) as opened:
        assert opened.add_bad_files([("a.wav", "truncated")]) == 2
        assert opened.bad_files() == [("a.wav", "truncated"), ("b,1.wav", 'says "no"')]
    lines = (tmp_path / "bad_files.csv").read_text(encoding="utf-8").splitlines()
    assert lines == ["file,reason", "a.wav,truncated", '"b,1.wav","says ""no"""']


def test_data_must_stay_the_same(tmp_path):
    with run(tmp_path) as opened:
        opened.add_data("pool", "1")
    with pytest.raises(DataError, match="'pool' have changed"), run(tmp_path) as opened:
        opened.add_data("pool", "2")
    assert record(tmp_path)["data"] == {"pool": "1"}


def test_second_process_is_refused_while_the_first_is_at_work(tmp_path):
    script = (
        "import filelock, sys; lock = filelock.FileLock(sys.argv[1]); lock.acquire();"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline().split() == [b"held"]
        with pytest.raises(OptionError, match="another process is writing"), run(tmp_path):
            pass
        other.kill()  # as kill -9 does, without a word to anybody
    with run(tmp_path) as opened:
        assert not opened.resumed


def test_options_with_paths_and_tuples_compare_equal_when_read_back(tmp_path):
    options = {"data": tmp_path / "esc10", "folds": (1, 2), "fit": {"milestones": ()}}
    for _ in range(2):
        with RunFolder(tmp_path / "run", "run", options) as opened:
            assert commit() is None or len(commit().rstrip("+")) == 40
    assert opened.resumed
    assert set(machine()) == {"system", "cpu", "cores", "torch_threads", "memory_gib", "gpu"}


def end_by(error, folder, file=None):
    """A run that writes a file, perhaps, and ends by an error."""
    with run(folder) as opened:
        opened.add_data("pool", "1")
        if file is not None:
            opened.path(*file.split("/")).write_text("of the run", encoding="utf-8")
        raise error


def test_a_refused_start_gives_its_folder_back(tmp_path):
    with pytest.raises(DataError):
        end_by(DataError("no such thing"), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {".lock"}


@pytest.mark.parametrize("file", ["cache/samples", "bad_files.csv"])
@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), DataError("wrong")])
def test_what_ended_before_a_result_blocks_no_other_command(tmp_path, error, file):
    with pytest.raises(type(error)):
        end_by(error, tmp_path, file)
    with run(tmp_path, VerbOptions(labels_per_class=3)) as opened:
        assert not opened.resumed
        assert opened.bad_files() == []
    assert (tmp_path / "cache").exists() == (file == "cache/samples")


def test_what_ended_with_a_result_keeps_its_folder(tmp_path):
    with pytest.raises(DataError):
        end_by(DataError("too late"), tmp_path, "model.zip")
    with pytest.raises(OptionError, match="belongs to another"):
        run(tmp_path, VerbOptions(labels_per_class=3)).__enter__()
    with run(tmp_path) as opened:
        assert opened.resumed
