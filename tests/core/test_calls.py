"""The rules that hold for every engine, with calls that finish in an order of our choice."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls import cli
from semisonic.core.cluster import open_engine
from semisonic.core.errors import OptionError
from semisonic.core.options import EngineOptions
from semisonic.core.parallel import LOCAL_ENGINE, Task, in_any_order, in_order, run_tasks


class Slow:
    """Calls that give the number they are given; those under way finish as ``choices`` say."""

    def __init__(self, room: int, choices: list[int]) -> None:
        self.capacity, self.choices = room, choices
        self.running: list[int] = []
        self.most = 0

    def __enter__(self) -> Slow:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, task: int) -> int:
        self.running.append(task)
        self.most = max(self.most, len(self.running))
        return task

    def wait(self, futures: Collection[int]) -> list[int]:
        there = sorted(futures)
        return [there[(self.choices.pop() if self.choices else 0) % len(there)]]

    def result(self, future: int) -> int:
        self.running.remove(future)
        return future


@given(st.integers(0, 30), st.integers(1, 5), st.lists(st.integers(0, 9), max_size=40))
def test_every_task_gives_one_result_and_few_are_under_way(n, room, choices) -> None:
    taken = 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        for one in range(n):
            taken += 1
            yield one

    calls = Slow(room, list(choices))
    assert sorted(in_any_order(calls, range(n))) == list(range(n))
    assert calls.most <= room
    calls = Slow(room, list(choices))
    for done, found in enumerate(in_order(calls, tasks())):
        assert found == done
        assert taken <= done + room + 1
    assert taken == n


def test_what_is_finished_beside_an_error_is_not_lost() -> None:
    class Together(Slow):
        def wait(self, futures: Collection[int]) -> list[int]:
            return sorted(futures)

        def result(self, future: int) -> int:
            if future == 4:
                raise ZeroDivisionError
            return super().result(future)

    found: list[int] = []
    results = in_any_order(Together(4, []), range(100))
    with pytest.raises(ZeroDivisionError):
        found.extend(results)  # which keeps what came before the error
    assert found == [0, 1, 2, 3, 5, 6, 7]


def test_a_function_is_made_once_in_each_thread() -> None:
    made = []

    def make():
        made.append(1)
        return lambda x: x + 1

    with LOCAL_ENGINE.calls(make, workers=2) as calls:
        assert list(in_order(calls, range(100))) == list(range(1, 101))
    assert len(made) <= 2


def note(log: Path, name: str) -> None:
    with log.open("a", encoding="utf-8") as stream:
        stream.write(name)


def test_a_graph_in_this_process(tmp_path) -> None:
    log = tmp_path / "log"
    tasks = [Task("b", note, (log, "b"), ("a",)), Task("a", note, (log, "a"), ("done",))]
    run_tasks(tasks, workers=1, label="t", initializer=note, context=(log, "start "))
    assert log.read_text(encoding="utf-8") == "start ab"


def test_an_address_without_ray_is_refused() -> None:
    with (
        pytest.raises(OptionError, match="add --engine ray"),
        open_engine(EngineOptions(address="auto")),
    ):
        pass


def test_without_ray_it_says_what_to_install(model, sounds, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert cli("detect", model, sounds, "-o", tmp_path, "--engine ray") == 2
    assert "pip install 'semisonic[cluster]'" in capsys.readouterr().err


def test_a_ray_that_does_not_start_is_told(model, sounds, tmp_path, monkeypatch, capsys) -> None:
    ray = pytest.importorskip("ray")

    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup")  # as Ray does

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    assert cli("detect", model, sounds, "-o", tmp_path, "--engine ray") == 2
    err = capsys.readouterr().err
    assert "Ray did not start on this machine (The current node timed out" in err


@pytest.mark.parametrize("address", ["nowhere", "ray://127.0.0.1:1"])
def test_an_address_where_nobody_answers_is_wrong_use(
    model, sounds, tmp_path, capsys, address
) -> None:
    pytest.importorskip("ray")
    more = ["--engine", "ray", "--address", address]
    assert cli("detect", model, sounds, "-o", tmp_path, more) == 2
    assert f"no Ray cluster answers at '{address}'" in capsys.readouterr().err
