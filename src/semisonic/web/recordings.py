"""Recordings that the page has open, as tiles of a spectrogram and as WAV."""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
import secrets
import struct
import threading
from collections.abc import Generator, Iterator
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.find import AUDIO_SUFFIXES
from semisonic.audio.read import AudioInfo, AudioReader
from semisonic.audio.spectrogram import N_BANDS, SpectrogramImage, draw_spectrogram
from semisonic.core.errors import AudioError, DataError
from semisonic.core.temporary import temporary_folder

if TYPE_CHECKING:
    from semisonic.web.analysis import Analysis

# One recording that the page has open: its file, and its samples piece by piece.


CHECKING, READY, FAILED = "checking", "ready", "failed"


class OpenRecording:
    """A recording.

    Attributes
    ----------
    id : str
        Its name for the page.
    name : str
        Its name for people.
    path : Path
    is_own : bool
        Whether the file is the app's own copy, which is removed with it.
    is_listed : bool
        Whether the page lists it and the model analyses it.
    state : {"checking", "ready", "failed"}
    reason : str
        Why it failed.
    info : AudioInfo or None
        None until it is ready.
    tiles : Tiles or None
        Its spectrogram, once it has been checked.
    analysis : Analysis or None
        What the open model hears in it.
    used : int
        Larger than that of all recordings used before.
    """

    def __init__(
        self, name: str, path: Path, identity: str, *, is_own: bool, is_listed: bool = True
    ) -> None:
        self.id, self.name, self.path = identity, name, path
        self.is_own, self.is_listed = is_own, is_listed
        self.state, self.reason, self.used = CHECKING, "", 0
        self.folder_is_gone = False
        self.info: AudioInfo | None = None
        self.tiles: Tiles | None = None
        self.analysis: Analysis | None = None
        self._source: AudioReader | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def open(self) -> AudioInfo:
        """Open the file; call it once the file has been checked.

        Raises
        ------
        AudioError
            When it cannot be opened.
        """
        with self._lock:
            if self._source is None:
                if self._is_closed:
                    raise AudioError(self.name, "it was closed")
                self._source = AudioReader(self.path)
                self.info = self._source.info
            return self._source.info

    def fail(self, reason: str) -> None:
        """Record why it cannot be used; if its whole folder is gone, this is the reason."""
        self.folder_is_gone = is_gone(self.path)
        gone = f"its folder is not there any more: {self.path.parent}"
        self.state, self.reason = FAILED, gone if self.folder_is_gone else reason

    def part(self, start: float, end: float) -> NDArray[np.float32]:
        """Mono samples between two times in seconds; fewer at the end or in a damaged file."""
        info = self.open()
        end = min(end, info.duration)
        n = round(end * info.sample_rate) - round(start * info.sample_rate)
        with self._lock, contextlib.suppress(AudioError):
            if self._source is not None and 0 <= start < end and n > 0:
                return self._source.samples(start, end)
        return np.zeros(0, np.float32)

    def close(self) -> None:
        """Close the file; the app's own copy is removed."""
        with self._lock:
            self._is_closed = True
            if self._source is not None:
                self._source.close()
                self._source = None
        if self.analysis is not None:
            self.analysis.close()
        if self.is_own:
            self.path.unlink(missing_ok=True)

    def facts(self) -> dict[str, Any]:
        """What the page shows of it."""
        names = ("id", "name", "state", "reason", "folder_is_gone")
        facts: dict[str, Any] = {name: getattr(self, name) for name in names}
        if (info := self.info) is not None:
            facts |= {"duration": info.duration, "sample_rate": info.sample_rate}
            facts |= {"channels": info.n_channels, "damage": info.damage}
        return facts


def is_gone(path: Path) -> bool:
    """Whether a file and all files beside it are gone, as after unplugging a disk."""
    try:
        return not path.exists() and not any(path.parent.iterdir())
    except OSError:
        return True


# All recordings that the page has open, and the temporary folder for uploads.


MOST_LISTED, MOST_UNLISTED = 200, 64
"""Most open recordings: those that the page lists, and those that are only labelled."""
_LONGEST_NAME = 120


