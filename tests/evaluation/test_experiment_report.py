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

from semisonic.evaluation.comparison import compare, compare_settings
from semisonic.evaluation.predictions import Predictions
from semisonic.evaluation.report.document import Player, Report
from semisonic.evaluation.report.experiment import add_learning, add_run, build_report

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
    text = " ".join(Tree.fromstring(path.read_text()).itertext())
    return re.sub(r"\s+", " ", text.replace("\N{NO-BREAK SPACE}", " ")).replace("−", "-")


def table(report: Path, name: str) -> list[dict[str, str]]:
    with (report.parent / "tables" / f"{name}.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_the_page_holds_together_and_is_not_large(report: Path) -> None:
    html = report.read_text()
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
    values = json.loads((report.parent / "report.json").read_text(), parse_constant=pytest.fail)
    assert values["verdict"]["outcome"] == result.outcome
    assert values["data"]["main_setting"] == "batch 32"
    assert "Transductive: test audio was used." in text


def test_page_tables_json_and_predictions_agree(report: Path, predictions: Predictions) -> None:
    text = words(report)
    values = json.loads((report.parent / "report.json").read_text())
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
    values = json.loads((report.parent / "report.json").read_text())
    main = next(c for c in values["data"]["comparisons"] if c["setting"] == "batch 32")
    for arm, side in zip(ARMS, "ab", strict=True):
        counts = np.array(values["data"]["confusion"][arm])
        assert counts.sum() == 2 * 80
        assert np.trace(counts) / counts.sum() == pytest.approx(main[side]["mean"])


def test_the_most_confused_pairs_are_counted_both_ways(report: Path) -> None:
    values = json.loads((report.parent / "report.json").read_text())
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
