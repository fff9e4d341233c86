"""Bars that are told to a function."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from semisonic.core import progress


@pytest.fixture
def heard() -> Iterator[list[progress.Progress]]:
    found: list[progress.Progress] = []
    progress.listen(found.append)
    yield found
    progress.listen(None)


def test_who_listens_is_told_how_far_it_is(
    heard: list[progress.Progress],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(range(1, 1000))
    monkeypatch.setattr("tqdm.std.time", lambda: float(next(clock)))  # a second from look to look
    for _ in progress.track(range(4), "count"):
        pass
    assert {one.label for one in heard} == {"count"}
    assert [one.n for one in heard] == sorted(one.n for one in heard)
    assert heard[-1].n == heard[-1].total == 4
    middle = next(one for one in heard if one.n == 2)
    assert middle.seconds_left is not None
    assert 0.2 < middle.seconds_left < 50
    assert capsys.readouterr() == ("", "")


def test_nobody_is_told_any_more(heard: list[progress.Progress]) -> None:
    progress.listen(None)
    assert list(progress.track(range(3), "count")) == [0, 1, 2]
    assert heard == []
