"""Sounds as pictures, for looking at; models use the front end of the `features` room."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from semisonic.core.errors import DataError
from semisonic.evaluation.plots.style import (
    INK,
    MUTED,
    SOUND,
    bare,
    colour_bar,
    new_figure,
    short,
    styled,
)


def _to_mel(hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hz) / 700.0))


def picture(
    samples: ArrayLike, sample_rate: int, *, n_bands: int = 64, n_frames: int = 256
) -> NDArray[np.float64]:
    """Level in dB below the loudest point, on a mel-like scale.

    Parameters
    ----------
    samples : array of float, shape (n,)

    Returns
    -------
    ndarray of float64, shape (n_bands, n_frames)
        From -70 to 0, low frequencies first; all -70 for silence.
    """
    wave = np.nan_to_num(np.asarray(samples, dtype=np.float64).ravel())
    if sample_rate <= 0:
        raise DataError(f"spectrogram: found a sample rate of {sample_rate}, expected above 0")
    n_fft = 1 << max(6, int(np.log2(max(sample_rate * 0.046, 64))))
    wave = np.pad(wave, (n_fft // 2, n_fft // 2 + max(0, n_fft - len(wave))))
    starts = np.linspace(0, len(wave) - n_fft, n_frames).astype(np.int64)
    frames = wave[starts[:, None] + np.arange(n_fft)] * np.hanning(n_fft)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1))).T
    level = 10 * np.log10(_bands(power, sample_rate, n_bands) + 1e-12)
    if not wave.any():
        return np.full_like(level, -70.0)
    return np.asarray(np.clip(level - level.max(), -70.0, 0.0))


def _bands(power: NDArray[np.float64], sample_rate: int, n_bands: int) -> NDArray[np.float64]:
    """Mean power between mel edges; bands narrower than a bin are interpolated."""
    frequency = np.linspace(0, sample_rate / 2, len(power))
    mel = np.linspace(float(_to_mel(40.0)), float(_to_mel(sample_rate / 2)), n_bands + 1)
    edges = 700.0 * (10 ** (mel / 2595.0) - 1.0)
    out = np.empty((n_bands, power.shape[1]))
    for band, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = (frequency >= low) & (frequency < high)
        if inside.any():
            out[band] = power[inside].mean(axis=0)
        else:
            place = (low + high) / 2 / (sample_rate / 2) * (len(power) - 1)
            left = min(int(place), len(power) - 2)
            out[band] = power[left] + (place - left) * (power[left + 1] - power[left])
    return out


@styled
def patches(
    rows: Mapping[str, ArrayLike],
    names: Sequence[str] = (),
    *,
    unit: str = "",
) -> Figure:
    """Spectrograms in rows and columns, low bands at the bottom, on the first row's colour scale.

    Parameters
    ----------
    rows : mapping of str to array of float, shape (n, mel, frame)
        By what stands before the row, the first in bold letters.
    names : sequence of str
        What each column is, above it.
    unit : str
        Of the values, at the colour bar.

    Raises
    ------
    DataError
        When there is nothing to draw, or a row has another shape than the first.
    """
    values = {name: np.asarray(row, dtype=np.float64) for name, row in rows.items()}
    first = next(iter(values), "")
    shape = values[first].shape if values else ()
    if len(shape) != 3 or not shape[0]:
        raise DataError(f"patches: found shape {shape}, expected (n, mel, frame)")
    for name, row in values.items():
        if row.shape != shape:
            raise DataError(f"patches: '{name}' has shape {row.shape}, '{first}' {shape}")
    low, high = np.nanpercentile(values[first], [0.5, 99.5])
    n = shape[0]
    figure = new_figure(min(8.4, 1.5 + 1.02 * n), 0.6 + 0.84 * len(values))
    grid = figure.subplots(len(values), n, squeeze=False)
    for line, (name, row) in zip(grid, values.items(), strict=True):
        for column, axes in enumerate(line):
            image = axes.imshow(
                row[column], origin="lower", aspect="auto", cmap=SOUND, vmin=low, vmax=high
            )
            bare(axes)
        weight = "bold" if name == first else "normal"
        line[0].set_ylabel(
            name, rotation=0, ha="right", va="center", color=INK, fontsize=9, fontweight=weight
        )
    for axes, name in zip(grid[0], short(names, 14), strict=False):
        axes.set_title(name, fontsize=8.5, fontweight="normal", color=MUTED, loc="center", pad=4)
    colour_bar(figure, image, grid, unit, shrink=0.6, aspect=22)
    return figure


def reconstructions(
    truth: ArrayLike,
    decoders: Mapping[str, ArrayLike],
    names: Sequence[str] = (),
    *,
    errors: Mapping[str, float] | None = None,
    unit: str = "",
) -> Figure:
    """Spectrograms with low bands at the bottom, all on one colour scale.

    Parameters
    ----------
    truth : array of float, shape (n, mel, frame)
    decoders : mapping of str to array, shape (n, mel, frame)
    names : sequence of str
        What each clip is, above its column.
    errors : mapping of str to float, optional
        A number for each decoder (such as its mean squared error), beside its name.
    unit : str
        Of the values, at the colour bar.
    """
    rows = {"truth": np.asarray(truth, dtype=np.float64)}
    shape = rows["truth"].shape
    for name, values in decoders.items():
        error = f"\n{errors[name]:.3g}" if errors and name in errors else ""
        rows[f"{name}{error}"] = np.asarray(values, dtype=np.float64)
        if np.shape(values) != shape:
            raise DataError(
                f"reconstructions: '{name}' has shape {np.shape(values)}, truth {shape}"
            )
    return patches(rows, names, unit=unit)
