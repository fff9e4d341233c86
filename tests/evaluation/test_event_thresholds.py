"""Events by threshold, of tables whose counts are known."""

from __future__ import annotations

import numpy as np
import pytest

from semisonic.data.events import Events, make_events
from semisonic.evaluation.event_thresholds import ALL, ThresholdCounts, count_by_threshold

HOUR = 3600.0
DOGS = [(50.0 + 170 * k, "dog", 0.8 - 0.01 * k) for k in range(20)]
"""Start, class and score of found events that are true."""
FALSE = [(100.0 + 170 * k, "dog", 0.31 + 0.005 * k) for k in range(20)]
OWLS = [(10.0 * k, "owl", 0.9) for k in range(1, 4)]


def table(rows: list[tuple[float, str, float]], file: str = "night.wav") -> Events:
    """Events of a second."""
    return make_events(
        {"file": file, "start_time": at, "end_time": at + 1, "label": label, "score": score}
        for at, label, score in rows
    )


@pytest.fixture(scope="module")
def night() -> ThresholdCounts:
    return count_by_threshold(
        table([*DOGS, *OWLS]), table([*DOGS, *FALSE, *OWLS]), {"night.wav": HOUR}
    )


@pytest.mark.parametrize(
    ("label", "threshold", "expected"),
    [
        ("dog", 0.3, (20, 40, 20, 0.5, 1.0, 2 / 3, 20.0)),
        ("dog", 0.4, (20, 22, 20, 20 / 22, 1.0, 40 / 42, 2.0)),
        ("dog", 0.7, (20, 11, 11, 1.0, 0.55, 22 / 31, 0.0)),
        ("owl", 0.7, (3, 3, 3, 1.0, 1.0, 1.0, 0.0)),
        (ALL, 0.3, (23, 43, 23, 23 / 43, 1.0, 46 / 66, 20.0)),
    ],
)
def test_counts_are_those_of_the_events_that_reach_the_threshold(
    night, label, threshold, expected
) -> None:
    rows = night.table
    row = rows[(rows.label == label) & np.isclose(rows.threshold, threshold)]
    assert row.to_numpy()[0, 2:].tolist() == pytest.approx(expected)


def test_the_threshold_of_highest_f1_in_the_middle_of_equal_ones_is_chosen(night) -> None:
    choice = night.choose()
    assert choice.thresholds == {"dog": 0.5}  # from 0.45 to 0.6 all are right and none is missed
    assert choice.too_few == ("owl",)
    assert (choice.common, choice.of("owl", 0.9), choice.of("fox", 0.9)) == (0.5, 0.5, 0.5)
    held_out = choice.held_out
    assert (held_out.n_true, held_out.n_found, held_out.n_matched) == (23, 23, 23)


def test_a_choice_is_tested_on_the_parts_that_did_not_make_it() -> None:
    # In the first fifth of the hour wrong events have high scores, in the rest low ones.
    early = [(at, "dog", 0.95) for at, *_ in FALSE[:4]]
    found = table([*DOGS, *early, *FALSE[4:]])
    counts = count_by_threshold(table(DOGS), found, {"night.wav": HOUR})
    held_out = counts.choose().held_out
    assert held_out.n_found - held_out.n_matched == 4
    assert held_out.hours == 1.0


def test_few_false_alarms_can_be_wanted(night) -> None:
    rare = night.choose(max_false_alarms=0.5)
    assert rare.thresholds["dog"] == 0.5
    worse = count_by_threshold(table(DOGS), table([*DOGS[:2], *FALSE]), {"night.wav": HOUR})
    assert worse.choose().thresholds["dog"] > 0.4
    sure = table([(at, label, 1.0) for at, label, _ in FALSE])
    hopeless = count_by_threshold(table(DOGS), sure, {"night.wav": HOUR}).choose(1.0)
    assert hopeless.missed == ("dog",)
    assert hopeless.thresholds["dog"] == 0.99


def test_of_five_recordings_each_is_a_part_of_its_own() -> None:
    names = [f"{n}.wav" for n in range(5)]
    true = [make_events(table(DOGS[:2], name).to_dict("records")) for name in names]
    rows = [row for one in true for row in one.to_dict("records")]
    counts = count_by_threshold(make_events(rows), make_events(rows), dict.fromkeys(names, 600.0))
    assert counts.n_true[:, 0].tolist() == [2, 2, 2, 2, 2]


def test_labels_without_any_event_give_no_choice() -> None:
    counts = count_by_threshold(table([]), table(FALSE), {"night.wav": HOUR})
    assert counts.choose().of("dog", 0.7) == 0.7
    assert counts.best().empty


def test_false_alarms_are_per_hour_of_the_parts_that_choose() -> None:
    """Nine tenths of the time are in one recording, and nearly all false alarms in the others."""
    durations = {"a.wav": 60.0, "b.wav": 60.0, "c.wav": 9 * HOUR, "d.wav": 60.0, "e.wav": 60.0}
    true = [
        row
        for name in durations
        for row in table([(1.0, "dog", 0.9), (20.0, "dog", 0.9)], name).to_dict("records")
    ]
    wrong = [
        row
        for name in "ade"
        for row in table([(40.0, "dog", 0.5)], f"{name}.wav").to_dict("records")
    ]
    counts = count_by_threshold(make_events(true), make_events([*true, *wrong]), durations)
    assert counts.hours.sum() == pytest.approx(9 + 4 / 60)
    assert counts.hours.max() == pytest.approx(9.0)
    assert counts.choose(max_false_alarms=1.0).held_out.hours == pytest.approx(9 + 4 / 60)


def test_classes_of_few_events_are_named_too_if_no_threshold_has_few_false_alarms() -> None:
    sure = table([(at, "fox", 1.0) for at, *_ in FALSE])
    true = table([*DOGS[:6], *((at, "fox", 0.9) for at in (5.0, 900.0, 1900.0, 2900.0, 3500.0))])
    choice = count_by_threshold(true, sure, {"night.wav": HOUR}).choose(1.0)
    assert set(choice.too_few) == set(choice.missed) == {"dog", "fox"}
