"""The starts of settings: encoders trained on synthetic sounds, and classifiers of another set."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.classifier.prepare import prepare
from semisonic.classifier.provenance import DataPart, data_hash, recording_hashes
from semisonic.classifier.selection import check_classes, targets_of
from semisonic.classifier.start import synthetic_file
from semisonic.classifier.train import select
from semisonic.classifier.training import TrainingData, train_model
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import digest, replacing
from semisonic.core.text import count_text, percent_text
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.duplicates import clean_pool
from semisonic.data.synth.dataset import load_synth, make_in_cache
from semisonic.experiments.options import SYNTH, RunOptions
from semisonic.experiments.recipe import TRAINED, Recipe, Setting
from semisonic.experiments.worker import WorkerContext, network_key
from semisonic.models.model_file import read_about, save


@dataclass(frozen=True)
class SourceSet:
    """Another labelled set, without copies of the clips to be tested on.

    ``hashes`` are of the recordings' bytes, by file; ``notes`` are what a reader of the report must
    know.
    """

    clips: Clips
    hashes: dict[str, str]
    notes: tuple[str, ...]

    @property
    def key(self) -> str:
        """The identity of the set: its recordings and their labels."""
        labels = [";".join(labels) for labels in self.clips.labels]
        return digest(data_hash(self.hashes.values()), self.clips.classes, self.clips.ids, labels)


def load_source(options: RunOptions, recipe: Recipe, labelled: Clips) -> SourceSet | None:
    """The set that the options name, or synthetic sounds; None if no setting asks for one.

    Raises
    ------
    OptionError
        If a set is given that no setting would start from.
    DataError
        If it has too few labels or classes.
    """
    if not any(setting.start == TRAINED for setting in (*recipe.settings, *recipe.controls)):
        if options.source is not None:
            raise OptionError(
                f"option 'source': found {options.source}, but no setting of the recipe has "
                f"start = '{TRAINED}'; leave the option out"
            )
        return None
    if options.source is None or str(options.source) == SYNTH:
        found, notes = _synthetic(recipe, labelled), ["The source is synthetic sounds."]
    else:
        found = load_clips(options.source)
        found = found[found.is_labelled]
        near = options.near_copies and str(options.data) != SYNTH
        clean = clean_pool(found, labelled, near=near, workers=options.workers)
        found = found[np.isin(found.ids, clean.clips.ids)]
        notes = [note.replace("of the pool", "of the source") for note in clean.notes()]
        # A name that a data set gives a recording is the same recording in both.
        tested = np.isin(found.group, labelled.group) & (found.group != found.file)
        if tested.any():
            found = found[~tested]
            n = int(tested.sum())
            which = "clip of the source is of a recording", "clips of the source are of recordings"
            notes.append(f"{count_text(n, *which)} that labelled clips are of, and left out.")
    if not len(found):
        raise DataError(
            f"option 'source': all labelled clips of '{found.name}' are copies of test clips; "
            "give another set"
        )
    check_classes(found, np.arange(len(found)))
    said = f"'{found.name}': {len(found)} clips of {len(found.classes)} classes"
    notes.insert(0, f"The classifier that is transferred was trained once on {said}.")
    return SourceSet(found, recording_hashes(found, workers=options.workers), tuple(notes))


def _synthetic(recipe: Recipe, labelled: Clips) -> Clips:
    """The embedded sounds of kinds that are no class of the labelled clips."""
    clips, _ = load_synth(make_in_cache(recipe.source.synth))
    others = tuple(name for name in clips.classes if name not in labelled.classes)
    if len(others) < 2:
        raise DataError(
            f"recipe key 'source.synth.n_classes': found {len(others)} of {len(clips.classes)} "
            "synthetic kinds that are not classes of the data, expected at least 2; make more "
            "kinds, or give a set with --source"
        )
    rows = np.isin([labels[0] for labels in clips.labels], others)
    return clips[rows].with_columns(classes=others)


def make_starts(
    settings: Iterable[Setting],
    recipe: Recipe,
    source: SourceSet | None,
    context: WorkerContext,
    cache: Path,
    options: RunOptions,
) -> list[str]:
    """Save the encoder that each setting starts from beside the jobs; return notes about quality.

    Parameters
    ----------
    settings : iterable of Setting
        Those with ``start = "fresh"`` need nothing.
    recipe : Recipe
    source : SourceSet, optional
        What classifiers are trained on for ``start = "trained"``.
    context : WorkerContext
    cache : Path
        Keeps classifiers of the source; encoders of synthetic sounds come from the user's cache.
    options : RunOptions
    """
    notes = []
    wanted = [one for one in settings if one.start != "fresh" and not one.classifier]
    for setting in {network_key(one): one for one in wanted}.values():
        if setting.start == TRAINED and source is not None:
            device = context.device
            file = _trained(source, setting, recipe, cache / "sources", device, options)
            notes += _measured(file)
        else:
            file = synthetic_file(
                setting.architecture,
                setting.mel,
                standardize=setting.standardize,
                device=context.device,
                workers=options.workers,
            )
        place = context.start_file(setting)
        if not place.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            with replacing(place) as part:
                shutil.copyfile(file, part)
    return notes


def _trained(
    source: SourceSet,
    setting: Setting,
    recipe: Recipe,
    cache: Path,
    device: str,
    options: RunOptions,
) -> Path:
    """The file of the source's classifier for a network and front end; made once, then found."""
    clips, seed = source.clips, options.seed
    config = replace(
        recipe.source,
        model=setting.architecture,
        mel=setting.mel,
        standardize=setting.standardize,
        fit=replace(recipe.source.fit, precision=setting.fit.precision),  # the run's
    )
    key = digest(source.key, setting.start, config, seed)
    file = cache / f"model-{key}.zip"
    if file.is_file():
        return file
    chosen = select(clips, validation=config.validation, seed=seed)
    prepared = prepare(clips, setting.mel, cache, workers=options.workers)
    train, validation = map(prepared.rows_of, (chosen.train, chosen.validation))
    check_classes(prepared.clips, train)
    target = targets_of(prepared.clips, multi_label=clips.is_multi_label)
    data = TrainingData(prepared.features, target, clips.classes, train, validation)
    folder = cache / f"training-{key}"
    outcome = train_model(config, data, seed=seed, device=device, folder=folder, label="source")
    last = outcome.history[outcome.best_epoch - 1]
    about: dict[str, Any] = {
        "command": "source",
        "seed": seed,
        "seconds": outcome.seconds,
        "measured": {name: value for name, value in last.items() if name.startswith("val_")},
        "training": DataPart.of(clips[chosen.train], source.hashes).to_dict(),
        "validation": DataPart.of(clips[chosen.validation], source.hashes).to_dict(),
    }
    save(file, outcome.model, about=about)
    return file


def _measured(file: Path) -> list[str]:
    """What a classifier reached on the part of the source that was held out."""
    about = read_about(file)["about"]
    n = about["validation"]["clips"]
    return [
        f"The transferred classifier's {name.removeprefix('val_')} on the {n} held-out clips of "
        f"its own set: {percent_text(about['measured'][name])}."
        for name in ("val_accuracy", "val_lwlrap")
        if name in about["measured"]
    ][:1]
