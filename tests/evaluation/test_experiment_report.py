"""The report of an experiment says what the predictions say, everywhere the same."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as Tree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import escape

from semisonic.audio.player import Player
from semisonic.core.errors import DataError
from semisonic.evaluation import published
from semisonic.evaluation.comparison import compare, compare_setting_pairs, compare_settings
from semisonic.evaluation.plots.results import accuracy_by_fold
from semisonic.evaluation.predictions import Predictions, ensemble
from semisonic.evaluation.published import STUDIES
from semisonic.evaluation.report.document import Report
from semisonic.evaluation.report.experiment import Series, add_learning, add_run, build_report

ARMS = {"supervised": 0.5, "pre-trained": 0.7}


def jobs_of(arm: str, kind: str = "train") -> list[dict[str, Any]]:
    rows = [
        {"epoch": e, "loss": 1 / e, "val_accuracy": e / 9, "val_loss": 2 / e} for e in (1, 2, 3)
    ]
    job = {"kind": kind, "cell": "batch 32", "arm": arm, "way": arm, "history": rows}
    return [{**job, "draw": 0, "fold": fold} for fold in (1, 2)]


def report_of(predictions: Predictions, **more: Any) -> Report:
    found = compare_settings(predictions, *ARMS)
    return build_report("Test on ESC-10", predictions, found, data="ESC-10", **more)


@pytest.fixture(scope="module")
def predictions(predictions_of: Callable[..., Predictions]) -> Predictions:
    return predictions_of(ARMS, n_draws=2, settings=("batch 16", "batch 32"))


@pytest.fixture(scope="module")
def report(predictions: Predictions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = report_of(predictions, main_setting="batch 32", study="cae", notes=["A note of ours."])
    page.warnings += ["Transductive: test audio was used."]
    jobs = [*jobs_of("supervised"), *jobs_of("pre-trained"), *jobs_of("unpool", "pre-train")]
    add_learning(page, jobs)
    mistake = Player(np.sin(np.arange(4000)), 8000, "dog", "predicted sea waves, 83 % sure")
    page.players("mistakes", [mistake])
    add_run(
        page,
        provenance={"command": "semisonic run x", "commit": "abc1234", "versions": {"torch": "2"}},
        options={"fit": {"epochs": 30}},
        settings={"batch 16": {"batch size": 16}, "batch 32": {"batch size": 32}},
        timing=[("everything", 75.0, "")],
    )
    return page.write(tmp_path_factory.mktemp("report"))


def words(path: Path) -> str:
    text = " ".join(Tree.fromstring(path.read_text(encoding="utf-8")).itertext())
    return re.sub(r"\s+", " ", text.replace("\N{NO-BREAK SPACE}", " ")).replace("−", "-")


def table(report: Path, name: str) -> list[dict[str, str]]:
    with (report.parent / "tables" / f"{name}.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_the_page_holds_together_and_is_not_large(report: Path) -> None:
    html = report.read_text(encoding="utf-8")
    Tree.fromstring(html)
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:|#)""", html)
    assert len(html) < 4_000_000
    figures = {path.stem for path in (report.parent / "figures").glob("*.png")}
    assert figures >= {
        "comparison",
        "folds",
        "learning-accuracy",
        "pretraining",
        "confusion-pre-trained",
        "class-recall",
    }
    assert all(path.stat().st_size > 3000 for path in (report.parent / "figures").glob("*.png"))


def test_the_headline_is_the_verdict_of_the_main_setting(
    report: Path, predictions: Predictions
) -> None:
    result = compare(predictions, *ARMS, setting="batch 32")
    text = words(report)
    claim, _, doubt = result.verdict("Pre-training").partition(". ")
    assert claim.rstrip(".") in text.replace(" (", " (").replace("  ", " ")
    assert doubt in text
    values = json.loads(
        (report.parent / "report.json").read_text(encoding="utf-8"), parse_constant=pytest.fail
    )
    assert values["verdict"]["outcome"] == result.outcome
    assert values["data"]["main_setting"] == "batch 32"
    assert "Transductive: test audio was used." in text


def test_page_tables_json_and_predictions_agree(report: Path, predictions: Predictions) -> None:
    text = words(report)
    values = json.loads((report.parent / "report.json").read_text(encoding="utf-8"))
    settings = {row["setting"]: row for row in table(report, "settings")}
    for one in values["data"]["comparisons"]:
        rows = predictions.select(setting=one["setting"])
        for arm, side in zip(ARMS, "ab", strict=True):
            truth = rows.select(arm=arm).correct.mean()
            assert one[side]["mean"] == pytest.approx(truth)
            assert float(settings[one["setting"]][arm]) == pytest.approx(truth)
            assert f"{100 * truth:.1f} %" in text
    main = predictions.select(setting="batch 32")
    for row in table(report, "folds"):
        part = main.select(draw=int(row["draw"]), fold=int(row["fold"]))
        assert len(part) == 2 * int(row["clips"])
        for arm in ARMS:
            assert float(row[arm]) == pytest.approx(part.select(arm=arm).correct.mean())


