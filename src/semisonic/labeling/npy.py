"""The head of a ``.npy`` file whose rows are written before their number is known.

It has one length however many rows there are, so rows can be added to the file in place.
"""

from __future__ import annotations

HEADER_BYTES = 128
_MAGIC = b"\x93NUMPY\x01\x00"


def header_of(n_rows: int, dim: int) -> bytes:
    """The first bytes of a file of float32, shape (n_rows, dim), as numpy's format 1.0 has them."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({n_rows}, {dim}), }}"
    length = HEADER_BYTES - len(_MAGIC) - 2
    return _MAGIC + length.to_bytes(2, "little") + (text.ljust(length - 1) + "\n").encode("ascii")
