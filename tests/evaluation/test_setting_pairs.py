"""Settings against settings, and a published study beside ours."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from markupsafe import escape

from semisonic.core.errors import DataError
from semisonic.evaluation.comparison import compare, compare_setting_pairs, compare_settings
from semisonic.evaluation.predictions import Predictions, ensemble
from semisonic.evaluation.published import STUDIES
from semisonic.evaluation.report.experiment import build_report

ARMS = {"supervised": 0.6, "pre-trained": 0.8}


@pytest.fixture(scope="module")
def predictions(predictions_of: Callable[..., Predictions]) -> Predictions:
    return predictions_of(ARMS, n_folds=5, n_draws=2, settings=("mel", "wave"))


def test_a_pair_is_compared_in_each_arm_on_the_same_clips(predictions: Predictions) -> None:
    found = compare_setting_pairs(predictions, [("mel", "wave")])
    assert [one.setting for one in found] == [
        "wave against mel, supervised",
        "wave against mel, pre-trained",
    ]
    for one, arm in zip(found, ARMS, strict=True):
        for side, setting in ((one.a, "mel"), (one.b, "wave")):
            assert side.name == setting
            rows = predictions.select(setting=setting, arm=arm)
            assert side.mean == pytest.approx(rows.correct.mean())


def test_an_ensemble_averages_the_probabilities_of_each_clip(predictions: Predictions) -> None:
    shuffled = predictions[np.random.default_rng(0).permutation(len(predictions))]
    found = ensemble(shuffled, ["mel", "wave"], "both").check()
    assert found.settings == [*shuffled.settings, "both"]
    for arm in ARMS:
        part = found.select(setting="both", arm=arm)
        for row in range(0, len(part), 17):
            key = {"draw": int(part.draw[row]), "clip": str(part.clip[row]), "arm": arm}
            mel = predictions.select(setting="mel", **key).probabilities
            wave = predictions.select(setting="wave", **key).probabilities
            np.testing.assert_allclose(part.probabilities[row], ((mel + wave) / 2)[0], atol=1e-6)
        np.testing.assert_array_equal(part.predicted, part.probabilities.argmax(axis=1))


def test_an_ensemble_needs_settings_with_the_same_clips(predictions: Predictions) -> None:
    with pytest.raises(DataError, match="two or more"):
        ensemble(predictions, ["mel"], "both")
    part = predictions[(predictions.setting == "mel") | (predictions.fold != 1)]
    with pytest.raises(DataError, match="same clips"):
        ensemble(part, ["mel", "wave"], "both")


def test_the_report_holds_pairs_and_the_study(predictions: Predictions) -> None:
    page = build_report(
        "t",
        predictions,
        compare_settings(predictions, *ARMS),
        data="ESC-10",
        study="piczak",
        setting_pairs=compare_setting_pairs(predictions, [("mel", "wave")]),
    )
    html = page.html()
    assert "Comparisons between settings" in html
    assert "wave against mel, pre-trained" in html
    assert STUDIES["piczak"].source in html
    for row in STUDIES["piczak"].rows:
        assert str(escape(row.system)) in html
    assert "ours: wave, pre-trained" in html
    assert compare(predictions, *ARMS, setting="mel").a.mean == page.values["comparisons"][0].a.mean


def test_a_report_on_urbansound8k_has_what_was_published_on_it(predictions: Predictions) -> None:
    found = compare_settings(predictions, *ARMS)
    page = build_report("t", predictions, found, data="UrbanSound8K", study="piczak")
    rows = re.findall(r"<tr([^>]*)>(.*?)</tr>", page.html(), re.DOTALL)
    known = {
        value: marks
        for marks, cells in rows
        for value in ("73.1", "63.0", "78.5")
        if "Piczak" in cells and value in cells
    }
    assert "soft" in known["78.5"], "ESC-10 is other data"
    assert "soft" not in known["73.1"], "Piczak's own"
    assert "soft" not in known["63.0"], "built again by students"


@pytest.mark.parametrize("name", STUDIES)
def test_studies_are_facts_with_a_protocol(name: str) -> None:
    study = STUDIES[name]
    assert study.rows
    assert study.notes
    for row in study.rows:
        assert 0 < row.accuracy < 1
        assert row.protocol
        if row.folds:
            assert sum(row.folds) / len(row.folds) == pytest.approx(row.accuracy, abs=0.006)
