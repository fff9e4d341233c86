"""``calibrate``: a model whose scores mean what they say, with thresholds and "unknown"."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from semisonic.base.errors import DataError
from semisonic.base.files import content_hash, write_csv, write_json
from semisonic.base.options import check
from semisonic.data.clips import Clips
from semisonic.data.readers.load import require_labels
from semisonic.data.select import certain_labels
from semisonic.inference.calibrate_options import CalibrateOptions
from semisonic.inference.datasets import as_classes_of, in_fold, load_data
from semisonic.inference.deciding.fitting import Fitted, Held, fit_decision
from semisonic.inference.deciding.noise_check import check_noise
from semisonic.inference.deciding.sounds import ROLE, check_enough
from semisonic.inference.modelfile import MODEL, find_file, open_model
from semisonic.inference.provenance import Part, overlaps
from semisonic.inference.verbs.calibrate_page import write_calibrate_page
from semisonic.inference.verbs.calibrate_result import (
    THRESHOLD_COLUMNS,
    CalibrateResult,
    numbers_of,
)
from semisonic.inference.verbs.evaluate import refuse_seen
from semisonic.inference.verbs.runs import (
    open_run,
    plain,
    prepare_in,
    record_data,
    recordings_in,
    stamp,
)
from semisonic.models import SoundModel, read_about, save
from semisonic.training import choose_device

SEEN = (
    "these clips cannot calibrate: {}. Take other recordings (train with --test-fold keeps a fold "
    "apart), or say --allow-seen; scores would then promise too much"
)


def calibrate(options: CalibrateOptions) -> CalibrateResult:
    """Fit a model's decision by labelled clips it was not trained on; write a new model file.

    Raises
    ------
    DataError
        When the model was trained on some of the clips (unless ``allow_seen``), when they carry
        labels it does not know (unless ``allow_unknown``), are too few or cannot be read.
    ModelError
        When the model file is missing or damaged.
    """
    check(options)
    file = find_file(options.model, MODEL)
    model, made = open_model(file), read_about(file)["about"]
    clips, unknown = _clips(options, model)
    with open_run("calibrate", options) as run:
        run.add_data("model", content_hash(file)[:16])
        hashes = record_data(run, clips, options.workers)
        found = [o for o in overlaps(clips, hashes, made) if o.role != ROLE]
        refuse_seen(found, allowed=options.allow_seen, because=SEEN)
        together = recordings_in(run, clips, options)
        clips = together.clips
        prepared = prepare_in(run, clips, model.mel, options)
        place = choose_device(options.device)
        model.to(place)
        held = Held.of(model, prepared, np.arange(len(prepared)), clips, place)
        check_enough(held)
        fitted = fit_decision(
            model, held, method=options.method, unknown=options.unknown,
            precision=options.precision, level=options.level, kept=options.kept,
            seed=options.seed, device=place,
        )  # fmt: skip
        model.decision = fitted.decision
        has_rule = bool(fitted.decision.unknown.parts)
        noise = check_noise(model, seed=2 * options.seed + 1, device=place) if has_rule else ()
        model.to("cpu")
        licence = {"licence": options.licence} if options.licence else {}
        part = {ROLE: Part.of(clips, hashes).to_dict(), "calibrated": stamp("calibrate", options)}
        save(run.path(MODEL), model, about={**made, **part, **licence})
        result = CalibrateResult(
            fitted, noise, run.folder / MODEL, run.folder / "report.html", prepared.failures,
            prepared.remarks, tuple(unknown), model.multi_label,
            model.classes,
            (*clips.notes, *together.notes),
        )  # fmt: skip
        write_thresholds(run.path("thresholds.csv"), model, fitted)
        numbers = numbers_of(result)
        write_json(run.path("metrics.json"), plain(numbers))
        write_calibrate_page(run.folder, result, model, options, file)
        run.note(**{k: v for k, v in numbers.items() if isinstance(v, (int, float))})
    return result


def _clips(options: CalibrateOptions, model: SoundModel) -> tuple[Clips, list[str]]:
    clips = load_data(options.data, options.labels, options.group, "calibrate", options.table)
    require_labels(clips, "a calibration")
    if options.fold:
        clips = clips[in_fold(clips, options.fold)]
    clips = certain_labels(clips, "a calibration")
    clips, unknown = as_classes_of(clips, model.classes, allow_unknown=options.allow_unknown)
    if clips.is_multi_label and not model.multi_label:
        raise DataError(
            f"'{clips.name}': some clips carry several labels, but the model chooses one; keep one "
            "label per clip"
        )
    return clips, unknown


def write_thresholds(path: Path, model: SoundModel, fitted: Fitted) -> None:
    """A row per class: threshold, whether the wanted precision is shown, and what was reached."""
    write_csv(
        path,
        THRESHOLD_COLUMNS,
        [
            [name, f"{t.value:.4f}", t.outcome, f"{t.precision:.4f}", f"{t.low:.4f}",
             f"{t.recall:.4f}", t.n_clips, t.n_named]
            for name, t in zip(model.classes, fitted.thresholds, strict=True)
        ],
    )  # fmt: skip
