"""How a classifier and its results are displayed in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from markupsafe import Markup

from semisonic.classifier.run_files import curves_figure, step_of
from semisonic.core.html import (
    FIGURE_DPI,
    Result,
    card,
    facts,
    note,
    picture,
    problems,
)
from semisonic.core.text import count_text, first_few
from semisonic.evaluation.report.document import figure_png
from semisonic.models.inspection import count_parameters
from semisonic.models.sound_model import SoundModel

_MOST_CLASSES = 20
History = Sequence[Mapping[str, float]]


class ShownClassifier(Protocol):
    """What is displayed of a classifier; what ends with an underscore only once it is fitted."""

    model_: SoundModel
    history_: History
    about_: Mapping[str, Any]
    best_epoch_: int
    failures_: tuple[tuple[str, str], ...]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters."""


def classifier_html(classifier: ShownClassifier) -> Markup:
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


def training_parts(result: Result, history: History) -> Iterable[Markup]:
    """The result of training, as on the terminal, and its curve."""
    return [note(line) for line in result.summary().splitlines()] + [curves(history)]
