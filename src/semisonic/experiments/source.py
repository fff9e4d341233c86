"""A classifier of another labelled set, trained once, that settings start from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.classifier.prepare import prepare
from semisonic.classifier.provenance import DataPart, data_hash, recording_hashes
from semisonic.classifier.selection import check_classes, select, targets_of
from semisonic.classifier.training import TrainingData, train_model
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import digest
from semisonic.data.checks import clean_pool
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.experiments.options import SYNTH, RunOptions
from semisonic.experiments.recipe import TRAINED, Recipe, Setting
from semisonic.models.model_file import read_about, save


@dataclass(frozen=True)
class SourceModel:
    """The other set, without copies of the clips to be tested on.

    Attributes
    ----------
    clips : Clips
        Labelled ones.
    hashes : dict of str to str
        Of the recordings' bytes, by file.
    notes : tuple of str
        What a reader of the report must know.
    """

    clips: Clips
    hashes: dict[str, str]
    notes: tuple[str, ...]

    @property
    def key(self) -> str:
        """What tells this set from others: its recordings and their labels."""
        labels = [";".join(labels) for labels in self.clips.labels]
        return digest(data_hash(self.hashes.values()), self.clips.classes, self.clips.ids, labels)


def load_source(options: RunOptions, recipe: Recipe, labelled: Clips) -> SourceModel | None:
    """The set that the options name, or made-up sounds; None where no setting asks for one.

    Raises
    ------
    OptionError
        When a set is given that no setting would start from.
    DataError
        When it has too few labels or classes.
    """
    if not any(setting.start == TRAINED for setting in (*recipe.settings, *recipe.controls)):
        if options.source is not None:
            raise OptionError(
                f"option 'source': found {options.source}, but no setting of the recipe has "
                f"start = '{TRAINED}'; leave the option out"
            )
        return None
    if options.source is None or str(options.source) == SYNTH:
        found, notes = _made_up(recipe, labelled)
    else:
        found = load_clips(options.source)
        found = found[found.is_labelled]
        near = options.near_copies and str(options.data) != SYNTH
        clean = clean_pool(found, labelled, near=near, workers=options.workers)
        kept = set(clean.clips.ids)
        found = found[np.array([clip in kept for clip in found.ids], np.bool_)]
        notes = [note.replace("of the pool", "of the source") for note in clean.notes()]
        # A name that a data set gives a recording is the same recording in both.
        kin = np.isin(found.group, labelled.group) & (found.group != found.file)
        if kin.any():
            found = found[~kin]
            n = int(kin.sum())
            what = (
                "1 clip of the source is of a recording"
                if n == 1
                else (f"{n} clips of the source are of recordings")
            )
            notes.append(f"{what} that labelled clips are of, and left out.")
    if not len(found):
        raise DataError(
            f"option 'source': '{found.name}' has no labelled clip that is not a copy of the "
            "clips to be tested on"
        )
    check_classes(found, np.arange(len(found)))
    said = f"'{found.name}': {len(found)} clips of {len(found.classes)} classes"
    notes.insert(0, f"The classifier that is transferred was trained once on {said}.")
    return SourceModel(found, recording_hashes(found, workers=options.workers), tuple(notes))


def _made_up(recipe: Recipe, labelled: Clips) -> tuple[Clips, list[str]]:
    """The embedded sounds of kinds that are no class of the labelled clips."""
    from semisonic.data.synth.dataset import load_synth, make_in_cache

    clips, _ = load_synth(make_in_cache(recipe.source.synth))
    others = tuple(name for name in clips.classes if name not in labelled.classes)
    if len(others) < 2:
        raise DataError(
            f"recipe key 'source.synth.n_classes': of {len(clips.classes)} made-up kinds all but "
            f"{len(others)} are classes of the data, too, expected two others; make more "
            "kinds, or give a set with --source"
        )
    rows = np.array([labels[0] in others for labels in clips.labels], np.bool_)
    return clips[rows].with_columns(classes=others), ["The source is made-up sounds."]


def trained_files(
    source: SourceModel,
    settings: Iterable[Setting],
    recipe: Recipe,
    cache: Path,
    *,
    seed: int,
    device: str,
    workers: int | None,
) -> dict[tuple[str, ...], Path]:
    """The classifier of the source for each network and front end, by :func:`network_key`."""
    wanted = {network_key(setting): setting for setting in settings if setting.start == TRAINED}
    return {
        key: _trained(source, setting, recipe, cache / "sources", seed, device, workers)
        for key, setting in wanted.items()
    }


def network_key(setting: Setting) -> tuple[str, ...]:
    """What an encoder must have been made for, and from what, to begin a setting with."""
    return setting.start, setting.architecture, setting.mel.key(), setting.standardize


def _trained(
    source: SourceModel,
    setting: Setting,
    recipe: Recipe,
    cache: Path,
    seed: int,
    device: str,
    workers: int | None,
) -> Path:
    """The file of one classifier; made once, then found."""
    asked = recipe.source
    fit = replace(asked.fit, precision=setting.fit.precision)  # the run's
    config = replace(
        asked,
        model=setting.architecture,
        mel=setting.mel,
        standardize=setting.standardize,
        fit=fit,
    )
    key = digest(source.key, setting.start, config, seed)
    file = cache / f"model-{key}.zip"
    if file.is_file():
        return file
    chosen = select(source.clips, validation=asked.validation, seed=seed)
    prepared = prepare(source.clips, setting.mel, cache, workers=workers)
    rows = {name: prepared.rows_of(getattr(chosen, name)) for name in ("train", "validation")}
    check_classes(prepared.clips, rows["train"])
    data = TrainingData(
        prepared.features,
        targets_of(prepared.clips, multi_label=source.clips.is_multi_label),
        source.clips.classes,
        rows["train"],
        rows["validation"],
    )
    outcome = train_model(
        config,
        data,
        seed=seed,
        device=device,
        folder=cache / f"training-{key}",
        label="source",
    )
    last = outcome.history[outcome.best_epoch - 1]
    about: dict[str, Any] = {
        "command": "source",
        "seed": seed,
        "seconds": outcome.seconds,
        "measured": {name: value for name, value in last.items() if name.startswith("val_")},
        "training": DataPart.of(source.clips[chosen.train], source.hashes).to_dict(),
        "validation": DataPart.of(source.clips[chosen.validation], source.hashes).to_dict(),
    }
    save(file, outcome.model, about=about)
    return file


def measured(files: Iterable[Path]) -> list[str]:
    """What each classifier reached on the part of the source that was held out."""
    notes = []
    for file in files:
        said = read_about(file)["about"]
        values = said.get("measured", {})
        name = next((name for name in ("val_accuracy", "val_lwlrap") if name in values), "")
        if name:
            share, n = values[name], said["validation"]["clips"]
            notes.append(
                f"The transferred classifier's {name.removeprefix('val_')} on the {n} held-out "
                f"clips of its own set: {100 * share:.1f} %."
            )
    return notes
