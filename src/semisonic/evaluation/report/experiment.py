"""The report of an experiment: two arms in several settings, from the answer down to the seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from semisonic.core.errors import DataError
from semisonic.evaluation.comparison import Comparison, compare_settings
from semisonic.evaluation.report.blocks import IntervalEstimate
from semisonic.evaluation.report.classifier_sections import (
    add_categories,
    add_hard_classes,
    add_side_by_side,
    add_side_by_side_classes,
)
from semisonic.evaluation.report.content import ExperimentContent
from semisonic.evaluation.report.detail_sections import (
    add_auto_encoder,
    add_classes,
    add_generated,
    add_learning,
    add_method,
    add_mistakes,
    add_repeat,
)
from semisonic.evaluation.report.page import Page
from semisonic.evaluation.report.results_sections import (
    add_answer,
    add_folds,
    add_published,
    add_setting_pairs,
    add_settings,
    add_study,
    protocol_of,
)

_MOST_PLAIN_ROWS = 20_000


def write_experiment_report(
    folder: str | Path,
    content: ExperimentContent,
    comparisons: list[Comparison] | None = None,
) -> Path:
    """Write report.html, figures/, tables/ and report.json; return the page's path.

    Parameters
    ----------
    folder : path
        Made if needed; files of an earlier report in it are replaced.
    content : ExperimentContent
    comparisons : list of Comparison, optional
        Those already computed for these predictions; by default they are computed here.

    Raises
    ------
    DataError
        When predictions are missing or stand twice, or no setting has both arms.
    """
    page, _ = build_page(content, comparisons)
    root = Path(folder)
    many = len(content.predictions) > _MOST_PLAIN_ROWS
    path = page.write(root)
    content.predictions.write(root / "tables" / f"predictions.csv{'.gz' if many else ''}")
    return path


def build_page(
    content: ExperimentContent, comparisons: list[Comparison] | None = None
) -> tuple[Page, list[Comparison]]:
    """The page before it is written, and the comparisons it shows."""
    if comparisons is None:
        comparisons = compare_settings(
            content.predictions,
            content.control,
            content.treated,
            test_train_ratio=content.test_train_ratio,
        )
    main = _main(content, comparisons)
    if not content.subject:  # classifiers that compete are called by their own names
        main = replace(main, b=replace(main.b, name=main.setting))
    page = Page(content.title, content.subtitle)
    add_answer(page, content, main)
    for warning in content.warnings:
        page.warning(warning)
    add_settings(page, content, comparisons, main)
    add_side_by_side(page, content)
    add_setting_pairs(page, content)
    add_study(page, content.study, content.data, _ours(content, comparisons), protocol_of(main))
    if content.with_published:
        add_published(page, content, comparisons, main)
    add_folds(page, content, main)
    add_learning(page, content, main.setting)
    add_classes(page, content, main)
    add_side_by_side_classes(page, content)
    add_categories(page, content, main)
    add_hard_classes(page, content, main)
    add_auto_encoder(page, content)
    add_generated(page, content)
    add_mistakes(page, content, main)
    add_method(page, content, main)
    add_repeat(page, content)
    page.data |= {
        "main_setting": main.setting,
        "comparisons": [one.to_dict() for one in comparisons],
        "provenance": content.provenance,
        "options": content.options,
        "warnings": content.warnings,
        "histories": content.histories,
    }
    return page, comparisons


def _ours(
    content: ExperimentContent, comparisons: Sequence[Comparison]
) -> list[tuple[str, IntervalEstimate]]:
    """Every arm of every setting; a control that all settings share is named once."""
    shared = len({one.a.mean for one in comparisons}) == 1 and len(comparisons) > 1
    found: dict[str, IntervalEstimate] = {}
    for one in comparisons:
        control = content.control if shared else f"{one.setting}, {content.control}"
        found[control] = IntervalEstimate(one.a.mean, *one.a.interval)
        treated = one.setting if shared else f"{one.setting}, {content.treated}"
        found[treated] = IntervalEstimate(one.b.mean, *one.b.interval)
    return list(found.items())


def _main(content: ExperimentContent, comparisons: list[Comparison]) -> Comparison:
    if not comparisons:
        raise DataError(
            f"report: no setting has both arms '{content.control}' and '{content.treated}'; "
            f"arms found: {', '.join(content.predictions.arms)}"
        )
    wanted = content.main_setting or comparisons[0].setting
    for one in comparisons:
        if one.setting == wanted:
            return one
    raise DataError(
        f"report: the main setting '{wanted}' is not among those with both arms: "
        + ", ".join(c.setting for c in comparisons)
    )
