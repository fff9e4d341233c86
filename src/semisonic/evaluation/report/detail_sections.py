"""The sections behind the answer: learning, classes, the auto-encoder, errors, repeating."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.core.text import duration_text, percent_text
from semisonic.evaluation.comparison import Comparison
from semisonic.evaluation.metrics import confusion, per_class
from semisonic.evaluation.plots.classes import class_recall, confusion_matrix
from semisonic.evaluation.plots.recordings import embedding_map
from semisonic.evaluation.plots.sounds import patches, reconstructions
from semisonic.evaluation.plots.style import CLASS_COLOURS
from semisonic.evaluation.plots.training import filters, training_curves
from semisonic.evaluation.report.blocks import Player
from semisonic.evaluation.report.content import ErrorShown, ExperimentContent
from semisonic.evaluation.report.page import Page

# The sections behind the answer: learning, classes, the auto-encoder, mistakes, repeating.


_MOST_OPEN_ROWS = 15


def add_learning(page: Page, content: ExperimentContent, setting: str) -> None:
    """Learning curves of both arms, and of the auto-encoders."""
    trained = [h for h in content.histories if h.phase == "train" and h.setting == setting]
    curves = {
        arm: _series([h.rows for h in trained if h.arm == arm], "val_accuracy")
        for arm in (content.control, content.treated)
    }
    losses = {
        arm: _series([h.rows for h in trained if h.arm == arm], "loss")
        for arm in (content.control, content.treated)
    }
    before = [h for h in content.histories if h.phase == "pretrain"]
    if not (before or any(curves.values()) or any(losses.values())):
        return
    page.section("Learning")
    if any(curves.values()):
        page.figure(
            training_curves(curves),
            "Accuracy on validation clips, which come from recordings of the training folds. "
            "Lines: mean over folds and draws. Bands: 10th to 90th percentile.",
            name="learning-accuracy",
            alt="Validation accuracy by epoch of both arms",
            wide=False,
        )
    if any(losses.values()):
        page.figure(
            training_curves(losses, measure="training loss", is_share=False),
            "Loss on training clips.",
            name="learning-loss",
            alt="Training loss by epoch of both arms",
            wide=False,
        )
    key = "val_loss" if any("val_loss" in row for h in before for row in h.rows) else "loss"
    by_way = {
        way: _series([h.rows for h in before if h.arm == way], key)
        for way in dict.fromkeys(h.arm for h in before)
    }
    if any(by_way.values()):
        clips = "held-out" if key == "val_loss" else "training"
        page.figure(
            training_curves(by_way, measure="loss", is_share=False, colours=CLASS_COLOURS),
            f"Pre-training: loss of each way by epoch, on {clips} clips. For auto-encoders it is "
            "the mean squared error on standardised features; other objectives have scales of "
            "their own.",
            name="pretraining",
            alt="Loss of pre-training by epoch for " + ", ".join(by_way),
        )


def add_classes(page: Page, content: ExperimentContent, main: Comparison) -> None:
    """Confusion matrix, recall of each class, and the table behind them."""
    page.section("Classes")
    classes = content.predictions.classes
    recalls = {}
    tables = {}
    small = len(classes) <= 12
    rows = content.predictions.select(setting=main.setting)
    for arm, name in ((content.control, main.a.name), (content.treated, main.b.name)):
        one = rows.select(arm=arm)
        tables[arm] = per_class(one.target, one.predicted, len(classes))
        recalls[name] = np.where(tables[arm].n_clips > 0, tables[arm].recall, np.nan)
        counts = confusion(one.target, one.predicted, len(classes))
        right, total = int(np.trace(counts)), int(counts.sum())
        together = "All draws together: " if len(main.draws) > 1 else ""
        page.figure(
            confusion_matrix(counts, classes, name),
            f"{together}{right} of {total} right ({percent_text(right / total)}).",
            name=f"confusion-{_file_name(arm)}",
            alt=f"Confusion matrix of the arm {name}; {percent_text(right / total)} on the diagonal",
            wide=not small,
        )
        page.data.setdefault("confusion", {})[arm] = counts
    page.figure(
        class_recall(recalls, classes),
        "Share of each class's clips that were found, by both arms.",
        name="class-recall",
        alt="Recall of each class for both arms",
    )
    _add_confused(page, classes, page.data["confusion"][content.treated], main.b.name)
    a, b = tables[content.control], tables[content.treated]
    shares = [f"recall, {main.a.name}", f"recall, {main.b.name}"]
    shares += [f"precision, {main.b.name}", f"F1, {main.b.name}"]
    columns = (a.recall, b.recall, b.precision, b.f1)
    page.table(
        ["class", "clips", *shares],
        [
            [spaced(one), int(b.n_clips[i]) // len(main.draws), *(float(c[i]) for c in columns)]
            for i, one in enumerate(classes)
        ],
        name="classes",
        caption="By class, mean over draws" if len(main.draws) > 1 else "By class",
        formats=dict.fromkeys(shares, percent_text),
        folded=len(classes) > _MOST_OPEN_ROWS,
    )


def _add_confused(
    page: Page, classes: Sequence[str], counts: NDArray[np.int64], arm: str, n: int = 8
) -> None:
    """The pairs of classes that are most often taken for each other, both ways together."""
    both = np.triu(counts + counts.T, k=1)
    clips = counts.sum(axis=1)
    order = [int(i) for i in np.argsort(-both, axis=None, kind="stable")[:n] if both.flat[i] > 0]
    pairs = [divmod(i, len(classes)) for i in order]
    if not pairs:
        return
    page.table(
        ["classes", "confused", "of their clips", "first for second", "second for first"],
        [
            [
                f"{spaced(classes[i])} and {spaced(classes[j])}",
                int(both[i, j]),
                float(both[i, j] / (clips[i] + clips[j])),
                int(counts[i, j]),
                int(counts[j, i]),
            ]
            for i, j in pairs
        ],
        name="confused",
        caption=f"Most often taken for each other, {arm}",
        formats={"of their clips": percent_text},
    )


def add_auto_encoder(page: Page, content: ExperimentContent) -> None:
    """Reconstructions, filters, silent units and the map of embeddings."""
    seen = content.reconstructions
    if not (seen or content.filters or content.embeddings or content.dead_units):
        return
    page.section("What the network learnt")
    if seen:
        errors = "".join(f" {k} {v:.3g}." for k, v in seen.errors.items())
        page.figure(
            reconstructions(
                seen.truth, seen.decoders, seen.names, errors=seen.errors, unit=seen.unit
            ),
            "Clips the auto-encoder was not trained on, and what each decoder gives back; one "
            "colour scale, low frequencies at the bottom."
            + (f" Mean squared error over all held-out clips:{errors}" if errors else ""),
            name="reconstructions",
            alt="Spectrograms of held-out clips above their reconstructions by "
            + ", ".join(seen.decoders),
        )
    classes = content.predictions.classes
    for arm, points in content.embeddings.items():
        page.figure(
            embedding_map({arm: points}, classes),
            f"Clips of a test fold in the last hidden layer, by {content.embedding_method}.",
            name=f"embeddings-{_file_name(arm)}",
            alt=f"Two-dimensional map of test clips, coloured by class, {arm}",
            wide=len(content.embeddings) == 1,
        )
    for arm, weights in content.filters.items():
        page.figure(
            filters({arm: weights}),
            "Filters of the first layer, the strongest first, each on its own scale; blue is "
            "positive, brown negative. Across: time. Up: frequency.",
            name=f"filters-{_file_name(arm)}",
            alt=f"Mosaic of first-layer filters, {arm}",
            wide=len(content.filters) == 1,
        )
    if content.dead_units:
        page.table(
            list(content.dead_units.headers),
            content.dead_units.rows,
            name="dead-units",
            caption="Units that are never active after pre-training",
            note=content.dead_units.note,
            formats=dict.fromkeys(content.dead_units.shares, percent_text),
        )


def add_mistakes(page: Page, content: ExperimentContent, main: Comparison) -> None:
    """Sounds that were surely taken for something else."""
    if not content.mistakes:
        return
    page.section("Worst mistakes")
    page.text(
        f"The clips for which '{main.b.name}' was most sure of a wrong class. "
        "Listen before blaming it: some are hard for people too."
    )
    page.players(player_of(one) for one in content.mistakes)


def player_of(one: ErrorShown) -> Player:
    """A card with a wrong answer, to listen to."""
    return Player(
        one.samples,
        one.sample_rate,
        spaced(one.target),
        f"taken for {spaced(one.predicted)}, {percent_text(one.score, 0)} sure",
        f"{one.clip}. {one.note}" if one.note else one.clip,
    )


def add_method(page: Page, content: ExperimentContent, main: Comparison) -> None:
    """How the numbers were made, and their limits."""
    page.section("How this was measured")
    page.notes(
        [
            "Both arms share the network, splits, labels and seeds; they differ in the thing "
            f"in question: {content.subject.lower()}."
            if content.subject
            else "All share splits, labels and seeds; they differ in the classifier.",
            "Splits are by recording. Validation clips come from the training folds; a test fold "
            "is scored once, after training. The table of predictions was checked: every clip is "
            "scored exactly once in each setting, arm and draw.",
            "An accuracy is the share of clips that are right, mean over draws. Its interval is a "
            "bootstrap that draws whole recordings and whole draws.",
            "The difference is called shown only if the exact McNemar test, pooled over recordings "
            "and draws by sign flips, and the corrected resampled t-test are both below 5 % and "
            "no interval holds 0. Where only the first is, the report says: on these clips.",
            *main.cautions,
            *content.notes,
        ]
    )


def add_repeat(page: Page, content: ExperimentContent) -> None:
    """The command, the versions, the options and the time it took."""
    if not (content.provenance or content.options or content.timing):
        return
    page.section("How to repeat it")
    known = dict(content.provenance)
    if command := known.pop("command", ""):
        page.code(str(command))
    page.facts({k: _flat_text(v) for k, v in known.items()})
    factors = list(dict.fromkeys(name for row in content.settings.values() for name in row))
    if factors:
        page.table(
            ["setting", *factors],
            [[name, *(row.get(f) for f in factors)] for name, row in content.settings.items()],
            name="setting-values",
            caption="What makes each setting",
        )
    if content.timing:
        page.table(
            ["what", "time", "note"],
            [[what, float(seconds), note] for what, seconds, note in content.timing],
            name="timing",
            caption="Time",
            formats={"time": duration_text},
        )
    if content.options:
        page.facts(_flat(content.options), "All options of the run")


def _series(jobs: Sequence[Sequence[Mapping[str, float]]], key: str) -> list[list[float]]:
    """The values of one key by epoch, one list a job; jobs without it are left out."""
    found = []
    for rows in jobs:
        values = [float(row[key]) for row in rows if key in row and row[key] is not None]
        if any(math.isfinite(value) for value in values):
            found.append(values)
    return found


def spaced(name: str) -> str:
    """A class name with spaces for underscores."""
    return name.replace("_", " ")


def _file_name(text: str) -> str:
    name = "".join(c if c.isalnum() and c.isascii() else "-" for c in text.lower())
    return name.strip("-") or "arm"


def _flat(options: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Nested options with dotted names."""
    out: dict[str, str] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            out |= _flat(value, f"{before}{name}.")
        else:
            out[f"{before}{name}"] = _flat_text(value)
    return out


def _flat_text(value: Any) -> str:
    if isinstance(value, Mapping):
        named = [(k.replace("_", " "), v) for k, v in value.items() if v not in (None, "", [], {})]
        return ", ".join(f"{k} {_flat_text(v)}" for k, v in named)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)


# The section of generated patches: look at them beside clips, and listen.


def add_generated(page: Page, content: ExperimentContent) -> None:
    """What the generators made, where there were any."""
    seen = content.generated
    if seen is None:
        return
    page.section("What the generators made")
    page.figure(
        patches(seen.rows, [spaced(name) for name in seen.names], unit="dB"),
        "Labelled training clips, and patches made after them: a column per class, one colour "
        "scale, low frequencies at the bottom. First fold and draw.",
        name="generated",
        alt="Spectrograms of training clips above generated ones, by " + ", ".join(seen.rows),
    )
    if seen.sounds:
        page.text(
            "All of these are made of spectrograms, the clips as well, so that they can be told "
            "by what was generated alone: the bands are few and the phases are found anew, which "
            "roughens every sound."
        )
        page.players(
            Player(one.samples, one.sample_rate, spaced(one.what), one.how) for one in seen.sounds
        )
