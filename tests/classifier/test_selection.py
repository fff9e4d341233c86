from __future__ import annotations

import numpy as np
import pytest

from semisonic.classifier.train import select
from semisonic.core.errors import DataError, OptionError
from semisonic.data.clips import Clips


def table(n_groups: int = 10, per_group: int = 2, n_folds: int = 5) -> Clips:
    rows = [
        {
            "file": f"{label}/{group:02d}-{i}.wav",
            "labels": label,
            "group": f"{label}{group}",
            "fold": 1 + group % n_folds if n_folds else 0,
        }
        for label in "abc"
        for group in range(n_groups)
        for i in range(per_group)
    ]
    return Clips.from_rows(".", rows, name="set")


def test_parts_share_no_recording() -> None:
    clips = table()
    chosen = select(clips, validation=0.2, test_fold=2, seed=0)
    parts = [set(clips.group[rows]) for rows in (chosen.train, chosen.validation, chosen.test)]
    assert all(parts)
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]
    assert set(clips.fold[chosen.test]) == {2}
    assert len(chosen.used) + len(chosen.test) == len(clips)


def test_every_label_counts_in_the_budget() -> None:
    clips = table()
    chosen = select(clips, labels_per_class=10, validation=0.2, seed=0)
    assert len(chosen.used) == 30
    assert len(chosen.validation)


def test_a_small_budget_has_a_validation_part_only_if_asked_for() -> None:
    chosen = select(table(), labels_per_class=4, validation=0.0, seed=0)
    assert len(chosen.train) == 12
    assert not len(chosen.validation)
    asked = select(table(), labels_per_class=4, validation=0.15, seed=0)
    assert len(asked.validation)
    assert sorted(asked.used) == sorted(chosen.train)


def test_budgets_are_nested() -> None:
    clips = table()
    few = select(clips, labels_per_class=2, validation=0, seed=5).train
    more = select(clips, labels_per_class=4, validation=0, seed=5).train
    assert set(few.tolist()) < set(more.tolist())


def test_unlabelled_rows_are_passed_over() -> None:
    clips = table()
    labels = list(clips.labels)
    labels[0] = ()
    chosen = select(clips.with_columns(labels=tuple(labels)), validation=0, seed=0)
    assert 0 not in chosen.train


def test_a_recording_in_two_folds_is_not_trained_on_while_it_is_tested() -> None:
    clips = table()
    group = clips.group.copy()
    fold_1, fold_2 = (np.flatnonzero(clips.fold == k)[0] for k in (1, 2))
    group[fold_1] = group[fold_2]
    chosen = select(clips.with_columns(group=group), test_fold=2, validation=0, seed=0)
    assert fold_1 not in chosen.train


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(
        OptionError, match="fold 9, expected one of the official folds: 1, 2, 3, 4, 5"
    ):
        select(table(), test_fold=9)
    with pytest.raises(DataError, match="needs labels"):
        select(table().without_labels())
    with pytest.raises(DataError, match="at least 2"):
        select(Clips.from_rows(".", [{"file": f"{i}", "labels": "a"} for i in range(5)]))
    one_fold = Clips.from_rows(
        ".",
        [{"file": f"{i}", "labels": "ab"[i % 2], "fold": 1 + i % 2} for i in range(8)],
    )
    with pytest.raises(DataError, match="found no training clip for a"):
        select(one_fold, test_fold=1)
