"""Which recording a file belongs to, when no table says so.

``"file"``: each file is a recording of its own. ``"folder"``: all files of one folder are one
recording (a site, a deployment); files directly in a class folder, or in the root, stay on their
own. ``"site"``: where it was made, as a recorder's name or the folders tell, and ``"day"``: site
and day (:mod:`semisonic.data.recorder_names`). Anything else is a regular expression on the
relative name, whose first bracket is the recording: ``r"(\\d{8})_"`` puts all
files of one day together. "copies" is read as "auto" and acted upon afterwards
(:mod:`semisonic.data.checks.recordings`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from semisonic.base.errors import DataError
from semisonic.data.recorder_names import day_of, read_names, site_of
from semisonic.data.recording_names import named_recordings

RECORDER_RULES = {"site": site_of, "day": day_of}
"""What names of field recordings tell."""


def group_rule(group: str, *, class_folders: bool = False) -> Callable[[str], str]:
    """The function from a relative file name to its recording, for rules that need one name.

    Parameters
    ----------
    group : str
    class_folders : bool
        Whether first-level folders are classes, and so no recordings.

    Raises
    ------
    DataError
        When the regular expression is broken or has no bracket.
    """
    if group in ("auto", "file"):
        return lambda file: file
    if group == "folder":
        return _inner_folder_or_file if class_folders else _folder_or_file
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise DataError(
            f"group rule '{group}': not a regular expression ({error}); "
            "expected 'file', 'folder', 'site', 'day', 'copies', a column of the table, or a "
            "pattern such as '(\\d+)_'"
        ) from error
    if pattern.groups < 1:
        raise DataError(
            f"group rule '{group}': no such column, and as a regular expression it has no bracket. "
            "Expected 'file', 'folder', 'site', 'day', 'copies', a column of the table, or a "
            "pattern whose first bracket is the recording, such as '(\\d+)_'"
        )

    def by_pattern(file: str) -> str:
        found = pattern.search(file)
        if found is None or found.group(1) is None:
            raise DataError(
                f"{file}: the group rule '{group}' finds nothing in this name; "
                "change the rule so that it fits every file"
            )
        return found.group(1)

    return by_pattern


def groups_of(files: Iterable[str], group: str, *, class_folders: bool = False) -> list[str]:
    """The recording of each file.

    Raises
    ------
    DataError
        As :func:`group_rule`, and when "site" or "day" finds nothing in any name.
    """
    if group in RECORDER_RULES:
        return _by_recorder(list(files), group, class_folders)
    rule = group_rule(group, class_folders=class_folders)
    return [rule(file) for file in files]


def _by_recorder(files: list[str], group: str, class_folders: bool) -> list[str]:
    """Sites, or sites and days; a file that tells nothing is a recording of its own."""
    rule = RECORDER_RULES[group]
    names = read_names(files)
    found = [
        rule(file, name, class_folders=class_folders)
        for file, name in zip(files, names, strict=True)
    ]
    if files and not any(found):
        raise DataError(
            f"group rule '{group}': no name tells it, such as {files[0]}. Known are names such as "
            "SITE1_20240601_043000.wav, and folders for sites; or give 'file', 'folder', a column "
            "of the table, or a pattern whose first bracket is the recording"
        )
    return [name or file for file, name in zip(files, found, strict=True)]


def known_or_given(
    files: Sequence[str], known: Sequence[str], group: str, *, class_folders: bool = False
) -> list[str]:
    """The recordings that a data set tells, unless the user says otherwise."""
    if group == "auto":
        return list(known)
    return groups_of(files, group, class_folders=class_folders)


def groups_by_name(
    files: Sequence[str],
    group: str,
    labels: Sequence[str] = (),
    *,
    class_folders: bool = False,
) -> tuple[list[str], list[str]]:
    """The recordings where only names can tell them, and notes about what they told.

    With "auto" the names of known data sets tell them
    (:func:`semisonic.data.recording_names.named_recordings`).
    """
    if group == "auto":
        return named_recordings(files, labels)
    return groups_of(files, group, class_folders=class_folders), []


def _folder_or_file(file: str) -> str:
    return file.rpartition("/")[0] or file


def _inner_folder_or_file(file: str) -> str:
    folder = file.rpartition("/")[0]
    return folder if "/" in folder else file