def test_the_confusion_matrix_gives_the_reported_accuracy(
    report: Path, predictions: Predictions
) -> None:
    values = json.loads((report.parent / "report.json").read_text(encoding="utf-8"))
    main = next(c for c in values["data"]["comparisons"] if c["setting"] == "batch 32")
    for arm, side in zip(ARMS, "ab", strict=True):
        counts = np.array(values["data"]["confusion"][arm])
        assert counts.sum() == 2 * 80
        assert np.trace(counts) / counts.sum() == pytest.approx(main[side]["mean"])


def test_the_most_confused_pairs_are_counted_both_ways(report: Path) -> None:
    values = json.loads((report.parent / "report.json").read_text(encoding="utf-8"))
    counts = np.array(values["data"]["confusion"]["pre-trained"])
    rows = table(report, "confused")
    both = [int(row["confused"]) for row in rows]
    assert both == sorted(both, reverse=True)
    assert sum(both) == counts.sum() - np.trace(counts)
    for row in rows:
        assert int(row["first for second"]) + int(row["second for first"]) == int(row["confused"])


def test_the_paper_stands_beside_ours(report: Path) -> None:
    rows = {row["system"]: row for row in table(report, "published-study")}
    assert rows["auto-encoder's network, batch size 32, pre-trained"]["accuracy"] == "0.507"
    assert "human listeners" not in rows
    ours = [name for name in rows if name.startswith("ours: ")]
    assert ours == [f"ours: {batch}, {arm}" for batch in ("batch 16", "batch 32") for arm in ARMS]


def test_how_to_repeat_it_is_there(report: Path) -> None:
    text = words(report)
    for piece in ("semisonic run x", "abc1234", "fit.epochs", "1 min 15 s", "A note of ours."):
        assert piece in text
    assert "dog predicted sea waves, 83 % sure" in text


def test_little_content_makes_a_small_report(predictions_of: Callable[..., Predictions]) -> None:
    table = predictions_of(ARMS, n_folds=2, n_clips=24)
    page = report_of(table)
    text = page.html().replace("\N{NO-BREAK SPACE}", " ")
    assert page.sections == [
        "Results",
        "Results by fold",
        "Classes",
        "Method",
    ]
    assert len(page.values["comparisons"]) == 1
    assert "corrected t p not available" in text


def test_a_setting_with_one_arm_has_a_row_without_comparison(
    predictions_of: Callable[..., Predictions],
) -> None:
    both = predictions_of(ARMS, n_clips=24)
    lone = predictions_of({"supervised": 0.4}, n_clips=24, settings=("lone",))
    page = report_of(Predictions.concat([both, lone]))
    rows = page.to_dict()["tables"]["settings"]["rows"]
    assert len(page.values["comparisons"]) == 1
    assert rows[1][0] == "lone"
    assert rows[1][1]["value"] == lone.correct.mean()
    assert rows[1][2] is None


def test_a_difference_that_is_not_shown_may_be_chance(
    predictions_of: Callable[..., Predictions],
) -> None:
    page = report_of(predictions_of(dict.fromkeys(ARMS, 0.6)))
    rows = page.to_dict()["tables"]["settings"]["rows"]
    assert page.values["main"].outcome == "open"
    assert rows[0][-1] == "may be chance"


@pytest.fixture(scope="module")
def two_settings(predictions_of: Callable[..., Predictions]) -> Predictions:
    return predictions_of(ARMS, n_folds=5, n_draws=2, settings=("mel", "wave"))


def test_a_pair_is_compared_in_each_arm_on_the_same_clips(two_settings: Predictions) -> None:
    found = compare_setting_pairs(two_settings, [("mel", "wave")])
    assert [one.setting for one in found] == [
        "wave against mel, supervised",
        "wave against mel, pre-trained",
    ]
    for one, arm in zip(found, ARMS, strict=True):
        for side, setting in ((one.a, "mel"), (one.b, "wave")):
            assert side.name == setting
            rows = two_settings.select(setting=setting, arm=arm)
            assert side.mean == pytest.approx(rows.correct.mean())


