"""Starting a project: look, learn without labels, embed, find clusters. Each step is done once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.config import DEFAULT_MODEL, LEAST_HEARD, PRETRAIN, SIMCLR
from semisonic.classifier.model_file import encoder_file
from semisonic.classifier.options import PretrainOptions
from semisonic.classifier.pretrain import pretrain
from semisonic.classifier.scan import scan
from semisonic.classifier.starting_encoder import SYNTH, synthetic_file
from semisonic.classifier.use_options import ScanOptions
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import read_json, replacing, write_csv, write_json
from semisonic.core.locks import FolderLock
from semisonic.core.options import check, to_dict
from semisonic.core.seeds import generator
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.duplicates import group_duplicates
from semisonic.data.outputs import check_folder
from semisonic.data.scan.scan import Scan
from semisonic.data.windows import windows
from semisonic.features.options import MelOptions
from semisonic.labeling.clusters import find_clusters
from semisonic.labeling.embed_run import make_index
from semisonic.labeling.embedder import open_embedder
from semisonic.labeling.index import Failures
from semisonic.labeling.options import EmbedOptions, ProjectOptions
from semisonic.labeling.probe import check_fits
from semisonic.labeling.project import ENCODER, INDEX, Project, write_about
from semisonic.training.run_folder import differences

BEGUN = "begun.json"
AUTO = "auto"
FREE = ("output", "workers", "device", "cache", "recordings")
LOOK, MADE_UP, APART, VECTORS, GROUPS = STEPS = ("look", "made-up", "apart", "vectors", "groups")
"""Looking at the recordings; an encoder learns made-up sounds; it learns to tell the recordings
apart; they become vectors; groups are found."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Started:
    """A project, and what was found on the way.

    Attributes
    ----------
    project : Project
    n_recordings, n_clusters : int
        Recordings that are used, and groups.
    n_found : int
        Recordings that were found, those that cannot be used among them.
    scan : Scan or None
        Of a folder; a table is not scanned.
    failures : tuple of (str, str)
        Recordings that cannot be used, or not as a whole.
    notes : tuple of str
    """

    project: Project
    n_recordings: int
    n_clusters: int
    scan: Scan | None
    failures: Failures
    notes: tuple[str, ...]
    n_found: int

    def summary(self) -> str:
        """For a terminal."""
        n = len(self.project.index)
        lines = [
            f"{count_text(self.n_recordings, 'recording')}, {count_text(n, 'stretch', 'stretches')}, "
            f"{count_text(self.n_clusters, 'group')} that sound alike",
            *self.notes,
        ]
        if self.failures:
            n_failed = count_text(len(self.failures), "recording")
            lines.append(f"{n_failed} cannot be used, or not as a whole")
        folder = self.project.folder
        lines += [
            f"project: {folder}",
            f"next: semisonic project suggest {folder}",
        ]
        return "\n".join(lines)


def start_project(options: ProjectOptions, *, tell: Tell = lambda step: None) -> Started:
    """Start a project; the same call goes on with an interrupted one.

    Called again for a finished one it takes in recordings that came since; the encoder and all
    answers stay. ``tell`` is given each of ``STEPS`` that is not left out, as it begins.

    Raises
    ------
    OptionError
        When an option is wrong, or the folder belongs to a project with other options.
    DataError
        When no recording is found, or the folder holds something else.
    ModelError
        When the encoder's file is damaged, or is one that answers cannot be learned behind.
    """
    check(options)
    recordings = _recordings_of(options)
    folder = options.output
    lock = FolderLock(folder)
    _check_folder(folder, options, recordings)
    lock.acquire()
    try:
        write_json(folder / BEGUN, _identity(options, recordings))
        return _start(folder, options, recordings, tell)
    finally:
        lock.release()


def _start(folder: Path, options: ProjectOptions, recordings: Path, tell: Tell) -> Started:
    tell(LOOK)
    cache = options.cache or folder / "cache"
    scanned: Scan | None = None
    failures: Failures = ()
    notes: list[str] = []
    clips = load_clips(recordings, labels="none", group=options.group)
    base = recordings if recordings.is_dir() else recordings.parent
    found = {
        Path(os.path.relpath(clips.root / file, base)).as_posix()
        for file in set(clips.file.tolist())
    }
    if recordings.is_dir():
        result = scan(
            ScanOptions(
                data=Path(os.path.abspath(recordings)),
                output=folder / "scan",
                labels="none",
                silence_db=options.silence_db,
                workers=options.workers,
            )
        )
        scanned, failures = result.scan, result.failures
        clips, notes = _worth_hearing(clips, scanned)
    if not len(clips):
        raise DataError(f"{recordings}: no recording that can be used; see {folder / 'scan'}")
    encoder, more = folder / ENCODER / "encoder.zip", ["encoder: the project's own, as it was"]
    if not encoder.is_file():  # recordings that came later are embedded by the same one
        made_by, more = _encoder(folder, options, clips, cache, tell)
        _keep(made_by, encoder)
    tell(VECTORS)
    embedder = open_embedder(encoder)
    mel = embedder.mel
    check_fits(embedder.network.name, embedder.dim, mel.shape)
    made = make_index(
        embedder,
        clips,
        EmbedOptions(
            Path(),
            (),
            folder / INDEX,
            hop=options.hop,
            labels="none",
            device=options.device,
            workers=options.workers,
        ),
    )
    tell(GROUPS)
    number = _clusters(made.index.vectors, options)
    made.index.set_clusters(number)
    write_about(folder, options, recordings, encoder)
    unread = dict(reversed(failures))  # one that also failed to be embedded is told once
    for file, why in made.failures:
        unread.setdefault(Path(os.path.relpath(folder / INDEX / file, base)).as_posix(), why)
    failures = tuple(sorted(unread.items()))
    return Started(
        Project.open(folder),
        len(set(clips.file.tolist())),
        int(number.max(initial=-1)) + 1,
        scanned,
        failures,
        (*notes, *more),
        n_found=len({*found, *unread}),
    )


