"""Bars that are told to a function."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from semisonic.base import progress


@pytest.fixture
def heard() -> Iterator[list[progress.Progress]]:
    found: list[progress.Progress] = []
    progress.listen(found.append)
    yield found
    progress.listen(None)


def test_who_listens_is_told_how_far_it_is(
    heard: list[progress.Progress], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in progress.track(range(4), "count"):
        time.sleep(0.25)
    assert {one.label for one in heard} == {"count"}
    assert [one.n for one in heard] == sorted(one.n for one in heard)
    assert heard[-1].n == heard[-1].total == 4
    middle = next(one for one in heard if one.n == 2)
    assert middle.seconds_left is not None
    assert 0.2 < middle.seconds_left < 5
    assert capsys.readouterr() == ("", "")


def test_nobody_is_told_any_more(heard: list[progress.Progress]) -> None:
    progress.listen(None)
    assert list(progress.track(range(3), "count")) == [0, 1, 2]
    assert heard == []
