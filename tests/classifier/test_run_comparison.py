"""Two finished runs side by side."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from semisonic.classifier.run_comparison import compare_runs, measured_in, scored_run
from semisonic.core.errors import DataError
from semisonic.core.files import write_csv, write_json
from semisonic.evaluation.significance import mcnemar_exact

CLASSES = ("cat", "dog", "rain")


def write_run(
    folder: Path, predicted: list[int], target: list[int], *, table: str = "scores.csv", **more: str
) -> Path:
    """An evaluation of clips whose every second one is of the same recording."""
    folder.mkdir()
    rows = [
        [f"{i}.wav", CLASSES[t], f"g{i // 2}", CLASSES[p], *np.eye(3)[p]]
        for i, (t, p) in enumerate(zip(target, predicted, strict=True))
    ]
    if table == "scores.csv":
        write_csv(folder / table, ["clip", "label", "group", "predicted", *CLASSES], rows)
    else:
        short = [[clip, label, best, "0.9"] for clip, label, _, best, *_ in rows]
        write_csv(folder / table, ["clip", "label", "predicted", "score"], short)
    accuracy = float(np.mean(np.array(target) == predicted))
    numbers = {"accuracy": accuracy, "cost": {"parameters": 7}}
    write_json(
        folder / "metrics.json",
        numbers if table == "scores.csv" else {"validation": {"accuracy": accuracy}},
    )
    options = {"data": "sounds", "output": str(folder), "fit": {"epochs": 3}, **more}
    write_json(folder / "run.json", {"command": "evaluate", "options": options})
    return folder


def test_what_differs_is_told_with_the_paired_test(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 60).tolist()
    good = [t if rng.random() < 0.9 else (t + 1) % 3 for t in target]
    poor = [t if rng.random() < 0.5 else (t + 2) % 3 for t in target]
    a = scored_run(write_run(tmp_path / "a", poor, target, model="m1"))
    b = scored_run(write_run(tmp_path / "b", good, target, model="m2"))
    found = compare_runs(a, b)

    right_a, right_b = np.equal(poor, target), np.equal(good, target)
    assert found.comparison is not None
    assert found.comparison.difference == pytest.approx(right_b.mean() - right_a.mean())
    assert found.comparison.n_recordings == 30
    assert found.comparison.draws[0].mcnemar == mcnemar_exact(right_a, right_b)
    assert found.comparison.outcome == "better here"
    assert found.measures[0] == ("accuracy", pytest.approx(right_a.mean()), right_b.mean())
    assert ("parameters", 7.0, 7.0) in found.measures
    assert found.settings == (("model", "m1", "m2"),)

    by_label = {pair.label: pair for pair in found.classes}
    for k, name in enumerate(CLASSES):
        own = np.equal(target, k)
        assert by_label[name].n == own.sum()
        assert by_label[name].a == pytest.approx(right_a[own].mean())
        assert by_label[name].b == pytest.approx(right_b[own].mean())
    gaps = [abs(pair.b - pair.a) for pair in found.classes]
    assert gaps == sorted(gaps, reverse=True)
    assert {one.clip for one in found.clips} == {
        f"{i}.wav" for i in range(60) if poor[i] != good[i]
    }
    only_b = {f"{i}.wav" for i in np.flatnonzero(right_b & ~right_a)}
    assert {one.clip for one in found.clips if one.right == "b"} == only_b


def test_only_clips_in_common_are_compared(tmp_path: Path) -> None:
    a = scored_run(write_run(tmp_path / "a", [0, 1, 2, 0], [0, 1, 2, 1]))
    b = scored_run(write_run(tmp_path / "b", [0, 1], [0, 1]))
    found = compare_runs(a, b)
    assert (found.n_common, found.n_a, found.n_b) == (2, 4, 2)
    assert "2 of them in common" in found.cautions[0]
    assert found.comparison is not None
    assert found.comparison.n_clips == 2
    assert compare_runs(a, a).comparison is None
    assert "same run" in compare_runs(a, a).reason


def test_other_clips_under_the_same_names_are_refused(tmp_path: Path) -> None:
    a = scored_run(write_run(tmp_path / "a", [0, 1], [0, 1]))
    b = scored_run(write_run(tmp_path / "b", [0, 1], [0, 2]))
    with pytest.raises(DataError, match="different sets"):
        compare_runs(a, b)


def test_validation_clips_are_named_as_such(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", [0, 1, 2], [0, 1, 1], table="validation.csv")
    b = write_run(tmp_path / "b", [0, 1, 1], [0, 1, 1], table="validation.csv")
    found = compare_runs(scored_run(a), scored_run(b))
    assert found.measures == (("accuracy", pytest.approx(2 / 3), 1.0),)
    assert "chose the epoch" in found.cautions[0]
    assert [one.clip for one in found.clips] == ["2.wav"]


def test_several_labels_a_clip_are_compared_by_their_scores(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hot = rng.random((40, 3)) < 0.5
    hot[:, 0] |= ~hot.any(axis=1)
    runs = []
    for name, noise in (("a", 2.0), ("b", 0.1)):
        folder = tmp_path / name
        folder.mkdir()
        scores = 1 / (1 + np.exp(-(2.0 * hot - 1 + rng.normal(0, noise, hot.shape))))
        rows = [
            [f"{i}.wav", ";".join(np.array(CLASSES)[hot[i]]), f"{i}", CLASSES[s.argmax()], *s]
            for i, s in enumerate(scores)
        ]
        write_csv(folder / "scores.csv", ["clip", "label", "group", "predicted", *CLASSES], rows)
        runs.append(scored_run(folder))
    found = compare_runs(*runs)
    assert found.comparison is not None
    assert found.comparison.outcome == "better here"
    assert found.comparison.b.mean > 0.95
    assert all(pair.b >= pair.a for pair in found.classes)


def test_where_a_model_was_measured(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    test = write_run(tmp_path / "test", [0], [0], model=str(tmp_path / "model"))
    file = write_run(tmp_path / "file", [0], [0], model=str(tmp_path / "model" / "model.zip"))
    other = write_run(tmp_path / "other", [0], [0], model=str(tmp_path))
    assert measured_in(tmp_path / "model", [test, file, other]) == [test, file]


NO_TABLES = (
    "",
    "clip,label\na.wav,dog\n",
    "a,b\n1,2\n",
    "clip,label,predicted,dog\na,dog,dog,much\n",
)


@pytest.mark.parametrize("text", NO_TABLES)
def test_a_table_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="semisonic evaluate"):
        scored_run(tmp_path)
    (tmp_path / "scores.csv").write_text(text)
    (tmp_path / "run.json").write_text(json.dumps([]))
    with pytest.raises(DataError, match=r"scores\.csv"):
        scored_run(tmp_path)
