"""Find recordings below a folder."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from semisonic.core.errors import DataError

_SNDFILE_SUFFIXES = frozenset(
    (
        *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".aif", ".aiff", ".aifc", ".au", ".snd"),
        *(".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".caf", ".voc", ".sph", ".bw64"),
    )
)
"""Suffixes, in lower case, of what libsndfile reads."""

MEDIA_SUFFIXES = frozenset(
    (
        *(".m4a", ".mp4", ".mov", ".3gp", ".aac", ".webm", ".mka", ".wma", ".amr", ".wv", ".ac3"),
        *(".spx", ".tta", ".ape", ".dsf", ".dff", ".mpc", ".tak"),
    )
)
"""Suffixes of what PyAV reads, where it is installed (see :mod:`semisonic.audio.media`)."""

_HAS_PYAV = find_spec("av") is not None

AUDIO_SUFFIXES = _SNDFILE_SUFFIXES | (MEDIA_SUFFIXES if _HAS_PYAV else frozenset())
"""Suffixes of recordings that can be read."""

OTHER_SUFFIXES = (MEDIA_SUFFIXES - AUDIO_SUFFIXES) | frozenset(
    (".wac", ".w4v", ".sud")  # of field recorders
)
"""Suffixes of recordings that cannot be read, so that messages can name them."""

PYAV_ADVICE = "pip install 'semisonic[formats]', or convert it to WAV or FLAC"
"""What to do with a recording of :data:`MEDIA_SUFFIXES` if PyAV is missing."""


def advice(name: str) -> str:
    """What to do with a recording that cannot be read, by its name or suffix."""
    is_media = name.lower().endswith(tuple(MEDIA_SUFFIXES))
    return PYAV_ADVICE if is_media else "convert it to WAV or FLAC"


def find_audio(
    folder: str | os.PathLike[str],
    suffixes: frozenset[str] = AUDIO_SUFFIXES,
    *,
    unreadable: list[tuple[str, str]] | None = None,
) -> list[Path]:
    """All recordings below a folder, in an order that does not depend on the file system.

    Suffixes are compared without case. Files and folders whose names begin with a dot are ignored.
    Links to folders are followed, but every folder is listed once, under its own name if it has
    one below ``folder``, so links cannot make cycles or duplicates. A broken link is listed,
    so that reading it gives an error. So is a pipe or a device with the name of a recording, which
    :class:`semisonic.audio.read.AudioReader` refuses without waiting for it.

    Parameters
    ----------
    folder : path
        Where to look.
    suffixes : frozenset of str
        Lower case, with the dot.
    unreadable : list, optional
        Gets the folders below that cannot be listed, with the reason, instead of an error.

    Returns
    -------
    list of Path
        Beginning with ``folder``, sorted by their path with forward slashes.

    Raises
    ------
    DataError
        If the folder is missing, is not a folder, or one below it cannot be listed (see
        ``unreadable``).
    """
    return [Path(name) for name in find_names(folder, suffixes, unreadable=unreadable)]


def find_names(
    folder: str | os.PathLike[str],
    suffixes: frozenset[str] = AUDIO_SUFFIXES,
    *,
    unreadable: list[tuple[str, str]] | None = None,
) -> list[str]:
    """As :func:`find_audio`, but as text: paths take five times the memory."""
    root = Path(folder)
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise DataError(f"folder '{root}': found {found}, expected a folder of recordings")
    files: list[str] = []
    seen: set[tuple[int, int]] = set()
    real, links = [str(root)], list[str]()
    while real or links:
        # Real folders first, so that a link never takes the place of what it points to.
        path = real.pop() if real else links.pop(0)
        try:
            identity, entries = _entries(path)
        except DataError as error:
            if unreadable is None or path == str(root):
                raise
            unreadable.append((path, str(error)))
            continue
        if identity in seen:
            continue
        seen.add(identity)
        for entry in entries:
            if entry.is_symlink():
                if os.path.isdir(entry.path):
                    links.append(entry.path)
                    continue
            elif _is_folder(entry):
                real.append(entry.path)
                continue
            suffix = os.path.splitext(entry.name)[1].lower()
            if suffix in suffixes and (suffix in AUDIO_SUFFIXES or _is_harmless(entry.path)):
                files.append(entry.path)
    if os.sep != "/":
        files = [file.replace(os.sep, "/") for file in files]
    return sorted(files)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder; what the disk cannot say is none."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _is_harmless(path: str) -> bool:
    """Whether opening it waits for nobody: a file or a broken link, but no pipe and no device."""
    return os.path.isfile(path) or not os.path.exists(path)


def _entries(path: str) -> tuple[tuple[int, int], list[os.DirEntry[str]]]:
    """Which folder it is, and its content by name, without hidden names."""
    try:
        status = os.stat(path)
        with os.scandir(path) as entries:
            shown = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"folder '{path}' cannot be listed ({error.strerror}). Make it readable or move it away"
        ) from error
    return (status.st_dev, status.st_ino), sorted(shown, key=lambda entry: entry.name)
