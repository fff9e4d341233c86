"""Random draws and slow random curves, the raw material of every sound."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Wave: TypeAlias = NDArray[np.float32]
Curve: TypeAlias = NDArray[np.floating[Any]]
Generator: TypeAlias = np.random.Generator

CONTROL_STEP = 64  # samples between two points of a slow curve


def uniform(rng: Generator, low: float, high: float) -> float:
    """A number between two bounds."""
    return low + (high - low) * float(rng.random())


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """A number between two positive bounds, spread evenly over octaves."""
    return math.exp(uniform(rng, math.log(low), math.log(high)))


def chance(rng: Generator, share: float) -> bool:
    """Whether something happens that happens in this share of cases."""
    return float(rng.random()) < share


def pick(rng: Generator, n: int) -> int:
    """One of the numbers 0 … n-1."""
    return min(int(rng.random() * n), n - 1)


def decibel(db: float) -> float:
    """The amplitude ratio of a level in dB."""
    return float(10.0 ** (db / 20.0))


def drift(rng: Generator, n: int, rate: int, speed_hz: float) -> Wave:
    """A smooth random curve around zero with standard deviation near one, shape (n,).

    Random heights, ``speed_hz`` of them a second, joined by half cosines. The curve
    begins at a random place between two heights.
    """
    span = n / rate * speed_hz
    begin = float(rng.random())
    heights = rng.standard_normal(int(span) + 3) * 1.25
    n_control = n // CONTROL_STEP + 2
    at = begin + np.arange(n_control) * (CONTROL_STEP / rate * speed_hz)
    left = np.minimum(at.astype(np.int64), len(heights) - 2)
    weight = 0.5 - 0.5 * np.cos(np.pi * np.clip(at - left, 0.0, 1.0))
    return refine(heights[left] * (1 - weight) + heights[left + 1] * weight, n)


def refine(control: Curve, n: int) -> Wave:
    """Stretch a curve with one point every ``CONTROL_STEP`` samples to ``n`` samples."""
    height = np.asarray(control, dtype=np.float32)
    part = np.arange(CONTROL_STEP, dtype=np.float32) / np.float32(CONTROL_STEP)
    fine = height[:-1, None] + np.diff(height)[:, None] * part[None, :]
    return fine.reshape(-1)[:n]


def control_times(n: int, rate: int) -> Curve:
    """The times (s) of the control points of a curve of ``n`` samples."""
    return np.arange(n // CONTROL_STEP + 2) * (CONTROL_STEP / rate)