class OpenRecordings:
    """Recordings by id.

    Parameters
    ----------
    max_bytes : int
        Room for all uploaded files together.

    Attributes
    ----------
    folder : Path
        The folder of uploaded files.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._held = contextlib.ExitStack()
        self.folder = self._held.enter_context(temporary_folder())
        self._sounds: dict[str, OpenRecording] = {}
        self._uses = itertools.count()
        self._lock = threading.Lock()

    def new_file(self, name: str) -> tuple[str, str, Path]:
        """An id, a printable name, and a path for a new upload."""
        identity = secrets.token_urlsafe(9)
        shown = PurePath(name.replace("\\", "/")).name
        shown = "".join(c for c in shown if c.isprintable())[-_LONGEST_NAME:] or "sound"
        suffix = PurePath(shown).suffix.lower()
        suffix = suffix if suffix in AUDIO_SUFFIXES else ".audio"
        return identity, shown, self.folder / f"{identity}{suffix}"

    def used(self) -> int:
        """Bytes of all uploaded files."""
        return sum(f.stat().st_size for f in self.folder.iterdir() if f.is_file())

    def add(self, sound: OpenRecording) -> OpenRecording:
        """Add a recording, unless one with its id is open; returns the one that is open."""
        with self._lock:
            return self._used(self._sounds.setdefault(sound.id, sound))

    def too_many(self, kept: OpenRecording) -> list[OpenRecording]:
        """The least recently used recordings, listed or not as this one, beyond the limit."""
        most = MOST_LISTED if kept.is_listed else MOST_UNLISTED
        with self._lock:
            alike = [one for one in self._sounds.values() if one.is_listed == kept.is_listed]
        return sorted(alike, key=lambda one: one.used)[: max(0, len(alike) - most)]

    def has(self, identity: str) -> bool:
        """Whether a recording is open."""
        with self._lock:
            return identity in self._sounds

    def get(self, identity: str) -> OpenRecording:
        """The recording with an id.

        Raises
        ------
        DataError
            When there is none.
        """
        with self._lock:
            if identity not in self._sounds:
                raise DataError("this recording is not open any more")
            return self._used(self._sounds[identity])

    def listed(self) -> list[OpenRecording]:
        """The recordings that the page lists, in the order in which they were opened."""
        with self._lock:
            return [one for one in self._sounds.values() if one.is_listed]

    def remove(self, identity: str) -> None:
        """Close a recording."""
        with self._lock:
            sound = self._sounds.pop(identity, None)
        if sound is not None:
            sound.close()

    def close(self) -> None:
        """Close all, and remove uploaded files."""
        with self._lock:
            sounds = list(self._sounds.values())
        for sound in sounds:
            sound.close()
        self._held.close()

    def _used(self, sound: OpenRecording) -> OpenRecording:
        sound.used = next(self._uses)
        return sound


# The spectrogram of a recording in tiles, at any zoom; only visible tiles are drawn.
#
# A tile of level ``k`` shows ``2 ** k`` seconds in 256 columns. Tiles up to ``DIRECT`` are drawn
# on request; those of level ``DIRECT`` are also drawn in the background as an overview, from which
# wider tiles are made.


COLUMNS = 256
FINEST, DIRECT, WIDEST = -4, 5, 17
_CACHED = 64


class Tiles:
    """The tiles of one recording.

    Attributes
    ----------
    n_known : int
        Columns of the overview that are finished.
    loudest : int
        Level of the loudest point so far, 0 to 255.
    """

    def __init__(self, sound: OpenRecording, duration: float, sample_rate: int) -> None:
        self._sound, self._rate = sound, sample_rate
        self._width = 2.0**DIRECT / COLUMNS
        n = max(1, int(np.ceil(duration / self._width)))
        self._overview = SpectrogramImage(
            np.zeros((n, N_BANDS), np.uint8), np.zeros(n, np.int8), np.zeros(n, np.int8)
        )
        self.n_known, self.loudest = 0, 0
        self._lock = threading.Lock()
        self._direct = functools.lru_cache(_CACHED)(self._draw)

    @property
    def progress(self) -> float:
        """Share of the overview that is finished."""
        return self.n_known / len(self._overview)

    def make_overview(self) -> Generator[None, None, None]:
        """Draw the overview, one tile per step."""
        n = len(self._overview)
        for first in range(0, n, COLUMNS):
            piece = self._draw(DIRECT, first // COLUMNS)[: min(COLUMNS, n - first)]
            there = slice(first, first + len(piece))
            with self._lock:
                self._overview.levels[there] = piece.levels
                self._overview.low[there], self._overview.high[there] = piece.low, piece.high
                self.n_known = first + len(piece)
                self.loudest = max(self.loudest, int(piece.levels.max()))
            yield

    def tile(self, level: int, number: int, band_hz: tuple[float, float] | None = None) -> bytes:
        """Bytes: levels of 256 columns, column by column, then their smallest and largest samples.

        Wide tiles show all frequencies, whatever ``band_hz`` asks for.
        """
        if level <= DIRECT:
            return self._direct(level, number, band_hz).content()
        times = 2 ** (level - DIRECT)
        first = number * COLUMNS * times
        with self._lock:
            piece = self._overview[first : first + COLUMNS * times]
            shown = piece.wider(times) if len(piece) else piece
        missing = COLUMNS - len(shown)
        return SpectrogramImage(
            np.pad(shown.levels, ((0, missing), (0, 0))),
            np.pad(shown.low, (0, missing)),
            np.pad(shown.high, (0, missing)),
        ).content()

    def _draw(
        self, level: int, number: int, band_hz: tuple[float, float] | None = None
    ) -> SpectrogramImage:
        seconds, read = 2.0**level, self._sound.part
        width = seconds / COLUMNS
        return draw_spectrogram(read, self._rate, number * seconds, width, COLUMNS, band_hz)


# A recording as a WAV file that browsers can play, made piece by piece on request.


HEADER = 44
SLOWEST_HZ, FASTEST_HZ = 3000, 500_000
"""Sample rates that browsers play."""
MOST_AT_ONCE = 1 << 20
"""Most bytes that are decoded for one reply or one piece of it."""
_LARGEST = (1 << 32) - 1 - HEADER
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})$")


class PlayedFile:
    """A recording as a mono 16-bit WAV file; only the parts that are read are decoded.

    Parameters
    ----------
    sound : OpenRecording
    speed : float
        Factor of the sample rate in the header: it changes pitch and duration, not the samples.

    Raises
    ------
    AudioError
        When it is too long for a WAV file.
    DataError
        For a speed that browsers cannot play.
    """

    def __init__(self, sound: OpenRecording, speed: float = 1.0) -> None:
        info = sound.open()
        self._played_rate = round(info.sample_rate * speed)
        if speed != 1.0 and not SLOWEST_HZ <= self._played_rate <= FASTEST_HZ:
            raise DataError(
                f"found a speed of {speed:g}, which would play {self._played_rate} samples a "
                f"second; expected {SLOWEST_HZ} to {FASTEST_HZ}"
            )
        self._sound, self._rate = sound, info.sample_rate
        self._n = info.n_samples
        if 2 * self._n > _LARGEST:
            raise AudioError(sound.name, "too long to be played: more than 4 GB as WAV")
        self.size = HEADER + 2 * self._n

    def read(self, first: int, last: int) -> bytes:
        """Bytes from ``first`` to ``last``, without ``last``."""
        head = self._header()[first:last] if first < HEADER else b""
        start, end = max(0, first - HEADER), max(0, last - HEADER)
        if end <= start:
            return head
        sample, after = start // 2, -(-end // 2)
        wave = self._sound.part(sample / self._rate, after / self._rate)
        samples = np.zeros(after - sample, "<i2")
        scaled = np.clip(np.rint(wave[: len(samples)] * np.float32(32768)), -32768, 32767)
        samples[: len(scaled)] = scaled
        return head + samples.tobytes()[start - 2 * sample : end - 2 * sample]

    def byte_range(self, header: str) -> tuple[int, int] | None:
        """First byte of a Range header, and the byte after the last one of the reply.

        A reply may end before what was asked for; browsers then go on from there. They ask for
        the rest of a recording at each click, and hours of it are not decoded for that.

        Returns
        -------
        tuple of int, or None
            None if the range lies outside of the file or has another form.
        """
        found = _RANGE.match(header.strip())
        if found is None:
            return None
        first = int(found[1])
        last = min(int(found[2]) + 1 if found[2] else self.size, self.size, first + MOST_AT_ONCE)
        return (first, last) if first < last else None

    def pieces(self) -> Iterator[bytes]:
        """The whole file, one piece after another, each decoded when it is taken."""
        for first in range(0, self.size, MOST_AT_ONCE):
            yield self.read(first, min(first + MOST_AT_ONCE, self.size))

    def _header(self) -> bytes:
        n, rate = 2 * self._n, self._played_rate
        form = (b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
        parts = (b"RIFF", n + 36, b"WAVE", *form, b"data", n)
        return struct.pack("<4sI4s4sIHHIIHH4sI", *parts)
