"""Progress bars with rate and time left, silent unless an application turns them on.

A library must not write on somebody's terminal, so :func:`track` shows nothing until
:func:`show` was called, as the command line does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")
_shown = False


def show(on: bool = True) -> None:
    """Turn progress bars on (on standard error) or off for this process."""
    global _shown
    _shown = on


def is_shown() -> bool:
    """Whether progress bars are on."""
    return _shown


def bar(
    total: int | None, label: str, unit: str = "it", initial: int = 0, *, scaled: bool = False
) -> tqdm[Any]:
    """A bar to be updated by hand; use it as a context manager.

    ``initial`` counts what an earlier, interrupted run already did. ``scaled`` shows large numbers
    as 3.1k and 4.5M, as for bytes.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=label,
        unit=unit if scaled else f" {unit}",
        unit_scale=scaled,
        initial=initial,
        disable=not _shown,
        dynamic_ncols=True,
        mininterval=0.2 if terminal else 10.0,
        leave=True,
        file=sys.stderr,
    )


def track(
    items: Iterable[T], label: str, unit: str = "it", total: int | None = None
) -> Iterator[T]:
    """Yield the items while a bar counts them."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with bar(total, label, unit) as shown:
        for item in items:
            yield item
            shown.update()
