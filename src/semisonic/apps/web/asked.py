"""An answer as it comes from the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """An answer as it comes from the page.

    Attributes
    ----------
    file : str
        As the log names it.
    start_time, end_time : float
        Seconds.
    labels : tuple of str
    presence : str
    annotator, note, source : str
    guess : str
        The model's best guess when the question was asked; empty without a model.
    guess_score : float
    """

    file: str
    start_time: float
    end_time: float
    labels: tuple[str, ...]
    presence: str
    annotator: str
    note: str = ""
    source: str = ""
    guess: str = ""
    guess_score: float = 0.0
    review: str = ""
