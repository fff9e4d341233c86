"""Several processes of a Ray cluster that train one network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from far_work import add_ranks, die_once

from semisonic.core.cluster import open_engine
from semisonic.core.errors import OptionError
from semisonic.core.options import EngineOptions
from semisonic.core.parallel import Engine

pytestmark = pytest.mark.slow
RATE = 8000


@pytest.fixture
def engine(cluster) -> Iterator[Engine]:
    with open_engine(EngineOptions("ray", cluster)) as opened:
        yield opened


def test_processes_talk_and_leave_nothing_behind(engine: Engine) -> None:
    assert engine.distributed(add_ranks, 2) == 0 + 1
    assert "WORLD_SIZE" not in os.environ
    with engine.calls(lambda: _world_size) as calls:
        tickets = [calls.submit(None) for _ in range(4)]
        for ticket in tickets:
            calls.wait([ticket])
            assert calls.result(ticket) == ""


def _world_size(_: object) -> str:
    return os.environ.get("WORLD_SIZE", "")


def test_when_one_dies_all_are_begun_again(engine, tmp_path) -> None:
    assert engine.distributed(partial(die_once, tmp_path / "died"), 2) == 1
    assert (tmp_path / "died").is_file()


def test_too_many_processes_are_refused(engine, monkeypatch) -> None:
    from semisonic.core import cluster as together

    monkeypatch.setattr(together, "_PLACES", 0.5)
    with pytest.raises(OptionError, match="no room for so many"):
        engine.distributed(add_ranks, 50)


def test_an_error_of_the_function_is_raised(engine) -> None:
    def fail() -> Callable[[], None]:
        raise ZeroDivisionError("on purpose")

    with pytest.raises(ZeroDivisionError, match="on purpose"):
        engine.distributed(fail, 2)
