"""Environment variables of other programs, which decide nothing here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def set_aside(*names: str) -> Iterator[None]:
    """Within the block variables are not set; a name that ends with ``*`` stands for all like it.

    Some libraries read variables when they are imported, and end if these are meant for another
    program or another version.
    """

    def is_named(name: str) -> bool:
        return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in names)

    aside = {name: value for name, value in os.environ.items() if is_named(name)}
    for name in aside:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(aside)
