"""Opening a recording: from a file or a member of a shard to a decoder, or a reason why not."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

import soundfile as sf

from semisonic.audio import mpeg
from semisonic.audio.vorbis import VorbisStream, open_vorbis
from semisonic.base.errors import AudioError
from semisonic.base.members import (
    SHARD_SUFFIXES,
    Member,
    member_of,
    open_shard,
    read_member,
)


def open_recording(path: Path, copy: Path, span: float | None) -> sf.SoundFile | VorbisStream:
    """A decoder of a recording.

    Parameters
    ----------
    path : Path
        Its name in messages.
    copy : Path
        Where its bytes are.
    span : float or None
        As for :class:`semisonic.audio.source.Source`.

    Raises
    ------
    AudioError
        When it cannot be opened, or is not audio.
    """
    member = member_of(copy)
    held: Path | BinaryIO = copy
    if member is None:
        _check_file(copy)
        if copy.suffix.lower() in SHARD_SUFFIXES:
            _refuse_shard(path, copy)
    else:
        held = _bytes_of(path, member)
    return open_vorbis(held, span) or open_handle(path, held)


def open_handle(path: Path, file: Path | BinaryIO | mpeg.MpegStream) -> sf.SoundFile:
    """libsndfile's decoder; AudioError when it does not know what this is."""
    try:
        # As bytes: soundfile cannot encode names that are no Unicode.
        return sf.SoundFile(os.fsencode(file) if isinstance(file, Path) else file)
    except sf.SoundFileError as error:
        text = str(getattr(error, "error_string", error)).strip().rstrip(".")
        if not text or "not recognised" in text or "does not exist" in text:
            text = "libsndfile does not recognise it"
        raise AudioError(
            path, f"not audio, or damaged: {text}", "Convert it to WAV or FLAC if it is a recording"
        ) from None
    except TypeError:
        raise AudioError(path, "no header: raw samples say neither rate nor type") from None


def _bytes_of(path: Path, member: Member) -> BinaryIO:
    """The bytes of a member of a shard, in memory; AudioError if there are none."""
    try:
        data = read_member(member)
    except FileNotFoundError:
        there = member.shard.exists()
        raise AudioError(path, "no such member of the shard" if there else "no such file") from None
    except OSError as error:
        raise AudioError(path, f"cannot be opened ({error.strerror})") from None
    if not data:
        raise AudioError(path, "empty: the member has 0 bytes")
    return io.BytesIO(data)


def _refuse_shard(path: Path, copy: Path) -> None:
    """Raise AudioError: a shard is no recording, and perhaps not even a shard."""
    try:
        open_shard(copy)
    except (OSError, ValueError) as error:
        raise AudioError(path, f"a shard that cannot be read: {error}") from None
    raise AudioError(path, "a shard, not a recording", "Name one of its members, as SHARD::NAME")


def _check_file(path: Path) -> None:
    """Raise AudioError unless this is a regular file with something in it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise AudioError(path, "no such file") from None
    except OSError as error:
        raise AudioError(path, f"cannot be opened ({error.strerror})") from None
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(path, "a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(path, "not a regular file")
    if not status.st_size:
        raise AudioError(path, "empty: the file has 0 bytes")
    if not os.access(path, os.R_OK):
        raise AudioError(path, "cannot be opened (Permission denied)")
