"""Label files of other tools, alone or beside their recordings: each marked stretch is a clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from semisonic.base.errors import DataError
from semisonic.base.wording import counted
from semisonic.data.clips import Clips
from semisonic.data.labels.clips import clips_from_events, scored_note
from semisonic.data.labels.formats import format_of, recognise
from semisonic.data.labels.read import LabelSet, collect_labels
from semisonic.data.readers.csv_table import table_in
from semisonic.data.readers.place import Place, ReadOptions

_SHOWN = 5
_COMBINED = "raven-combined"


def recogniser(kind: str) -> Callable[[Place], str | None]:
    """Recognise label files of one format, or a folder with recordings and such files."""
    title = format_of(kind).title

    def recognise_files(place: Place) -> str | None:
        if place.is_text:
            return f"its columns or lines are those of {title}" if _is(place.path, kind) else None
        if not place.audio or _has_own_table(place):
            return None
        suffixes = (".txt",) if format_of(kind).per_recording else (".csv", ".tsv")
        for path in place.texts:
            if path.suffix.lower() in suffixes and _is(path, kind):
                return f"{path.name} beside the recordings is one of {title}"
        return None

    return recognise_files


def recognise_wide(place: Place) -> str | None:
    """A table with times and one column of ones and zeros for each class."""
    is_wide = place.is_table and _is(place.path, "csv-wide")
    return "it has times and a column for each class" if is_wide else None


def reader(kind: str) -> Callable[[Place, ReadOptions], Clips]:
    """Read label files of one format."""

    def read(place: Place, options: ReadOptions) -> Clips:
        found = _collect(place, kind, options)
        if found.problems and not options.allow_missing:
            first = "; ".join(f"{where}: {reason}" for where, reason in found.problems[:_SHOWN])
            more = ", ..." if len(found.problems) > _SHOWN else ""
            raise DataError(
                f"{place.path}: {counted(len(found.problems), 'place')} of "
                f"{format_of(kind).title} cannot be used: {first}{more}. Correct them, or let "
                "'semisonic data labels' write a table of the rest"
            )
        notes = [*found.notes, *(f"{where}: {reason}" for where, reason in found.problems)]
        silent = set(found.recordings) - set(found.events.file.tolist())
        if silent:
            notes.append(
                f"no clips from {counted(len(silent), 'recording')} without any event; 'semisonic "
                "data labels --windows' makes windows without events there"
            )
        notes += scored_note(found.events)
        return clips_from_events(
            found.events, found.root, classes=found.classes or None, notes=notes,
            name=options.name or place.name, group=options.group,
        )  # fmt: skip

    return read


def _collect(place: Place, kind: str, options: ReadOptions) -> LabelSet:
    """The labels with the recordings that lie beside them, or in 'audio' beside them."""
    if options.allow_missing:
        return collect_labels(place.path, kind, label_column=options.label_column)
    folder = place.path if place.is_folder else place.path.parent
    candidates: list[Path] = [folder]
    if not place.is_folder:
        candidates += [f for f in (folder / "audio", folder.parent / "audio") if f.is_dir()]
    found: list[LabelSet] = []
    for root in candidates:
        found.append(collect_labels(place.path, kind, label_column=options.label_column, root=root))
        if not found[-1].problems:
            break
    return min(found, key=lambda one: len(one.problems))


def _is(path: Path, kind: str) -> bool:
    form = recognise(path)
    if form is None:
        return False
    return form.name == kind or (kind == "raven" and form.name == _COMBINED)


def _has_own_table(place: Place) -> bool:
    """Whether a folder has a table of our own form, which goes before what other tools wrote."""
    table = table_in(place)
    return table is not None and _is(table, "csv")
