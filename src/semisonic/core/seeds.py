"""Named, independent streams of random numbers from one seed.

The stream ``("split", "fold 2")`` never changes when another part of the program draws more or
fewer numbers, and the same names give the same stream on any machine.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from semisonic.core.files import to_bytes

if TYPE_CHECKING:
    import torch


def derive(seed: int, *names: object) -> int:
    """A 63-bit seed for the stream with these names.

    Parameters
    ----------
    seed : int
    *names
        Names of the stream: any objects with a stable text.

    Returns
    -------
    int

    Examples
    --------
    >>> derive(0, "split", 2) == derive(0, "split", "2")
    True
    """
    text = "\x1f".join([str(int(seed)), *map(str, names)])
    return int.from_bytes(hashlib.sha256(to_bytes(text)).digest()[:8], "big") >> 1


def generator(seed: int, *names: object) -> np.random.Generator:
    """A numpy generator for the stream with these names.

    Parameters
    ----------
    seed : int
    *names
        As for :func:`derive`.

    Returns
    -------
    numpy.random.Generator
    """
    return np.random.Generator(np.random.PCG64(derive(seed, *names)))


def torch_generator(seed: int, *names: object) -> torch.Generator:
    """A torch generator (on the CPU) for the stream with these names.

    Parameters
    ----------
    seed : int
    *names
        As for :func:`derive`.

    Returns
    -------
    torch.Generator
    """
    import torch

    return torch.Generator().manual_seed(derive(seed, *names))
