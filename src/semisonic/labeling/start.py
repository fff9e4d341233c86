"""Start a project: scan, pre-train, embed, cluster. Each step is done once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.classifier.config import DEFAULT_MODEL, PRETRAIN, SIMCLR
from semisonic.classifier.model_file import encoder_file
from semisonic.classifier.options import PretrainOptions
from semisonic.classifier.pretrain import pretrain
from semisonic.classifier.run_files import stamp
from semisonic.classifier.scan import scan
from semisonic.classifier.sounds import as_sounds
from semisonic.classifier.start import SYNTH, synthetic_file
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import FolderLock, read_json, replacing, write_json
from semisonic.core.options import check, to_dict
from semisonic.core.seeds import generator
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import Failures, load_clips, name_from
from semisonic.data.duplicates import group_duplicates
from semisonic.data.events import POSITIVE
from semisonic.data.label_log import Segment
from semisonic.data.outputs import check_folder
from semisonic.data.recording_names import groups_of
from semisonic.data.scan import Scan
from semisonic.data.windows import windows
from semisonic.features.frontend import Frontend
from semisonic.features.options import WAVE, MelOptions
from semisonic.labeling.clusters import find_clusters
from semisonic.labeling.embed import make_index
from semisonic.labeling.embedder import open_embedder
from semisonic.labeling.imported import SOURCE, add_answers
from semisonic.labeling.index import NO_CLUSTER, EmbeddingIndex
from semisonic.labeling.options import SILENCE_DB, ProjectOptions
from semisonic.labeling.probe import require_probe_fits
from semisonic.labeling.project import ABOUT, ENCODER, FORMAT, INDEX, Project
from semisonic.labeling.vectors import holds_vectors, read_vectors
from semisonic.models.model_file import save_encoder
from semisonic.models.networks.frozen import elsewhere_name
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.registry import create
from semisonic.training.run_folder import FREE, differences

BEGUN = "begun.json"
CACHE = "cache"
AUTO = "auto"
FEWEST_HEARD = 100
"""Windows from which on the encoder learns from them; 150 were enough for a large gain
(``docs/guides/labeling.md``)."""
MOST_PRETRAINED = 10_000
"""Largest number of windows for training the encoder, drawn at random."""
_FEWEST_CLUSTERED = 10
"""Number of segments from which they are grouped."""
_GROUPS, _MOST_GROUPS = 1.25, 40
"""Groups per square root of the number of segments, so that most classes have a group."""
_MOST_TOLD = 3
"""Number of labels listed if they cannot be imported; the rest is counted."""
STEPS = ("look", "contrast", "vectors", "groups")
"""Looking at the recordings; an encoder learns from them by contrast; they become vectors; groups
are found."""
LOOK, CONTRAST, VECTORS, GROUPS = STEPS

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Started:
    """A project, and the result of its start.

    Attributes
    ----------
    project : Project
    n_recordings, n_clusters : int
        Numbers of recordings used, and of groups.
    n_found : int
        Number of recordings found, including unusable ones.
    failures : tuple of (str, str)
        Recordings that cannot be used, or only in part.
    notes : tuple of str
    """

    project: Project
    n_recordings: int
    n_clusters: int
    failures: Failures
    notes: tuple[str, ...]
    n_found: int

    def summary(self) -> str:
        """For a terminal."""
        n = len(self.project.index)
        lines = [
            f"{count_text(self.n_recordings, 'recording')}, "
            f"{count_text(n, 'segment', 'segments')}, "
            f"{count_text(self.n_clusters, 'group')} that sound alike",
            *self.notes,
        ]
        if self.failures:
            n_failed = count_text(len(self.failures), "recording")
            lines.append(f"{n_failed} cannot be used, or only in part")
        folder = self.project.folder
        lines += [f"project: {folder}", f"next: semisonic project suggest {folder}"]
        return "\n".join(lines)


def start_project(options: ProjectOptions, *, tell: Tell = lambda step: None) -> Started:
    """Start a project; the same call continues an interrupted start.

    For a finished project, it adds new recordings; the encoder and all answers are kept.

    Parameters
    ----------
    options : ProjectOptions
    tell : callable, optional
        Called with each of ``STEPS`` that is not left out, as it begins.

    Returns
    -------
    Started

    Raises
    ------
    OptionError
        When an option is wrong, or the folder belongs to a project with other options.
    DataError
        When no recording is found, or the folder contains something else.
    ModelError
        When the encoder's file is damaged, or no classifier can be trained on the encoder.
    """
    check(options)
    if holds_vectors(options.encoder):
        _check_unused(options)
    folder, begun = options.output, options.output / BEGUN
    free = (*FREE, "recordings")
    identity = {name: value for name, value in to_dict(options).items() if name not in free}
    identity["recordings"] = os.path.abspath(options.recordings)
    check_folder(folder, "a project", {BEGUN})
    changed = (
        differences(read_json(begun, {"recordings": str}), identity) if begun.is_file() else []
    )
    if changed:
        raise OptionError(
            f"{folder}: a project with other options: {'; '.join(changed)}. Choose another folder"
        )
    lock = FolderLock(folder)
    lock.acquire()
    try:
        write_json(begun, identity)
        return _start(folder, options, tell)
    finally:
        lock.release()


def _start(folder: Path, options: ProjectOptions, tell: Tell) -> Started:
    tell(LOOK)
    before = read_json(folder / ABOUT, {"recordings": str}) if (folder / ABOUT).is_file() else {}
    if holds_vectors(options.encoder):
        index, labels, note = _take_vectors(folder, options)
        encoder = folder / ENCODER / "encoder.zip"
        started = _finish(folder, options, before, index, encoder, tell, notes=[note])
        return _take_labels(started, labels, options) if any(labels) else started
    recordings, notes = options.recordings, list[str]()
    failures: Failures = ()
    clips = load_clips(recordings, labels="none", group=options.group)
    base = recordings if recordings.is_dir() else recordings.parent
    named = {name_from(base, path) for path in set(clips.paths)}
    if recordings.is_dir():
        result = scan(
            Path(os.path.abspath(recordings)),
            folder / "scan",
            labels="none",
            silence_db=options.silence_db,
            workers=options.workers,
        )
        failures = result.failures
        clips, notes = _usable(clips, result.scan)
    if not len(clips):
        raise DataError(f"{recordings}: found no usable recording; see {folder / 'scan'}")
    index = folder / before.get("index", INDEX)
    encoder = folder / before.get("encoder", Path(ENCODER, "encoder.zip"))
    if encoder.is_file():  # recordings that came later are embedded by the same one
        notes.append("encoder: that of the project, unchanged")
    else:
        source, note = _encoder(folder, options, clips, tell)
        notes.append(note)
        with replacing(encoder) as part:  # the project needs no other folder
            shutil.copyfile(source, part)
    tell(VECTORS)
    embedder = open_embedder(encoder)
    require_probe_fits(embedder.network)
    made = make_index(
        embedder,
        clips,
        index,
        hop=options.hop,
        device=options.device,
        workers=options.workers,
    )
    unread = {name_from(base, index / file): why for file, why in made.failures}
    unread |= dict(reversed(failures))  # what failed twice is told once
    return _finish(
        folder,
        options,
        before,
        made.index,
        encoder,
        tell,
        notes=notes,
        n_recordings=len(set(clips.file.tolist())),
        failures=tuple(sorted(unread.items())),
        n_found=len({*named, *unread}),
    )


def _check_unused(options: ProjectOptions) -> None:
    """Raise an error for options without effect on vectors made elsewhere."""
    for name, default in (("hop", None), ("silence_db", SILENCE_DB)):
        value = getattr(options, name)
        if value != default:
            raise OptionError(
                f"option '{name}': found {value}, but the segments of these vectors are given; "
                "leave it out"
            )


def _take_vectors(
    folder: Path, options: ProjectOptions
) -> tuple[EmbeddingIndex, tuple[tuple[str, ...], ...], str]:
    """The index of vectors made elsewhere, and a file that represents their encoder.

    Returned with the labels beside the vectors, and notes.
    """
    found = read_vectors(Path(options.encoder), options.recordings)
    dim = found.vectors.shape[-1]
    mel = replace(MelOptions(input=WAVE), duration=1.0)
    body = create(elsewhere_name(found.made_by, dim), mel.shape)
    stand_in = PretrainedEncoder(body.encoder, Frontend(mel, "none"), body.name, neck=body.neck)
    file, new = folder / ENCODER / "encoder.zip", folder / "index-new"
    save_encoder(file, stand_in, about=stamp("project new", options))
    rows, embedder = as_sounds(found.frame).clips, open_embedder(file)
    recordings = groups_of(rows.file.tolist(), options.group, known=rows.group.tolist())
    clips = rows.with_columns(
        labels=((),) * len(rows), classes=(), group=np.array(recordings, np.str_)
    )
    shutil.rmtree(new, ignore_errors=True)
    EmbeddingIndex.from_vectors(found.vectors, clips, new, model=found.made_by, key=embedder.hash)
    shutil.rmtree(folder / INDEX, ignore_errors=True)
    new.rename(folder / INDEX)
    note = f"vectors: {options.encoder}, {dim} numbers each"
    return EmbeddingIndex.open(folder / INDEX, embedder), tuple(rows.labels), note


def _take_labels(
    started: Started, labels: Sequence[Sequence[str]], options: ProjectOptions
) -> Started:
    """Import labels beside vectors as answers about their segments."""
    project = started.project
    clips = project.index.clips
    segments = (
        Segment(project.log.name_of(path), float(start), float(end))
        for path, start, end in zip(clips.paths, clips.start_time, clips.end_time, strict=True)
    )
    named = {segment: names for segment, names in zip(segments, labels, strict=True) if names}
    asked = {entry.box for entry in project.log.entries()}  # also what was taken back since
    rows = {(one, POSITIVE): names for one, names in named.items() if one.box not in asked}
    name = Path(options.encoder).name
    taken = add_answers(project, rows, source=SOURCE + name, respell=True)
    note = f"{count_text(taken.n_answers, 'label')} beside the vectors imported as answers"
    if n_known := len(named) - len(rows):
        note += f"; {count_text(n_known, 'segment')} already had an answer"
    refused = [f"not imported: {place}: {reason}" for place, reason in taken.problems[:_MOST_TOLD]]
    if more := len(taken.problems) - len(refused):
        refused.append(f"and {count_text(more, 'label')} more not imported")
    return replace(started, notes=(*started.notes, note, *refused))


def _finish(
    folder: Path,
    options: ProjectOptions,
    before: dict[str, Any],
    made: EmbeddingIndex,
    encoder: Path,
    tell: Tell,
    *,
    notes: list[str],
    n_recordings: int | None = None,
    failures: Failures = (),
    n_found: int | None = None,
) -> Started:
    """Find groups, and write the description of the project."""
    tell(GROUPS)
    vectors = made.vectors
    n = len(set(made.clips.file.tolist()))
    number = np.full(len(vectors), NO_CLUSTER)
    if options.clusters != AUTO or len(vectors) >= _FEWEST_CLUSTERED:
        count = str(min(_MOST_GROUPS, round(_GROUPS * len(vectors) ** 0.5)))
        how = count if options.clusters == AUTO else options.clusters
        number = find_clusters(vectors, how, seed=options.seed).number
    made.set_clusters(number)
    here = Path(os.path.abspath(folder))
    about = {
        "format": FORMAT,
        "recordings": name_from(here, options.recordings),
        "encoder": name_from(here, encoder),
        "index": name_from(here, made.folder),
        "seed": options.seed,
        # what was changed later stays
        "several_labels": before.get("several_labels", options.several_labels),
        "classes": before.get("classes", {}),
        "vectors": before.get("vectors", ""),
        "stopped": before.get("stopped", False),
        "made": stamp("project new", options),
    }
    write_json(folder / ABOUT, about)
    return Started(
        Project(folder),
        n if n_recordings is None else n_recordings,
        int(number.max(initial=-1)) + 1,
        failures,
        tuple(notes),
        n_found=n if n_found is None else n_found,
    )


def _usable(clips: Clips, scanned: Scan) -> tuple[Clips, list[str]]:
    """The clips without silent recordings and copies; cuts of one sound share a group."""
    names = [name_from(scanned.root, path) for path in clips.paths]
    found = scanned.recordings
    silent = {*found["file"][found["silent_share"] >= 1.0]}
    copies = {max(p.first, p.second) for p in scanned.duplicates if p.kind == "identical"}
    left = {*found["file"]} - silent - copies
    kept = [row for row, name in enumerate(names) if name in left]
    place = {names[row]: number for number, row in enumerate(kept)}
    alike = (
        replace(pair, first_row=place[pair.first], second_row=place[pair.second])
        for pair in scanned.duplicates
        if pair.first in place and pair.second in place
    )
    notes = [
        f"{count_text(len(files), *what)} left out: see scan/scan.html"
        for files, what in (
            (silent, ("silent recording", "silent recordings")),
            (copies - silent, ("copy of another", "copies of others")),
        )
        if files
    ]
    return group_duplicates(clips[np.array(kept, np.int64)], alike), notes


def _encoder(folder: Path, options: ProjectOptions, clips: Clips, tell: Tell) -> tuple[Path, str]:
    """The file of the encoder, and a note about its origin."""
    if options.encoder not in (AUTO, SYNTH):
        return encoder_file(options.encoder), f"encoder: {options.encoder}"
    mel, said = MelOptions(), "encoder: trained to name synthetic sounds"
    pool = clips[:0]
    if options.encoder == AUTO:
        pool = windows(clips, mel.duration, workers=options.workers)
    is_enough = len(pool) >= FEWEST_HEARD
    file = synthetic_file(
        DEFAULT_MODEL,
        mel,
        device=options.device,
        workers=options.workers,
    )
    if options.encoder == SYNTH:
        return file, said
    if not is_enough:
        return file, f"{said}; {len(pool)} windows are too few for contrastive learning"
    tell(CONTRAST)
    made, n = learn_by_contrast(
        folder,
        pool,
        seed=options.seed,
        device=options.device,
        workers=options.workers,
        cache=options.cache,
    )
    return made, (
        f"encoder: trained on synthetic sounds, then on {n} windows of the recordings by "
        "contrastive learning"
    )


def learn_by_contrast(
    folder: Path,
    pool: Clips,
    *,
    seed: int,
    device: str = "auto",
    workers: int | None = None,
    cache: Path | None = None,
) -> tuple[Path, int]:
    """Train the encoder of the package on windows by contrastive learning, without labels.

    The same call continues after an interruption.

    Parameters
    ----------
    folder : Path
        Of the project.
    pool : Clips
        Windows; those beyond ``MOST_PRETRAINED`` are drawn at random.
    seed, device, workers, cache
        As in the options of a project.

    Returns
    -------
    Path, int
        The file of the encoder, and the number of windows used.
    """
    n = min(len(pool), MOST_PRETRAINED)
    rows = generator(seed, "pre-trained").choice(len(pool), n, replace=False)
    heard = pool[np.sort(rows)]
    frame = heard.to_frame()[["file", "start_time", "end_time", "group"]]
    table = Path(os.path.abspath(folder)) / ENCODER / "windows.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    frame["file"] = [os.path.abspath(path) for path in heard.paths]
    frame.to_csv(table, index=False, errors="backslashreplace")
    options = PretrainOptions(
        data=table,
        output=folder / ENCODER / "run",
        encoder=Path(SYNTH),
        objective=SIMCLR,
        fit=PRETRAIN,
        seed=seed,
        device=device,
        workers=workers,
        cache=cache or folder / CACHE,
    )
    try:
        return pretrain(options).encoder, n
    finally:
        if cache is None:  # decoded sounds are many times the size of the recordings
            shutil.rmtree(folder / CACHE, ignore_errors=True)
