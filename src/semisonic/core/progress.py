"""Progress bars with rate and time left, and estimates of the time that a job needs.

A library must not write on somebody's terminal, so :func:`track` shows nothing until :func:`show`
was called, as the command line does.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, TypeVar

from tqdm import tqdm

from semisonic.core.text import rough_duration

T = TypeVar("T")
_shown = False


@dataclass(frozen=True)
class Progress:
    """How far a bar is.

    Attributes
    ----------
    label : str
    n : int
    total : int or None
        None where nobody knows.
    seconds_left : float or None
        At the rate so far.
    """

    label: str
    n: int
    total: int | None
    seconds_left: float | None


_listener: Callable[[Progress], None] | None = None


def show(on: bool = True) -> None:
    """Turn progress bars on (on standard error) or off for this process."""
    global _shown
    _shown = on


def is_shown() -> bool:
    """Whether progress bars are on."""
    return _shown


def listen(callback: Callable[[Progress], None] | None) -> None:
    """Tell a function how far bars of this process are, in place of the terminal; None ends it.

    Parameters
    ----------
    callback : callable or None
        Called with a :class:`Progress`, a few times a second.
    """
    global _listener
    _listener = callback


class _ListenedBar(tqdm):  # type: ignore[type-arg]
    """A bar that is told, not drawn."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Tell how far it is."""
        state = self.format_dict
        n, total, began = int(state["n"]), state["total"], int(state["initial"] or 0)
        elapsed = float(state["elapsed"])
        rate = state["rate"] or ((n - began) / elapsed if elapsed > 0 else 0.0)
        left = (total - n) / rate if total is not None and rate else None
        if _listener is not None:
            _listener(Progress(str(state["prefix"]).removesuffix(": "), n, total, left))


def bar(
    total: int | None, label: str, unit: str = "it", initial: int = 0, *, scaled: bool = False
) -> tqdm[Any]:
    """A bar to be updated by hand; use it as a context manager.

    ``initial`` counts what an earlier, interrupted run already did. ``scaled`` shows large numbers
    as 3.1k and 4.5M, as for bytes.

    Parameters
    ----------
    total : int or None
        None where nobody knows.
    label, unit : str
    initial : int
        What an earlier, interrupted run already did.
    scaled : bool
        Show large numbers as 3.1k and 4.5M, as for bytes.

    Returns
    -------
    tqdm
    """
    if _listener is not None:
        return _ListenedBar(
            total=total, desc=label, initial=initial, mininterval=0.2, file=io.StringIO()
        )
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


def say(text: str) -> None:
    """Write a line above the bars, where bars are shown."""
    if _shown:
        tqdm.write(text, file=sys.stderr)


def track(
    items: Iterable[T], label: str, unit: str = "it", total: int | None = None
) -> Iterator[T]:
    """Yield the items while a bar counts them.

    Parameters
    ----------
    items : iterable
    label, unit : str
    total : int, optional
        Where the items do not know how many they are.

    Examples
    --------
    >>> sum(track(range(4), "add"))
    6
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with bar(total, label, unit) as shown:
        for item in items:
            yield item
            shown.update()


FIRST_SECONDS = 5.0
"""Work is timed for so long before anything is said of the rest."""

WORTH_SAYING = 60.0
"""Seconds of the whole from which on it is said."""


class TimeEstimate:
    """Counts finished things, and says once when all will be finished.

    Parameters
    ----------
    what : str
        The work, such as "decode".
    total : int
        Things to do now, without those that an earlier run did.
    unit : str
        What the things are called.
    """

    def __init__(self, what: str, total: int, unit: str = "clips") -> None:
        self.what, self.total, self.unit = what, total, unit
        self._begun, self._n_done, self._is_said = time.monotonic(), 0, False

    def done(self, n: int = 1) -> None:
        """Take in that ``n`` more are finished."""
        self._n_done += n
        if self._is_said:
            return
        seconds = time.monotonic() - self._begun
        if seconds < FIRST_SECONDS or not self._n_done:
            return
        self._is_said = True
        whole = seconds / self._n_done * self.total
        if whole >= WORTH_SAYING:
            say(f"{self.what}: about {rough_duration(whole)} for {self.total:,} {self.unit}")
