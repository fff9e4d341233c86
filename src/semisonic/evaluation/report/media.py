"""Pictures and sounds as bytes, and as text that lies inside the page itself."""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

import numpy as np
import soundfile as sf
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from semisonic.audio.spectrogram import HIGHEST_DB, LOWEST_DB, draw_spectrogram
from semisonic.core.errors import DataError
from semisonic.evaluation.plots.style import SOUND, look

LONGEST_SOUND = 10.0
"""Seconds of a clip that go into the page; the rest is cut off."""

_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_LOUDEST = 0.98
_THUMBNAIL_COLUMNS = 320
_THUMBNAIL_DB = 70.0  # below the loudest point


class EncodedImage(NamedTuple):
    """A PNG at twice the size at which it is shown (``width`` × ``height`` CSS pixels)."""

    png: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The picture as an address that needs no file."""
        return data_uri(self.png, "image/png")


def figure_png(figure: Figure) -> EncodedImage:
    """Render a figure at 200 dots an inch, to be shown at 100."""
    stream = io.BytesIO()
    with look():
        figure.savefig(stream, format="png", dpi=200, facecolor="white")
    width, height = figure.get_size_inches()
    return EncodedImage(stream.getvalue(), round(100 * width), round(100 * height))


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
    palette = (255 * SOUND(np.arange(256))[:, :3]).round().astype(np.uint8)
    picture.putpalette(palette.ravel().tolist())
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return EncodedImage(stream.getvalue(), levels.shape[1], levels.shape[0])


def sound_bytes(samples: ArrayLike, sample_rate: int) -> tuple[bytes, str]:
    """A clip as MP3, or Ogg Vorbis at a rate that MP3 does not know, and its media type.

    Every browser plays MP3; Ogg Vorbis is silent on older telephones. At most
    ``LONGEST_SOUND`` seconds are kept. Samples beyond full scale are turned down, not cut.

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


def data_uri(content: bytes, media_type: str) -> str:
    """Bytes as an address that needs no file."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _sound(samples: ArrayLike, sample_rate: int) -> NDArray[np.float32]:
    """Samples that can be drawn and played."""
    wave = np.nan_to_num(np.asarray(samples, dtype=np.float32).ravel())
    if not len(wave) or sample_rate <= 0:
        raise DataError(f"player: found {len(wave)} samples at {sample_rate} Hz, expected a sound")
    return wave


def _encoded(wave: NDArray[np.float32], sample_rate: int, kind: str, subtype: str) -> bytes:
    stream = io.BytesIO()
    with sf.SoundFile(stream, "w", sample_rate, 1, subtype, format=kind) as out:
        for start in range(0, len(wave), 65536):
            out.write(wave[start : start + 65536])
    return stream.getvalue()
