"""Several classifiers in one report: figures, listeners, groups of classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from semisonic.evaluation import published
from semisonic.evaluation.comparison import compare_settings
from semisonic.evaluation.plots.results import accuracy_by_fold
from semisonic.evaluation.predictions import Predictions
from semisonic.evaluation.report.document import Report
from semisonic.evaluation.report.experiment import Series, build_report

ARMS = {"k-NN": 0.5, "other": 0.8}
FOLDS = {"k-NN": {1: 0.4, 2: 0.6}, "random forest": {1: 0.7, 2: 0.8}}


def test_the_figure_of_folds_is_drawn() -> None:
    drawn = accuracy_by_fold(FOLDS, published={"random forest": 0.727}, human=0.957, chance=0.1)
    texts = [text.get_text() for text in drawn.axes[0].texts]
    assert texts.count("1") == 2
    assert any("listeners 95.7 %" in text for text in texts)


def test_listeners_are_named_on_esc_data_alone() -> None:
    assert "95.7 %" in published.listeners("esc10")
    assert "81.3 %" in published.listeners("ESC-50")
    assert published.listeners("my birds") == ""


def test_what_listeners_found_is_bound_by_name_and_adds_up() -> None:
    right, all_of = np.array(list(published.HUMAN_ESC_10.values())).sum(axis=0)
    assert right / all_of == pytest.approx(0.957, abs=5e-4)
    found = published.human_recall("ESC-10", ["Baby cry", "crackling_fire"])
    assert found == [1.0, 395 / 452]
    assert published.human_recall("ESC-50", ["dog"]) is None
    assert published.human_recall("ESC-10", ["nightingale"]) is None


@pytest.fixture(scope="module")
def page(predictions_of: Callable[..., Predictions]) -> Report:
    forest = next(p for p in published.BASELINES if p.data == "ESC-10" and "forest" in p.system)
    predictions = predictions_of(ARMS, n_folds=5, n_draws=2, settings=("forest", "svm"))
    return build_report(
        "t",
        predictions,
        compare_settings(predictions, *ARMS),
        subject="",
        data="ESC-10",
        series={
            "all labels": (
                Series("k-NN", "forest", "k-NN", "8 neighbours"),
                Series("forest", "forest", "other", "500 trees", forest),
                Series("svm", "svm", "other"),
            )
        },
        categories={
            "dog": "animals",
            "rain": "water",
            "sea waves": "water",
            "crying baby": "human",
        },
    )


def table_of(page: Report, name: str) -> Any:
    return page.to_dict()["tables"][name]


def test_classifiers_stand_beside_what_was_published_of_them(page: Report) -> None:
    table = table_of(page, "classifiers-by-fold")
    assert table["headers"][-2:] == ["published", "ours less published"]
    rows = {row[0]: row for row in table["rows"]}
    assert rows["forest, published"][1:6] == [0.575, 0.775, 0.775, 0.775, 0.737]
    assert rows["forest"][-2] == pytest.approx(0.7274)
    assert rows["forest"][-1] == pytest.approx(rows["forest"][6]["value"] - 0.7274)
    assert rows["svm"][-2:] == [None, None]
    assert rows["human listeners"][6] == 0.957
    assert "not published" in page.html()


def test_the_headline_calls_the_classifier_by_its_name(page: Report) -> None:
    assert page.to_dict()["verdict"]["claim"].startswith("'forest' did better than 'k-NN'")
    assert "People who listened to ESC-10" in page.html().replace("\N{NO-BREAK SPACE}", " ")


def test_a_group_is_right_when_any_of_its_classes_is_named(
    page: Report, predictions_of: Callable[..., Predictions]
) -> None:
    rows = predictions_of(ARMS, n_folds=5, n_draws=2, settings=("forest", "svm")).select(
        setting="forest", arm="other"
    )
    group = np.array([0, 1, 1, 2])
    truth = (group[rows.target] == group[rows.predicted]).mean()
    found = {row[0]: row for row in table_of(page, "group-accuracy")["rows"]}
    assert found["forest"][2] == pytest.approx(truth)
    assert found["forest"][1] == pytest.approx(rows.correct.mean())
    assert found["forest"][3] == pytest.approx(rows.correct.mean() / truth)
    assert [row[:3] for row in table_of(page, "groups")["rows"]] == [
        ["animals", "dog", 20],
        ["water", "rain, sea waves", 40],
        ["human", "crying baby", 20],
    ]
