"""What is worked out of each file of a table, and need not be worked out again.

A quarter of a million headers take minutes to read, and hashes of all bytes take longer. With a
folder to keep them in, facts are written into a journal as they are found, with size and time of
change of their file, so that only new and changed files are opened the next time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from semisonic.audio.remote import stamp_of
from semisonic.base.errors import DataError
from semisonic.base.files import digest
from semisonic.base.lock import held
from semisonic.base.progress import bar
from semisonic.data.clips import Clips
from semisonic.data.journal import Journal
from semisonic.data.workers import count_workers, in_threads

_CHUNK = 32
"""Files that a thread takes at once."""

Fact = float | str


def file_facts(
    clips: Clips,
    files: Sequence[str],
    compute: Callable[[Path], Fact | None],
    what: str,
    *,
    workers: int | None = None,
    cache: Path | None = None,
) -> list[Fact | None]:
    """A number or a text for each of some files of a table.

    Parameters
    ----------
    clips : Clips
        Its root is where the files lie.
    files : sequence of str
        Relative names, each once.
    compute : callable
        From a path to its fact; None when there is none, which is tried again next time.
    what : str
        Name of the journal and of the progress bar.
    workers : int, optional
        Threads; by default as many as there are processors.
    cache : Path, optional
        Folder of the journals.

    Returns
    -------
    list
        In the order of the files.
    """
    found: list[Fact | None] = [None] * len(files)
    with _journal(cache, clips.root, what) as journal:
        stamps: dict[int, tuple[int, int]] = {}
        if journal is not None:
            stamps = _read(journal, clips.root, files, found)
        rest = [i for i, fact in enumerate(found) if fact is None]

        def work(part: list[int]) -> list[tuple[int, Fact | None]]:
            return [(i, compute(clips.root / files[i])) for i in part]

        parts = (rest[i : i + _CHUNK] for i in range(0, len(rest), _CHUNK))
        with bar(len(files), what, "file", initial=len(files) - len(rest)) as shown:
            for results in in_threads(work, parts, count_workers(workers)):
                for i, fact in results:
                    found[i] = fact
                    if journal is not None and fact is not None and i in stamps:
                        journal.append([files[i], *stamps.pop(i), fact])
                shown.update(len(results))
    return found


@contextmanager
def _journal(cache: Path | None, root: Path, what: str) -> Iterator[Journal | None]:
    """The journal, or None without a folder, or while another process writes to it."""
    if cache is None:
        yield None
        return
    folder = cache / "files"
    name = f"{digest(root.resolve())}-{what.replace(' ', '-')}.jsonl"
    with ExitStack() as stack:
        try:
            free = stack.enter_context(held(folder / f"{name}.lock", wait=False))
        except OSError as error:
            raise DataError(f"'{folder}' cannot be written to ({error.strerror})") from error
        yield stack.enter_context(Journal(folder / name, _nothing)) if free else None


def _nothing() -> None:
    """There is no other file to bring to the disk first."""


def _read(
    journal: Journal, root: Path, files: Sequence[str], found: list[Fact | None]
) -> dict[int, tuple[int, int]]:
    """Take what the journal knows; the stamps of the files it does not know as they are now."""
    number = {file: i for i, file in enumerate(files)}
    stamps: dict[int, tuple[int, int]] = {}
    for i, file in enumerate(files):
        try:
            stamps[i] = stamp_of(root / file)
        except OSError:
            continue  # whoever opens it says why
    known: list[int] = []
    for record in journal.records():
        if len(record) != 4 or record[0] not in number:
            continue
        i = number[record[0]]
        if stamps.get(i) == (record[1], record[2]):
            found[i] = record[3]
            known.append(i)
        else:
            found[i] = None
    for i in known:
        if found[i] is not None:
            stamps.pop(i, None)
    return stamps
