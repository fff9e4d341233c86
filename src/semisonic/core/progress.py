"""Progress bars with rate and time left.

A library must not write to the terminal, so :func:`track` shows nothing until :func:`show` was
called, as the command line does.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, TypeVar

from semisonic.core.text import visible
from semisonic.core.variables import set_aside

try:
    from tqdm import tqdm
except ValueError:  # a setting of tqdm that is no number
    with set_aside("TQDM_*"):
        from tqdm import tqdm

T = TypeVar("T")
Listener = Callable[[str, int, int | None, float | None], None]
"""Takes the label of a bar, its progress, the total (None if unknown) and the seconds left (None if
unknown)."""
_ENOUGH, _ENOUGH_SECONDS = 5, 2.0
"""Number of updates and seconds before the time left is estimated: the first steps take longer or
shorter than the others."""

_shown = False
_listener: Listener | None = None


def show_progress(on: bool = True) -> None:
    """Turn progress bars on (on standard error) or off for this process.

    The commands show them; in Python they are off by default.

    Parameters
    ----------
    on : bool
    """
    global _shown
    _shown = on


def listen(callback: Listener | None) -> None:
    """Report bars to a function a few times per second instead of drawing them; None ends this."""
    global _listener
    _listener = callback


class _ListenedBar(tqdm):  # type: ignore[type-arg]
    """A bar that is reported, not drawn."""

    _n_looks = 0

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Report the progress."""
        at = self.format_dict
        self._n_looks += 1
        is_known = self._n_looks > _ENOUGH and at["elapsed"] >= _ENOUGH_SECONDS
        left = (
            (at["total"] - at["n"]) / at["rate"]
            if is_known and at["total"] and at["rate"]
            else None
        )
        if _listener is not None:
            _listener(at["prefix"].removesuffix(": "), int(at["n"]), at["total"], left)


def bar(
    total: int | None, label: str, unit: str = "it", initial: int = 0, *, scaled: bool = False
) -> tqdm[Any]:
    """A bar that the caller updates; use it as a context manager.

    Parameters
    ----------
    total : int or None
        None if unknown.
    label, unit : str
    initial : int
        Progress of an earlier, interrupted run.
    scaled : bool
        Show large numbers as 3.1k and 4.5M, as for bytes.

    Returns
    -------
    tqdm
    """
    common: dict[str, Any] = {"total": total, "desc": label, "initial": initial}
    if _listener is not None:
        return _ListenedBar(**common, mininterval=0.2, file=io.StringIO())
    return tqdm(
        **common,
        unit=unit if scaled else f" {unit}",
        unit_scale=scaled,
        disable=not _shown,
        dynamic_ncols=True,
        mininterval=0.2 if sys.stderr.isatty() else 10.0,
        file=sys.stderr,
    )


def say(text: str) -> None:
    """Write a line above the bars, if bars are shown."""
    if _shown:
        tqdm.write(visible(text), file=sys.stderr)


def track(
    items: Iterable[T], label: str, unit: str = "it", total: int | None = None
) -> Iterator[T]:
    """Yield the items while a bar counts them; no bar is shown if there are none.

    Parameters
    ----------
    items : iterable
    label, unit : str
    total : int, optional
        Number of items, if they have no length.

    Examples
    --------
    >>> sum(track(range(4), "add"))
    6
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
        if not total:
            return
    with bar(total, label, unit) as shown:
        for item in items:
            yield item
            shown.update()
