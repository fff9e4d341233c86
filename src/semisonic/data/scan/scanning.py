"""A whole scan: find, decode once, look up labels and names, compare, count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from semisonic.audio import AudioInfo, find_audio
from semisonic.audio.find import OTHER_SUFFIXES
from semisonic.data.checks.duplicates import NEAR_MOST, group_duplicates, search
from semisonic.data.checks.pair import Duplicate
from semisonic.data.checks.recordings import AUTO, COPIES
from semisonic.data.clips import Clips
from semisonic.data.readers.place import Place
from semisonic.data.recorder_names import read_names, site_of
from semisonic.data.scan.calendar import CLOCK_SET, is_unset
from semisonic.data.scan.labelling import Labelled, label_files
from semisonic.data.scan.passing import Pass, run_pass
from semisonic.data.scan.prints import unpack
from semisonic.data.scan.recording import Recording, make_recording
from semisonic.data.summary import Summary, describe
from semisonic.data.windows import Header

SILENCE_DB = -60.0
LEAST_SCORE = 0.25
"""Pairs that agree less share a tone or a second of sound; different recordings agree so little."""


@dataclass(frozen=True)
class Scan:
    """What a folder holds.

    Attributes
    ----------
    root : Path
    recordings : tuple of Recording
        Files of which at least a part decodes, by name.
    bad_files : tuple of (str, str)
        Files that cannot be used, or not as a whole, with the reason.
    duplicates : tuple of Duplicate
        Pairs of files with the same bytes or the same sound, the same bytes first.
    near_compared : int
        Files that were compared by their sound.
    summary : Summary
        As ``data info`` gives it.
    n_decoded, n_reused : int
        Files decoded now, and known from an earlier scan.
    decoded_duration, seconds : float
        Seconds of sound decoded now, and the time it took.
    notes : tuple of str
        What was decided on the way; those of the reader of labels are in ``summary``.
    """

    root: Path
    recordings: tuple[Recording, ...]
    bad_files: tuple[tuple[str, str], ...]
    duplicates: tuple[Duplicate, ...]
    near_compared: int
    summary: Summary
    n_decoded: int
    n_reused: int
    decoded_duration: float
    seconds: float
    notes: tuple[str, ...]


def scan(
    root: Path,
    journal: Path,
    *,
    labels: str = "auto",
    group: str = "auto",
    silence_db: float = SILENCE_DB,
    near_copies: bool = True,
    near_most: int = NEAR_MOST,
    workers: int | None = None,
) -> Scan:
    """Look at all recordings below a folder; decode each once.

    Only the starts of recordings that may be copies of each other are read again, to be compared.

    Parameters
    ----------
    root : Path
        The folder.
    journal : Path
        Where finished work is written down, so that a killed scan goes on and a later one decodes
        only what is new or changed. Made if missing.
    labels, group
        As for ``load_clips``; see :func:`~semisonic.data.scan.labelling.label_files` for "auto".
    silence_db : float
        RMS level, in dB of full scale, below which a stretch of 0.1 s is silent.
    near_copies : bool
        Look for copies of the same sound, besides copies of the same bytes.
    near_most : int
        More files than this are not compared by their sound; a note says so.
    workers : int, optional
        Threads; by default as many as there are processors.

    Raises
    ------
    DataError
        When there is no such folder, or no recording in it.
    """
    unreadable: list[tuple[str, str]] = []
    files = _relative(root, find_audio(root, unreadable=unreadable))
    others = _relative(root, find_audio(root, OTHER_SUFFIXES, unreadable=[]))
    if not files and not others:
        Place(root).need_audio()
    names = read_names(files)
    rule = AUTO if group == COPIES else group
    labelled = label_files(root, files, names, labels, rule)
    done = run_pass(root, files, journal, silence_db=silence_db, workers=workers)
    recordings = []
    for i, (file, name) in enumerate(zip(files, names, strict=True)):
        if file not in done.measured:
            continue
        one = make_recording(
            file, done.sizes[file], done.measured[file], name,
            site=site_of(file, name, class_folders=labelled.class_folders)
            if name.recorded_at or done.measured[file].recorded_at else "",
            group=labelled.groups[i], labels=labelled.labels[i],
        )  # fmt: skip
        recordings.append(_grouped_by_device(one) if rule == AUTO else one)
    bad = _bad_files(done, labelled, others, unreadable)
    clips = _clips(root, recordings, labelled)
    notes = list(labelled.notes)
    n_unset = sum(one.recorded_at is not None and is_unset(one.recorded_at) for one in recordings)
    if n_unset:
        notes.append(
            f"recordings dated before {CLOCK_SET.year}, as by a clock that was never set, and "
            f"left out of the map of hours: {n_unset}"
        )
    prints = {
        row: unpack(one.measured.print)
        for row, one in enumerate(recordings)
        if not one.measured.damage
    }
    near = near_copies and len(prints) <= near_most
    if near_copies and not near:
        notes.append(
            f"{len(prints)} recordings were compared by their bytes, not by their sound: the "
            f"search for copies cut or encoded anew takes long for more than {near_most}; "
            f"--near-most {len(prints)} does it"
        )
    found = search(clips, near=near, prints=prints, workers=workers).duplicates
    heard = [pair for pair in found if recordings[pair.first_row].is_heard]
    duplicates = [pair for pair in heard if pair.score >= LEAST_SCORE]
    if group == COPIES:
        clips = group_duplicates(clips, duplicates)
        recordings = [
            replace(one, group=name)
            for one, name in zip(recordings, clips.group.tolist(), strict=True)
        ]
    if len(heard) < len(found):
        notes.append(
            f"recordings with nothing to hear that have the same bytes as another: "
            f"{len(found) - len(heard)}; they are not called copies"
        )
    if len(duplicates) < len(heard):
        notes.append(
            f"pairs of recordings that share a second of sound and nothing else: "
            f"{len(heard) - len(duplicates)}; 'semisonic data check' names them"
        )
    return Scan(
        root=root,
        recordings=tuple(recordings),
        bad_files=tuple(sorted(bad.items())),
        duplicates=tuple(sorted(duplicates, key=lambda d: (d.kind, -d.score, d.first, d.second))),
        near_compared=len(prints) if near else 0,
        summary=describe(clips, headers=_headers(recordings, bad)),
        n_decoded=done.n_decoded,
        n_reused=done.n_reused,
        decoded_duration=done.decoded_duration,
        seconds=done.seconds,
        notes=tuple(notes),
    )


def _relative(root: Path, paths: list[Path]) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def _grouped_by_device(one: Recording) -> Recording:
    """A recording alone in its group, of a known device, joins the others of the device."""
    if one.group != one.file or not one.site or one.recorded_at is None:
        return one
    return replace(one, group=one.site)


def _bad_files(
    done: Pass, labelled: Labelled, others: list[str], unreadable: list[tuple[str, str]]
) -> dict[str, str]:
    """Everything that cannot be used, or not as a whole, with the reason."""
    bad = dict(unreadable)
    bad.update(dict.fromkeys(others, "a format that is not read; convert it to WAV or FLAC"))
    bad.update(dict.fromkeys(labelled.missing, "no such file, but a table of labels names it"))
    bad.update(done.failures)
    bad.update({file: one.damage for file, one in done.measured.items() if one.damage})
    return bad


def _clips(root: Path, recordings: list[Recording], labelled: Labelled) -> Clips:
    """The recordings as a clip table, a row each, in their order."""
    n = len(recordings)
    heard = {label for one in recordings for label in one.labels}
    return Clips(
        root=root,
        file=np.array([one.file for one in recordings], np.str_),
        start_time=np.zeros(n),
        end_time=np.full(n, np.nan),
        labels=tuple(one.labels for one in recordings),
        group=np.array([one.group for one in recordings], np.str_),
        fold=np.zeros(n, np.int64),
        classes=tuple(name for name in labelled.classes if name in heard),
        name=root.resolve().name,
        notes=labelled.read_notes,
    )


def _headers(recordings: list[Recording], bad: dict[str, str]) -> list[Header]:
    """What is known of the files, for the summary that ``data info`` gives too."""
    found = {}
    for one in recordings:
        m = one.measured
        info = AudioInfo(
            Path(one.file), m.sample_rate, m.n_channels, round(m.duration * m.sample_rate),
            m.duration, m.format, m.subtype, m.damage,
        )  # fmt: skip
        found[one.file] = Header(one.file, info, m.damage)
    rest = (Header(file, None, reason) for file, reason in bad.items() if file not in found)
    return [*found.values(), *rest]
