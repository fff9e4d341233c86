"""How a classifier and its results are displayed in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from semisonic.audio.player import N_EXAMPLES, SoundPart, part_players
from semisonic.classifier.run_files import curves_figure, step_of
from semisonic.core.html import (
    FIGURE_DPI,
    MOST_ROWS,
    card,
    facts,
    frame_table,
    note,
    picture,
    problems,
    table,
)
from semisonic.core.text import count_text, duration_text, first_few, percent_text
from semisonic.data.clips import part_of
from semisonic.data.show import parts_of_frame
from semisonic.evaluation.plots.recordings import timeline
from semisonic.evaluation.plots.results import confusion_matrix
from semisonic.evaluation.report.document import figure_png
from semisonic.models.inspection import count_parameters

if TYPE_CHECKING:
    from semisonic.classifier.classifier import SoundClassifier
    from semisonic.classifier.detection.results import DetectResult
    from semisonic.classifier.measuring import Measurement
    from semisonic.classifier.predict import PredictResult
    from semisonic.classifier.pretrain import PretrainResult
    from semisonic.classifier.suspects import SuspectsResult
    from semisonic.classifier.train import TrainResult

_MOST_CLASSES = 20
_LARGEST_CONFUSION = 30
History = Sequence[Mapping[str, float]]


def classifier_html(classifier: SoundClassifier) -> Markup:
    """A classifier: the changed parameters and, once fitted, the model."""
    defaults = type(classifier)().get_params(deep=False)
    given = ", ".join(
        f"{name}={value!r}"
        for name, value in classifier.get_params(deep=False).items()
        if repr(value) != repr(defaults[name])
    )
    if not hasattr(classifier, "model_"):
        return card("SoundClassifier, not fitted yet", facts({"parameters": given or "defaults"}))
    model, mel, history = classifier.model_, classifier.model_.mel, classifier.history_
    values: dict[str, Any] = {
        "classes": f"{len(model.classes)}: {first_few(model.classes, _MOST_CLASSES)}",
        "labels per clip": "several" if model.multi_label else "one",
        "network": f"{model.name}, {count_parameters(model):,} parameters",
        "input": f"{mel.input}, {mel.duration:g} s at {mel.sample_rate} Hz",
        "method": classifier.about_.get("method", ""),
        "scores": model.decision.calibration.text(),
        "thresholds": first_few(
            [f"{name} {value:.2f}" for name, value in model.decision.thresholds.items()],
            _MOST_CLASSES,
        ),
        "parameters": given,
    }
    if history:
        step = step_of(history)
        steps = count_text(len(history), step)
        values["training"] = f"{steps}, weights of {step} {classifier.best_epoch_}"
    return card("SoundClassifier", facts(values), curves(history), problems(classifier.failures_))


def curves(history: History) -> Markup:
    """The curve of a training of more than one epoch; nothing without one."""
    figure = curves_figure(history, "") if len(history) > 1 else None
    return (
        Markup() if figure is None else picture(figure_png(figure, FIGURE_DPI), "Training curves")
    )


def training_parts(result: TrainResult | PretrainResult, history: History) -> Iterable[Markup]:
    """The result of training, as on the terminal, and its curve."""
    return [note(line) for line in result.summary().splitlines()] + [curves(history)]


def measurement_parts(measured: Measurement) -> Iterable[Markup]:
    """Measurements on labelled clips: numbers with intervals, and confusions."""
    rows = [
        (name.replace("_", " "), *map(percent_text, (measured.metrics[name], low, high)))
        for name, (low, high) in measured.intervals.items()
    ]
    yield table(["measure", "value", f"{100 * measured.level:g} % interval from", "to"], rows)
    pairs = measured.confused_pairs(3)
    if pairs:
        yield note("most confused: " + "; ".join(f"{a} as {b} ({n})" for a, b, n in pairs))
    counts, names = measured.confusion, measured.clips.classes
    if counts is not None and len(names) <= _LARGEST_CONFUSION:
        yield picture(figure_png(confusion_matrix(counts, names), FIGURE_DPI), "Confusion matrix")


def predicted_parts(result: PredictResult) -> Iterable[Markup]:
    """The first rows of a table of predictions, and the first sounds."""
    rows = result.rows[:MOST_ROWS]
    yield table([name.replace("_", " ") for name in result.columns], rows, result.n_rows)
    scores = ["" if np.isnan(row[4]) else f"score {row[4]:.2f}" for row in rows]
    yield part_players(
        SoundPart(result.root / file, start, end, str(label), score)
        for (file, start, end, label, *_), score in zip(rows, scores, strict=True)
    )
    if result.output is not None:
        yield note(f"all rows: {result.output}")
    yield problems(result.failures)


def detected_parts(result: DetectResult) -> Iterable[Markup]:
    """Events: how many of each class, their times, the first ones, and those with the highest
    score.
    """
    events, classes = result.events, result.by_class()
    audio = duration_text(3600 * result.hours)
    recordings = count_text(len(result.recordings), "recording")
    yield facts(
        {"events": len(events), "sound": f"{recordings}, {audio}"}
        | ({} if result.truth is None else {"truth": result.truth.summary()})
    )
    if len(events):
        yield frame_table(classes, most=_MOST_CLASSES)
        file = events.file.value_counts().index[0]  # the recording with most events
        names = classes.label.tolist()[:_MOST_CLASSES]
        figure = timeline(events[events.file == file], names, result.durations[str(file)])
        yield note(f"events in {file}")
        yield picture(figure_png(figure, FIGURE_DPI), f"Events along time in {file}")
        columns = ["file", "start_time", "end_time", "label", "score"]
        yield frame_table(events[columns])
        best = events.sort_values("score", ascending=False, kind="stable")
        yield part_players(parts_of_frame(best.drop_duplicates("label").head(N_EXAMPLES)))
    yield problems(result.failures)


def suspects_parts(result: SuspectsResult) -> Iterable[Markup]:
    """Labels that are likely wrong, the most suspicious first, with their sounds."""
    listed, clips = result.listed, result.clips
    yield facts(
        {
            "suspects": f"{len(listed)} of {count_text(len(clips), 'clip')}",
            "agreement": f"{percent_text(result.agreement)} of the labels",
            "caution": result.caution,
            "list": result.table,
        }
    )
    yield frame_table(listed)
    said = listed.suggestion.replace("", "none of the classes")
    rows = zip(listed.index[:N_EXAMPLES].tolist(), said, strict=False)
    yield part_players(part_of(clips, row, f"sounds like {name}") for row, name in rows)
    yield problems(result.failures)