def _worth_hearing(clips: Clips, scanned: Scan) -> tuple[Clips, list[str]]:
    """The clips without silent recordings and second copies; cuts of one sound are one group."""
    base = os.path.abspath(scanned.root)
    names = [
        Path(os.path.relpath(os.path.join(os.path.abspath(clips.root), file), base)).as_posix()
        for file in clips.file.tolist()
    ]
    usable = {one.file for one in scanned.recordings}
    silent = {one.file for one in scanned.recordings if one.measured.silent_share >= 1.0}
    copies = {max(p.first, p.second) for p in scanned.duplicates if p.kind == "identical"}
    kept = [row for row, name in enumerate(names) if name in usable - silent - copies]
    place = {names[row]: number for number, row in enumerate(kept)}
    alike = (
        replace(pair, first_row=place[pair.first], second_row=place[pair.second])
        for pair in scanned.duplicates
        if pair.first in place and pair.second in place
    )
    notes = [
        f"{len(found)} {what} left out: see scan/scan.html"
        for what, found in (("silent recordings", silent), ("copies of others", copies - silent))
        if found
    ]
    return group_duplicates(clips[np.array(kept, np.int64)], alike), notes


def _encoder(
    folder: Path, options: ProjectOptions, clips: Clips, cache: Path, tell: Tell
) -> tuple[Path, list[str]]:
    """The file of the encoder that makes the vectors, and how it came about."""
    if options.encoder not in (AUTO, SYNTH):
        return encoder_file(options.encoder), []
    mel = MelOptions()
    if options.encoder == SYNTH:
        tell(MADE_UP)
        file = synthetic_file(
            DEFAULT_MODEL, mel, seed=options.seed, device=options.device, workers=options.workers
        )
        return file, ["encoder: one that learned to name made-up sounds"]
    heard = windows(clips, mel.duration, workers=options.workers)
    if len(heard) < LEAST_HEARD:
        found, _ = _encoder(folder, replace(options, encoder=SYNTH), clips, cache, tell)
        return found, [
            f"encoder: one that learned to name made-up sounds; {len(heard)} windows are too few "
            "to be told apart"
        ]
    n = min(len(heard), options.most_pretrained)
    tell(MADE_UP)
    synthetic_file(  # found again by what follows
        DEFAULT_MODEL, mel, device=options.device, workers=options.workers
    )
    tell(APART)
    rows = generator(options.seed, "pre-trained").choice(len(heard), n, replace=False)
    table = Path(os.path.abspath(folder)) / ENCODER / "heard.csv"
    _write_table(table, heard[np.sort(rows)])
    made = pretrain(
        PretrainOptions(
            data=table,
            output=folder / ENCODER / "run",
            encoder=Path(SYNTH),
            objective=SIMCLR,
            fit=PRETRAIN,
            seed=options.seed,
            device=options.device,
            workers=options.workers,
            cache=cache,
        )
    )
    return made.encoder, [
        f"encoder: made-up sounds, then {n} windows of the recordings told apart, without labels"
    ]


def _keep(file: Path, place: Path) -> None:
    """Copy the encoder into the project, which then needs no other folder."""
    with replacing(place) as part:
        shutil.copyfile(file, part)


def _write_table(path: Path, clips: Clips) -> None:
    """Windows as a table that names recordings by their whole path."""
    root = os.path.abspath(clips.root)
    rows = (
        (os.path.join(root, file), f"{start:.3f}", "" if np.isnan(end) else f"{end:.3f}", group)
        for file, start, end, group in zip(
            clips.file, clips.start_time, clips.end_time, clips.group, strict=True
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, ["file", "start_time", "end_time", "group"], list(rows))


def _clusters(vectors: NDArray[np.float32], options: ProjectOptions) -> NDArray[np.int64]:
    """The groups; none where there are too few stretches for any."""
    if options.clusters == AUTO and len(vectors) < 10:
        return np.full(len(vectors), -1)
    return find_clusters(vectors, options.clusters, seed=options.seed).number


def _recordings_of(options: ProjectOptions) -> Path:
    if options.recordings is None:
        raise OptionError(
            "option 'recordings' is missing: name a folder, as in 'semisonic project new FOLDER'"
        )
    return options.recordings


def _identity(options: ProjectOptions, recordings: Path) -> dict[str, object]:
    """What a project's folder belongs to."""
    own = {name: value for name, value in to_dict(options).items() if name not in FREE}
    return {**own, "recordings": os.path.abspath(recordings)}


def _check_folder(folder: Path, options: ProjectOptions, recordings: Path) -> None:
    """Refuse a folder that is something else, or a project with other options."""
    check_folder(folder, "a project", {BEGUN})
    begun = folder / BEGUN
    if not begun.is_file():
        return
    changed = differences(read_json(begun), _identity(options, recordings))
    if changed:
        raise OptionError(
            f"{folder}: a project with other options: {'; '.join(changed)}. Choose another folder"
        )
