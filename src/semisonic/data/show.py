"""Show and play sounds in a notebook: files, clips, events, samples."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semisonic.audio.player import (
    EXAMPLE_DURATION,
    LONGEST_SOUND,
    Player,
    SoundPart,
    named_failures,
    players_html,
    read_players,
)
from semisonic.core.errors import DataError, OptionError
from semisonic.core.html import note, problems
from semisonic.core.text import count_text
from semisonic.data.clips import Clips, examples_of, part_of
from semisonic.data.datasets.load import load_clips


@dataclass(frozen=True)
class SoundView:
    """Sounds that a notebook shows, each with a spectrogram and a player.

    Attributes
    ----------
    players : tuple of Player
    n_more : int
        Number of sounds that are not shown.
    failures : tuple of (str, str)
        Sounds that could not be read, with the reason.
    """

    players: tuple[Player, ...]
    n_more: int = 0
    failures: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        names = ", ".join(one.truth for one in self.players)
        return f"<{count_text(len(self.players), 'sound')}: {names}; a notebook plays them>"

    def _repr_html_(self) -> str:
        more = note(f"... and {count_text(self.n_more, 'more sound')}") if self.n_more else ""
        return players_html(self.players) + more + problems(self.failures)


def show(
    sounds: Any, *, sample_rate: int | None = None, n: int = 6, duration: float = EXAMPLE_DURATION
) -> SoundView:
    """Show sounds in a notebook: a spectrogram and a player for each.

    Parameters
    ----------
    sounds : path, paths, Clips, data frame or array
        One or several recordings, a folder, a table of clips, or a frame with the columns
        ``file``, ``start_time`` and ``end_time``, such as the events of :func:`semisonic.detect`.
        Samples have the shape (n_samples,); give several sounds as a list.
    sample_rate : int, optional
        Hz; needed for samples.
    n : int
        Largest number of sounds. Of clips, one of each class comes first.
    duration : float
        Seconds of each sound, from its start; at most 10.

    Returns
    -------
    SoundView

    Raises
    ------
    AudioError
        When none of the sounds can be read.
    DataError
        For other objects, or an empty table.
    OptionError
        For a duration out of range, or samples without a rate.

    Examples
    --------
    >>> show(0.1 * np.sin(0.3 * np.arange(8000)), sample_rate=8000)
    <1 sound: sound 1; a notebook plays them>
    """
    if not 0 < duration <= LONGEST_SOUND:
        raise OptionError(
            f"show, option 'duration': found {duration:g} s, expected more than 0 and at most "
            f"{LONGEST_SOUND:g}"
        )
    if isinstance(sounds, (str, os.PathLike)):
        sounds = load_clips(sounds) if Path(sounds).is_dir() else [sounds]
    if isinstance(sounds, Clips):
        rows = examples_of(sounds, len(sounds))
        return _view((part_of(sounds, row) for row in rows), len(sounds), n, duration)
    if isinstance(sounds, pd.DataFrame):
        return _view(parts_of_frame(sounds), len(sounds), n, duration)
    if hasattr(sounds, "__array__"):
        sounds = [sounds]
    if not isinstance(sounds, Sequence):
        raise DataError(
            f"show: found {type(sounds).__name__}, expected paths, Clips, a frame or samples"
        )
    if all(isinstance(one, (str, os.PathLike)) for one in sounds):
        whole = (SoundPart(Path(one), 0.0, np.nan) for one in sounds)
        return _view(whole, len(sounds), n, duration)
    if sample_rate is None:
        raise OptionError("show: found samples without their rate; add sample_rate=... (Hz)")
    rate, length = sample_rate, int(duration * sample_rate)
    waves = [np.asarray(one, np.float32).ravel()[:length] for one in sounds[:n]]
    players = (Player(wave, rate, f"sound {i}") for i, wave in enumerate(waves, start=1))
    return SoundView(tuple(players), len(sounds) - len(waves))


def parts_of_frame(frame: pd.DataFrame) -> Iterator[SoundPart]:
    """The rows of a frame with the column ``file`` and, optionally, times, label and score."""
    if "file" not in frame:
        raise DataError(f"show: a frame needs a column 'file', found {', '.join(map(str, frame))}")
    for row in frame.to_dict("records"):
        score = row.get("score")
        said = f"score {score:.2f}" if isinstance(score, float) and score == score else ""
        times = float(row.get("start_time", 0.0)), float(row.get("end_time", np.nan))
        yield SoundPart(Path(str(row["file"])), *times, str(row.get("label", "")), said)


def _view(parts: Iterable[SoundPart], n_parts: int, n: int, duration: float) -> SoundView:
    if not n_parts:
        raise DataError("show: found no sound in the table")
    chosen = list(islice(parts, n))
    players, failures = read_players(chosen, duration)
    if not players:
        raise failures[0]
    return SoundView(players, n_parts - len(chosen), named_failures(failures))
