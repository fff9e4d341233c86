"""Calls on a Ray cluster, some of which do not end well."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from far_work import make_failing, make_patient, make_sleeper

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
    killer = doomed(lambda node: log.is_file() and node in log.read_text())
    with engine.calls(partial(make_sleeper, log, 0.5)) as calls:
        found = [number for number, _ in in_order(calls, range(n))]
    killer.join(5)
    assert not killer.is_alive()
    assert found == list(range(n))
    begun = log.read_text().split()[::2]
    assert len(begun) > n  # some began once more
    assert {int(number) for number in begun} == set(range(n))


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("ours", DataError, "^the table is wrong$"),
        ("sound", AudioError, r"^a.wav: empty\. Record it again$"),
        ("bug", ZeroDivisionError, "on purpose"),
        ("vanish", SemisonicError, "begun 2 times"),
    ],
)
def test_errors_come_back_as_what_they_are(engine, monkeypatch, how, kind, text) -> None:
    from semisonic.core import cluster

    monkeypatch.setattr(cluster, "RETRIES", 1)
    with pytest.raises(kind, match=text), engine.calls(make_failing) as calls:
        list(in_any_order(calls, [how]))


def test_a_consumer_that_stops_gives_up_what_is_under_way(engine, tmp_path) -> None:
    log = tmp_path / "log"
    with engine.calls(partial(make_sleeper, log, 0.1), workers=3) as calls:
        for found, _ in in_any_order(calls, range(1000)):
            assert found < 3
            break
    assert len(log.read_text().splitlines()) <= 6


def test_of_what_is_given_up_short_calls_end_and_long_ones_are_interrupted(
    engine, tmp_path
) -> None:
    log = tmp_path / "log"
    log.touch()
    with engine.calls(partial(make_patient, log)) as calls:
        for seconds in (3600, 0.4):  # the second is under way when both are given up
            calls.submit(seconds)
            until(lambda begun=f"begun {seconds}": begun in log.read_text())
    assert log.read_text().splitlines() == [
        "begun 3600",
        "begun 0.4",
        "ended 0.4",
        "interrupted 3600",
    ]


def test_a_card_is_not_waited_for_where_there_is_none(engine) -> None:
    with pytest.raises(OptionError, match="no node of the Ray cluster has a card"):
        engine.calls(make_failing, device="cuda")
