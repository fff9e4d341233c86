"""How large and how fast: the model and its files in turn, one clip at a time, on one thread.

Processor time is counted, so what else runs on the machine hardly changes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.base.seeds import generator
from semisonic.features import make_extractor
from semisonic.inference.export_options import AUDIO
from semisonic.inference.exporting.running import Runner
from semisonic.inference.pipeline import features_of_wave
from semisonic.inference.scoring import evaluating
from semisonic.models import SoundModel

Work = Callable[[], object]
LEAST_ROUNDS, MOST_ROUNDS, MOST_TIME = 5, 41, 4.0


@dataclass(frozen=True)
class Form:
    """A model in one form.

    Attributes
    ----------
    name : str
    n_bytes : int
        Of its file.
    milliseconds : float
        For a clip, the median.
    real_time : float
        Seconds of sound per second.
    """

    name: str
    n_bytes: int
    milliseconds: float
    real_time: float


def measure(
    model: SoundModel,
    n_bytes: int,
    files: Mapping[str, tuple[Runner, int]],
    kind: str,
    *,
    rounds: int = MOST_ROUNDS,
) -> tuple[Form, ...]:
    """The model by our own way of prediction, then each file, all in turn in every round.

    Parameters
    ----------
    model : SoundModel
    n_bytes : int
        Size of its file, or of its weights.
    files : mapping
        What gives scores, and the bytes it takes, by name.
    kind : {"audio", "features"}
        With audio the way begins with samples in memory, with features behind the front end.
    rounds : int
        At most; fewer when they take long.
    """
    wave = generator(0, "speed").normal(0, 0.1, model.mel.n_samples).astype(np.float32)
    extractor = make_extractor(model.mel)
    features = features_of_wave(wave, model.mel, extractor)
    x: NDArray[np.float32] = (wave if kind == AUDIO else features)[None]

    def eager() -> object:
        found = features_of_wave(wave, model.mel, extractor) if kind == AUDIO else features
        return model.score(torch.from_numpy(found[None]))

    def of(run: Runner) -> Work:
        return lambda: run(x)

    works: dict[str, Work] = {"PyTorch (Semisonic)": eager}
    works.update({name: of(run) for name, (run, _) in files.items()})
    sizes = [n_bytes, *(size for _, size in files.values())]
    with one_thread(), evaluating(model):
        times = in_turn(works, rounds)
    return tuple(
        Form(name, size, 1e3 * seconds, model.mel.duration / seconds)
        for (name, seconds), size in zip(times.items(), sizes, strict=True)
    )


def in_turn(works: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """The median processor time of each work, s; a slower moment of the machine meets them all."""
    for work in works.values():
        work(), work()
    times: dict[str, list[float]] = {name: [] for name in works}
    begin = time.perf_counter()
    for number in range(rounds):
        if number >= LEAST_ROUNDS and time.perf_counter() - begin > MOST_TIME:
            break
        for name, work in works.items():
            start = time.process_time()
            work()
            times[name].append(time.process_time() - start)
    return {name: float(np.median(found)) for name, found in times.items()}


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block torch computes on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
