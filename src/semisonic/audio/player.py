"""Small spectrograms and players for a page or a notebook."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile as sf
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from semisonic.audio.read import read_start
from semisonic.audio.remote import url_of
from semisonic.audio.spectrogram import COLOURS, HIGHEST_DB, LOWEST_DB, draw_spectrogram
from semisonic.core.errors import AudioError, DataError
from semisonic.core.html import EncodedImage, data_uri, fill, problems

LONGEST_SOUND = 10.0
"""Seconds of a clip in a page; the rest is cut off."""
N_EXAMPLES = 3
"""Number of sounds that an object shows with its table."""
EXAMPLE_DURATION = 5.0
"""Seconds of each."""

_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_LOUDEST = 0.98
_THUMBNAIL_COLUMNS = 320
_THUMBNAIL_DB = 70.0  # below the loudest point


@dataclass(frozen=True)
class Player:
    """A sound to listen to: its label, the prediction, and a line below.

    ``heard`` has samples and a rate to play instead, if the picture shows more than a player can
    play, such as ultrasound.
    """

    samples: Any
    sample_rate: int
    truth: str
    said: str = ""
    meta: str = ""
    heard: tuple[Any, int] | None = None

    @property
    def picture_uri(self) -> str:
        """A small spectrogram."""
        return thumbnail_png(self.samples, self.sample_rate).uri

    @property
    def sound_uri(self) -> str:
        """The sound, encoded."""
        return data_uri(*sound_bytes(*(self.heard or (self.samples, self.sample_rate))))


class SoundPart(NamedTuple):
    """A part of a recording: times in seconds (NaN as end: that of the file), and texts."""

    path: Path
    start_time: float
    end_time: float
    label: str = ""
    said: str = ""


def read_player(
    path: str | Path,
    start: float,
    end: float,
    truth: str,
    said: str = "",
    meta: str = "",
    *,
    sample_rate: int = 22050,
    longest: float = LONGEST_SOUND,
) -> Player:
    """Read a part of a recording for a player.

    Parameters
    ----------
    path : path
    start, end : float
        Seconds; NaN as end is that of the recording.
    truth, said, meta : str
        Its label, the prediction, and a line below.
    sample_rate : int
        Sample rate of the player, in Hz.
    longest : float
        Longest duration in seconds; the rest is cut off.

    Returns
    -------
    Player

    Raises
    ------
    AudioError
        When the recording cannot be read.
    """
    stop = None if math.isnan(end) else min(end, start + longest)
    samples = read_start(
        path, duration=longest, sample_rate=sample_rate, start_time=start, end_time=stop
    )
    return Player(samples, sample_rate, truth, said, meta)


def clip_player(*part: Any, **how: Any) -> Player | None:
    """As :func:`read_player`; None if the recording cannot be read."""
    try:
        return read_player(*part, **how)
    except AudioError:
        return None


def read_players(
    parts: Iterable[SoundPart], duration: float
) -> tuple[tuple[Player, ...], tuple[AudioError, ...]]:
    """Players of the readable parts, each cut off after ``duration`` seconds, and problems of the
    others.
    """
    players, failures = [], []
    for path, start, end, label, said in parts:
        where = [path.name] if label else []
        if start or end == end:
            where.append(f"{start:g} to {end:g} s" if end == end else f"from {start:g} s")
        try:
            players.append(
                read_player(
                    path, start, end, label or path.name, said, ", ".join(where), longest=duration
                )
            )
        except AudioError as error:
            failures.append(error)
    return tuple(players), tuple(failures)


def named_failures(errors: Iterable[AudioError]) -> tuple[tuple[str, str], ...]:
    """The name of each file that could not be read, and the reason."""
    return tuple((Path(error.file).name, error.reason) for error in errors)


def thumbnail_png(samples: ArrayLike, sample_rate: int) -> EncodedImage:
    """A small spectrogram without axes, as an indexed PNG of a few kilobytes."""
    wave = _sound(samples, sample_rate)
    width = len(wave) / sample_rate / _THUMBNAIL_COLUMNS
    image = draw_spectrogram(
        lambda start, end: wave[round(start * sample_rate) : round(end * sample_rate)],
        sample_rate,
        0.0,
        width,
        _THUMBNAIL_COLUMNS,
    )
    values = image.levels.T[::-1].astype(np.float64)
    range_ = 255 * _THUMBNAIL_DB / (HIGHEST_DB - LOWEST_DB)
    shares = np.clip(1 - (max(values.max(), range_) - values) / range_, 0, 1)
    levels = np.round(255 * shares).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(levels)).convert("P")
    picture.putpalette(_palette())
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return EncodedImage(stream.getvalue(), levels.shape[1], levels.shape[0])


def sound_bytes(samples: ArrayLike, sample_rate: int) -> tuple[bytes, str]:
    """A clip as MP3, or as Ogg Vorbis if MP3 does not support its rate, and its media type.

    Every browser plays MP3; some older phones cannot play Ogg Vorbis. At most ``LONGEST_SOUND``
    seconds are kept. Samples beyond full scale are scaled down, not clipped.

    Parameters
    ----------
    samples : array_like, shape (n,)
    sample_rate : int
        In Hz.

    Returns
    -------
    tuple of (bytes, str)
        The encoded sound and its media type.

    Raises
    ------
    DataError
        When there are no samples, or the rate is not positive.
    """
    wave = _sound(samples, sample_rate)
    wave = wave[: int(LONGEST_SOUND * sample_rate)]
    peak = float(np.abs(wave).max())
    if peak > _LOUDEST:
        wave = wave * np.float32(_LOUDEST / peak)
    if sample_rate in _MP3_RATES and "MP3" in sf.available_formats():
        return _encoded(wave, sample_rate, "MP3", "MPEG_LAYER_III"), "audio/mpeg"
    return _encoded(wave, sample_rate, "OGG", "VORBIS"), "audio/ogg"


def _sound(samples: ArrayLike, sample_rate: int) -> NDArray[np.float32]:
    """Samples that can be drawn and played."""
    wave = np.nan_to_num(np.asarray(samples, dtype=np.float32).ravel())
    if not len(wave) or sample_rate <= 0:
        raise DataError(
            f"player: found {len(wave)} samples at {sample_rate} Hz, expected at least one at a "
            "rate above 0"
        )
    return wave


def _encoded(wave: NDArray[np.float32], sample_rate: int, kind: str, subtype: str) -> bytes:
    stream = io.BytesIO()
    with sf.SoundFile(stream, "w", sample_rate, 1, subtype, format=kind) as out:
        for start in range(0, len(wave), 65536):
            out.write(wave[start : start + 65536])
    return stream.getvalue()


def _palette() -> list[int]:
    """Red, green and blue of 256 colours, one after the other."""
    ends = np.array([[int(one[i : i + 2], 16) for i in (1, 3, 5)] for one in COLOURS])
    at, places = np.linspace(0, 1, 256), np.linspace(0, 1, len(COLOURS))
    table = np.stack([np.interp(at, places, column) for column in ends.T], axis=1)
    return [round(value) for value in table.ravel().tolist()]


_PLAYER = Markup(
    '<figure style="margin:0;flex:1 1 190px;max-width:290px"><img src="{}" alt="{}" '
    'style="width:100%;height:90px;border-radius:4px;display:block">'
    '<figcaption style="overflow-wrap:anywhere"><b>{}</b> {}'
    '<div style="opacity:.7">{}</div></figcaption>'
    '<audio controls preload="metadata" aria-label="{}" style="width:100%;height:36px" src="{}">'
    "</audio></figure>"
)


def players_html(players: Iterable[Player]) -> Markup:
    """Sounds side by side, as a notebook shows them: spectrogram, names and player."""
    shown = [
        fill(
            _PLAYER,
            _jpeg_uri(thumbnail_png(one.samples, one.sample_rate)),
            f"Spectrogram: {one.truth}",
            one.truth,
            one.said,
            one.meta,
            f"Play: {one.truth}",
            one.sound_uri,
        )
        for one in players
    ]
    row = Markup('<div style="display:flex;flex-wrap:wrap;gap:12px;margin:8px 0">{}</div>')
    return fill(row, Markup().join(shown)) if shown else Markup()


def part_players(parts: Iterable[SoundPart], n: int = N_EXAMPLES) -> Markup:
    """A few parts of recordings with their players; remote recordings are not fetched."""
    here = (part for part in islice(parts, n) if url_of(part.path) is None)
    players, failures = read_players(here, EXAMPLE_DURATION)
    return players_html(players) + problems(named_failures(failures))


def _jpeg_uri(image: EncodedImage) -> str:
    """A picture in a quarter of the bytes, as a notebook keeps many."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(image.png)).convert("RGB").save(stream, format="JPEG", quality=70)
    return data_uri(stream.getvalue(), "image/jpeg")
