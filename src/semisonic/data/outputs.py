"""Places of results: which files may be overwritten, and which never are."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from semisonic.audio.find import AUDIO_SUFFIXES, OTHER_SUFFIXES
from semisonic.audio.remote import storage, url_of
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import content_hash, parse_json, read_json, replacing, write_json
from semisonic.core.temporary import temporary_folder

LIST = ".semisonic-outputs"
"""File beside results that are single files: a line of JSON for each one written."""


def check_file(
    output: Path,
    verb: str,
    suffixes: Collection[str],
    *,
    inputs: Iterable[Path | str] = (),
    again: bool = True,
    option: str = "output",
) -> None:
    """Raise an error if a verb must not write this file; called before the work.

    Parameters
    ----------
    output : Path
        The file to write.
    verb : str
        The verb that writes it, such as "predict".
    suffixes : collection of str
        Allowed suffixes, in lower case.
    inputs : iterable of path
        Inputs, which are never overwritten.
    again : bool
        Whether the verb may overwrite its own file; models are never overwritten.
    option : str
        The option that names the file.

    Raises
    ------
    OptionError
        For a URL, a folder, the name of a recording or of another kind of file, one of the
        inputs, and a file that this verb did not write or that was changed since.
    """
    refuse_url(output, "file")
    name = f"{option}: found '{output}'"
    ends = " or ".join(f"'{suffix}'" for suffix in suffixes)
    if output.is_dir():
        inside = output / f"{verb.split()[-1]}{next(iter(suffixes))}"
        raise OptionError(f"{name}, a folder; expected a file such as '{inside}'")
    _check_way(output)
    suffix = output.suffix.lower()
    if suffix in AUDIO_SUFFIXES | OTHER_SUFFIXES:
        what = "a recording" if output.exists() else "the name of a recording"
        raise OptionError(
            f"{name}, {what}; recordings are never written. Expected a name that ends in {ends}"
        )
    if output.resolve() in {Path(one).resolve() for one in inputs}:
        raise OptionError(f"{name}, which the same command reads; expected another name")
    if suffix not in suffixes:
        raise OptionError(f"{name}, expected a name that ends in {ends}")
    if output.exists() and not again:
        raise OptionError(f"{name}, which already exists. Choose another name, or move it away")
    if output.exists() and not is_own(output, verb):
        raise OptionError(
            f"{name}, a file that 'semisonic {verb}' did not write, or that was changed since. "
            "Choose another name, or move it away"
        )


def is_own(output: Path, verb: str) -> bool:
    """Whether this verb wrote the file and it was not changed since."""
    written = ("", "")
    try:
        lines = output.with_name(LIST).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return False
    for line in lines:
        try:
            found = parse_json(line)
            if found["file"] == output.name:
                written = found["verb"], found["sha256"]
        except (ValueError, KeyError, TypeError):
            continue  # torn by a full disk
    return written[0] == verb and written[1] == content_hash(output)


@contextmanager
def writing(output: Path, verb: str) -> Iterator[Path]:
    """Yield a temporary name; if the block succeeds, move the file to ``output`` and note it."""
    with replacing(output) as part:
        yield part
    note_written(output, verb)


def note_written(output: Path, verb: str) -> None:
    """Note that a verb wrote the current content of a file."""
    line = {"file": output.name, "verb": verb, "sha256": content_hash(output)}
    with output.with_name(LIST).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")  # lines of two processes do not mix


@contextmanager
def writing_several(output: Path, verb: str) -> Iterator[Path]:
    """Yield a temporary place for ``output``, a file or a folder; everything is moved at the end.

    Other files in the folder of the place are moved beside ``output``.

    Raises
    ------
    OptionError
        At the end, before anything is moved, when a file would overwrite one that this verb did
        not write.
    """
    _check_way(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".semisonic-", dir=output.parent) as parent:
        yield Path(parent) / output.name
        found = sorted(path for path in Path(parent).rglob("*") if path.is_file())
        targets = [output.parent / path.relative_to(parent) for path in found]
        for target in targets:
            check_file(target, verb, {target.suffix.lower()})
        for path, target in zip(found, targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
            note_written(target, verb)


def check_folder(
    folder: Path, kind: str, marks: Collection[str], *, remains: Collection[str] = ()
) -> None:
    """Raise an error if a folder contains files of others; called before the work.

    Parameters
    ----------
    folder : Path
        The folder to write to.
    kind : str
        Kind of folder, such as "a run".
    marks : collection of str
        Names of files that only this kind of folder contains.
    remains : collection of str
        Names that are ignored, like hidden files.

    Raises
    ------
    OptionError
        For a URL or a file, and when it is not empty but has none of the marks.
    """
    refuse_url(folder)
    _check_way(folder)
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"output: '{folder}' is a file, expected the folder of {kind}")
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    shown = [name for name in names if name not in remains and not name.startswith(".")]
    if shown and not set(marks) & set(names):
        raise OptionError(
            f"output: '{folder}' contains '{shown[0]}' and is not the folder of {kind}; choose a "
            "new or empty folder"
        )


def claim_folder(
    folder: Path, kind: str, mark: str, about: dict[str, Any], free: Collection[str] = ()
) -> None:
    """Record the options of a folder, or compare them with those recorded before.

    Parameters
    ----------
    folder : Path
    kind : str
        Kind of folder, such as "a synth set".
    mark : str
        The JSON file in it with the record.
    about : dict
        What the files depend on; "options" has more.
    free : collection of str
        Names of values that may differ.

    Raises
    ------
    OptionError, DataError
        When the folder contains something else, or was made with other options.
    """
    check_folder(folder, kind, {mark})
    path = folder / mark
    if path.exists():
        try:
            found = read_json(path)
            before = {**found, **found["options"]}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: damaged ({error}). Delete the folder, or choose another"
            ) from error
        differences = [
            f"{name} (found {before.get(name)}, asked for {value})"
            for name, value in {**about, **about["options"]}.items()
            if name != "options" and name not in free and before.get(name) != value
        ]
        if differences:
            raise DataError(
                f"{folder}: contains {kind} made with another {', '.join(differences)}. Choose "
                "another folder"
            )
        if found == about:
            return
    write_json(path, about)


def _check_way(output: Path) -> None:
    """Raise an error for a place below a file."""
    there = next((folder for folder in output.parents if folder.exists()), None)
    if there is not None and not there.is_dir():
        raise OptionError(f"output: found '{output}', but '{there}' is a file, not a folder")


@contextmanager
def placed(output: Path) -> Iterator[Path]:
    """Yield the folder to write results to.

    For a URL it is a temporary folder with the content of the URL. It is copied there at the end
    of the block, also after an error or Ctrl-C, so that the same command can continue; it is not
    copied if the process is killed.

    Raises
    ------
    DataError
        When the storage cannot be read or written.
    """
    url = url_of(output)
    if url is None:
        yield output
        return
    files, place = storage(url)
    place = place.rstrip("/") + "/"
    with temporary_folder() as parent:
        folder = parent / "results"
        folder.mkdir()
        try:
            if files.exists(place):
                files.get(place, f"{folder}/", recursive=True)
        except Exception as error:  # each kind of storage has errors of its own
            raise DataError(f"{url}: cannot be read ({error})") from error
        try:
            yield folder
        finally:
            try:
                files.put(f"{folder}/", place, recursive=True)
            except Exception as error:
                raise DataError(f"{url}: cannot be written ({error})") from error


def refuse_url(output: Path, kind: str = "folder") -> None:
    """Raise OptionError for a URL where a local folder or file is needed."""
    url = url_of(output)
    if url is not None:
        raise OptionError(f"output: found '{url}', expected a {kind} on this machine")
