"""Fingerprints as short texts, so that a journal can hold them: a kilobyte for 30 s."""

from __future__ import annotations

from base64 import b64decode, b64encode

import numpy as np
from numpy.typing import NDArray

from semisonic.data.checks.fingerprint import N_BANDS


def pack(signs: NDArray[np.int8]) -> str:
    """A fingerprint, shape (frame, band), as text; empty for one without frames."""
    if not len(signs):
        return ""
    heard = np.packbits(signs[:, 0] != 0)
    rising = np.packbits(signs > 0)
    return f"{len(signs)}:" + b64encode(heard.tobytes() + rising.tobytes()).decode("ascii")


def unpack(text: str) -> NDArray[np.int8]:
    """What :func:`pack` was given."""
    if not text:
        return np.zeros((0, N_BANDS), np.int8)
    length, _, content = text.partition(":")
    n = int(length)
    bits = np.frombuffer(b64decode(content), np.uint8)
    n_heard = -(-n // 8)
    heard = np.unpackbits(bits[:n_heard], count=n)
    rising = np.unpackbits(bits[n_heard:], count=n * N_BANDS).reshape(n, N_BANDS)
    signs = 2 * rising.astype(np.int8) - 1
    signs[heard == 0] = 0
    return signs
