"""Bars that are told to a function, and lines above bars."""

from __future__ import annotations

import pytest

from semisonic.core import progress


@pytest.fixture
def told():
    found = []
    progress.listen(lambda *at: found.append(at))
    yield found
    progress.listen(None)


def test_who_listens_is_told_how_far_it_is(told, capsys, monkeypatch) -> None:
    clock = iter(range(1, 1000))
    monkeypatch.setattr("tqdm.std.time", lambda: float(next(clock)))  # a second from look to look
    for _ in progress.track(range(40), "count"):
        pass
    assert {label for label, *_ in told} == {"count"}
    assert [n for _, n, *_ in told] == sorted(n for _, n, *_ in told)
    assert told[-1][1:3] == (40, 40)
    left = {n: seconds for _, n, _, seconds in told}
    assert [left[n] for n in range(4)] == [None] * 4  # nobody can tell yet
    assert 10 < left[30] < 50
    progress.listen(None)
    told.clear()
    assert list(progress.track(range(3), "count")) == [0, 1, 2]
    assert told == []
    assert capsys.readouterr() == ("", "")


def test_there_is_no_bar_for_nothing(capsys) -> None:
    progress.show_progress()
    try:
        assert list(progress.track([], "count")) == []
        assert list(progress.track(range(2), "items")) == [0, 1]
    finally:
        progress.show_progress(False)
    assert "count" not in (shown := capsys.readouterr().err)
    assert "items" in shown


def test_lines_are_shown_only_where_bars_are(capsys) -> None:
    progress.say("hidden")
    progress.show_progress()
    try:
        progress.say("a line")
    finally:
        progress.show_progress(False)
    assert capsys.readouterr().err == "a line\n"
