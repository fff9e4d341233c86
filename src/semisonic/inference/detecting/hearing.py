"""What a model says along the time of recordings, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.base.errors import OptionError
from semisonic.data.clips import Clips
from semisonic.inference.detecting.grid import Average, Grid, Stretch
from semisonic.inference.detecting.recordings import Recording
from semisonic.inference.event_options import AUTO, FRAMES, WINDOWS
from semisonic.inference.pipeline import Done, stream_windows
from semisonic.inference.scoring import evaluating, settle
from semisonic.models import SoundModel
from semisonic.training import choose_device

HOP_SHARE = 0.25
FRAMES_A_STEP = 2
"""Frames of the grid for each frame of the network's code."""
Table = NDArray[np.float64]


class Listener:
    """A model, and the grid that its scores go to.

    With frames, a window's score at a time is the geometric mean of what the network says of
    the whole window and of the frame alone: the first knows what it is, the second when.

    Parameters
    ----------
    model : SoundModel
    hop : float, optional
        Seconds between windows; a quarter of the window by default.
    times : {"auto", "frames", "windows"}
    device : str

    Attributes
    ----------
    grid : Grid
    with_frames : bool

    Raises
    ------
    OptionError
        For frames of a network that has none, or a hop longer than the window.
    """

    def __init__(
        self, model: SoundModel, hop: float | None = None, times: str = AUTO, device: str = "cpu"
    ) -> None:
        if times == FRAMES and model.no_frames:
            raise OptionError(
                f"option 'times': found 'frames', but '{model.name}' gives no scores of frames: "
                f"{model.no_frames}; take 'windows', and a smaller hop for sharper times"
            )
        self.model, self.device = model, choose_device(device)
        settle(self.model.eval(), self.device)
        self.with_frames = times != WINDOWS and not model.no_frames
        mel = model.mel
        wanted = HOP_SHARE * mel.duration if hop is None else hop
        self._times, per_hop = None, 1
        if self.with_frames:
            n_code = model.encoder.code_shape(mel.n_mels, mel.n_frames)[2]
            self._times = model.frame_times(n_code).numpy()
            step = float(self._times[1] - self._times[0]) if n_code > 1 else mel.duration
            per_hop = max(1, round(FRAMES_A_STEP * wanted / step))
        self.grid = Grid.of(mel.sample_rate, mel.n_samples, wanted, per_hop)

    def average(self, part: Stretch | None = None) -> Average:
        """A place for the scores of a part, or of a stream."""
        return Average(self.grid, len(self.model.classes), self._times, part)

    def scores(self, features: NDArray[np.float32]) -> tuple[Table, Table | None]:
        """Scores of windows.

        Parameters
        ----------
        features : ndarray, shape (n, channel, mel, frame)

        Returns
        -------
        whole : ndarray of float64, shape (n, n_classes)
            As ``predict`` gives them.
        along : ndarray of float64, shape (n, n_points, n_classes), or None
            With frames.
        """
        model = self.model
        with evaluating(model):
            x = torch.from_numpy(features).to(self.device)
            if not self.with_frames:
                return model.score(x)[0].numpy(), None
            embedding, frames = model.embed_along_time(x)
            whole = model.score(x, embedding)[0]
            along = torch.sqrt(whole[:, None] * model.calibrated(model.head(frames)))
            return whole.numpy(), along.numpy()


@dataclass(frozen=True)
class Heard:
    """The scores of a part, shape (n_frames, n_classes), and why they end early, if they do."""

    recording: Recording
    part: Stretch
    scores: Table
    reason: str = ""


def hear(
    listener: Listener,
    parts: Sequence[tuple[Recording, Stretch]],
    *,
    workers: int | None = None,
) -> Iterator[Heard]:
    """Score parts of recordings, in constant memory.

    Windows are scored in groups that belong to one part and depend on nothing else, so a part
    has the same scores to the last bit whatever was heard before it.

    Yields
    ------
    Heard
        For each part in its order. One that cannot be read has the scores up to there.
    """
    if not parts:
        return
    grid = listener.grid
    clips = Clips.from_rows(
        parts[0][0].root, (_row(recording, part, grid) for recording, part in parts)
    )
    average: Average | None = None
    stream = stream_windows(clips, listener.model.mel, hop=grid.hop, workers=workers)
    for item in stream:
        recording, part = parts[item.row]
        average = average or listener.average(part)
        if isinstance(item, Done):
            yield Heard(recording, part, average.take(), item.reason)
            average = None
            continue
        whole, along = listener.scores(item.features)
        scores = whole if along is None else along
        scores[item.is_silent] = 0.0  # nothing is heard in them
        for (start, end), one in zip(item.times.tolist(), scores, strict=True):
            average.add(start, end, one)


def _row(recording: Recording, part: Stretch, grid: Grid) -> dict[str, object]:
    """The stretch of samples of a part as a row of a clip table."""
    end: float | None = part.end / grid.sample_rate
    if part.end >= recording.n_samples(grid.sample_rate):
        end = recording.end_time
    return {"file": recording.file, "start_time": part.start / grid.sample_rate, "end_time": end}