def test_an_ensemble_averages_the_probabilities_of_each_clip(two_settings: Predictions) -> None:
    shuffled = two_settings[np.random.default_rng(0).permutation(len(two_settings))]
    found = ensemble(shuffled, ["mel", "wave"], "both").check()
    assert found.settings == [*shuffled.settings, "both"]
    for arm in ARMS:
        part = found.select(setting="both", arm=arm)
        for row in range(0, len(part), 17):
            key = {"draw": int(part.draw[row]), "clip": str(part.clip[row]), "arm": arm}
            mel = two_settings.select(setting="mel", **key).probabilities
            wave = two_settings.select(setting="wave", **key).probabilities
            np.testing.assert_allclose(part.probabilities[row], ((mel + wave) / 2)[0], atol=1e-6)
        np.testing.assert_array_equal(part.predicted, part.probabilities.argmax(axis=1))


def test_an_ensemble_needs_settings_with_the_same_clips(two_settings: Predictions) -> None:
    with pytest.raises(DataError, match="two or more"):
        ensemble(two_settings, ["mel"], "both")
    part = two_settings[(two_settings.setting == "mel") | (two_settings.fold != 1)]
    with pytest.raises(DataError, match="same clips"):
        ensemble(part, ["mel", "wave"], "both")


def test_the_report_holds_pairs_and_the_study(two_settings: Predictions) -> None:
    page = build_report(
        "t",
        two_settings,
        compare_settings(two_settings, *ARMS),
        data="ESC-10",
        study="piczak",
        setting_pairs=compare_setting_pairs(two_settings, [("mel", "wave")]),
    )
    html = page.html()
    assert "Comparisons between settings" in html
    assert "wave against mel, pre-trained" in html
    assert STUDIES["piczak"].source in html
    for row in STUDIES["piczak"].rows:
        assert str(escape(row.system)) in html
    assert "ours: wave, pre-trained" in html
    assert (
        compare(two_settings, *ARMS, setting="mel").a.mean == page.values["comparisons"][0].a.mean
    )


def test_a_report_on_urbansound8k_has_what_was_published_on_it(two_settings: Predictions) -> None:
    found = compare_settings(two_settings, *ARMS)
    page = build_report("t", two_settings, found, data="UrbanSound8K", study="piczak")
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


COMPETITORS = {"k-NN": 0.5, "other": 0.8}
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
def contest(predictions_of: Callable[..., Predictions]) -> Report:
    forest = next(p for p in published.BASELINES if p.data == "ESC-10" and "forest" in p.system)
    predictions = predictions_of(COMPETITORS, n_folds=5, n_draws=2, settings=("forest", "svm"))
    return build_report(
        "t",
        predictions,
        compare_settings(predictions, *COMPETITORS),
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


def table_of(contest: Report, name: str) -> Any:
    return contest.to_dict()["tables"][name]


def test_classifiers_stand_beside_what_was_published_of_them(contest: Report) -> None:
    table = table_of(contest, "classifiers-by-fold")
    assert table["headers"][-2:] == ["published", "ours less published"]
    rows = {row[0]: row for row in table["rows"]}
    assert rows["forest, published"][1:6] == [0.575, 0.775, 0.775, 0.775, 0.737]
    assert rows["forest"][-2] == pytest.approx(0.7274)
    assert rows["forest"][-1] == pytest.approx(rows["forest"][6]["value"] - 0.7274)
    assert rows["svm"][-2:] == [None, None]
    assert rows["human listeners"][6] == 0.957
    assert "not published" in contest.html()


def test_the_headline_calls_the_classifier_by_its_name(contest: Report) -> None:
    assert contest.to_dict()["verdict"]["claim"].startswith("'forest' did better than 'k-NN'")
    assert "People who listened to ESC-10" in contest.html().replace("\N{NO-BREAK SPACE}", " ")


def test_a_group_is_right_when_any_of_its_classes_is_named(
    contest: Report, predictions_of: Callable[..., Predictions]
) -> None:
    rows = predictions_of(COMPETITORS, n_folds=5, n_draws=2, settings=("forest", "svm")).select(
        setting="forest", arm="other"
    )
    group = np.array([0, 1, 1, 2])
    truth = (group[rows.target] == group[rows.predicted]).mean()
    found = {row[0]: row for row in table_of(contest, "group-accuracy")["rows"]}
    assert found["forest"][2] == pytest.approx(truth)
    assert found["forest"][1] == pytest.approx(rows.correct.mean())
    assert found["forest"][3] == pytest.approx(rows.correct.mean() / truth)
    assert [row[:3] for row in table_of(contest, "groups")["rows"]] == [
        ["animals", "dog", 20],
        ["water", "rain, sea waves", 40],
        ["human", "crying baby", 20],
    ]
