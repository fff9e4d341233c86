"""Train the event layer from clips with labels but without times.

The longest audible part of each clip is cut out and mixed into background, so that its times are
known to the frame. ``data mix`` does the same with files; here, powers of mel bands are added,
which ignores phases. The background is steady noise, with the spectrum of quiet parts of the clips
or a random one, and clips of a class named background. The layers of
:class:`semisonic.models.event_layer.EventLayer` are solved for, which takes seconds. The encoder
and the scores of clips do not change.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler
from torch import nn

from semisonic.classifier.options import BACKGROUND
from semisonic.classifier.probe import ABSENT, ClassLine, one_hot
from semisonic.classifier.scoring import evaluating, move_to_device
from semisonic.classifier.training import TrainedModel, TrainingData, feature_parts
from semisonic.classifier.windows import features_of_wave
from semisonic.core.errors import ModelError
from semisonic.core.seeds import generator
from semisonic.features.frontend import make_extractor
from semisonic.features.options import MelOptions
from semisonic.models.event_layer import EventLayer, power_of
from semisonic.models.sound_model import SoundModel, new_event_layer
from semisonic.training.devices import choose_device

N_MIXED, N_FILLED = 600, 300
"""Number of windows with sounds that begin and end; number of windows filled by a sound or
background.
"""
MOST_CLIPS, MOST_NUMBERS = 1000, 20_000_000
"""Most clips to mix, and most numbers of their features."""
SNR_DB, GAIN_DB = (-3.0, 20.0), (-40.0, 5.0)
"""Level of a sound above its background, and its gain relative to the clip, dB."""
_DEPTH_DB, _OVER_DB = 25.0, 6.0  # below the loudest frame; above the quietest tenth of the frames
_GAP, _LEAST = 0.4, 0.15  # s: a quieter pause that ends no sound; the shortest sound
_FULL = 0.9  # share of a clip from which on a sound fills it
_QUIET_DB, _AUDIBLE_DB = 20.0, 25.0  # below the loudest frame; above the floor
_N_NOISE, _BATCH = 24, 50
_RARE = 1 / 8  # of the windows have no sound, and of the others no background
_LEAST_A_CLASS = 8
_N_POINTS, _N_FRAMES = 15_000, 6_000  # solved with, at most
_WEIGHT, _WEIGHT_STEADY, _WEIGHT_NONE = 1000.0, 150.0, 450.0  # of all frames, and of all windows

Floats = NDArray[np.float64]
Levels = NDArray[np.float32]


class _Sounds(NamedTuple):
    """Clips as levels in dB, (n, mel, frame), and the frames in which they are audible."""

    levels: Levels
    target: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    fills: NDArray[np.bool_]

    @classmethod
    def of(cls, levels: Levels, target: NDArray[np.int64], mel: MelOptions) -> _Sounds:
        total = _decibel(power_of_levels(levels).sum(axis=1))  # (n, frame)
        step = mel.hop_length / mel.sample_rate
        first, last = np.zeros(len(total), np.int64), np.zeros(len(total), np.int64)
        own = (levels.max(axis=1) > mel.quietest_db + 1.0).sum(axis=1)
        for i, level in enumerate(total):
            if not own[i]:
                continue
            top = level.max()
            quietest = np.quantile(np.sort(level)[-own[i] :], 0.1)
            least = max(top - _DEPTH_DB, min(quietest + _OVER_DB, top - _OVER_DB))
            loud = np.flatnonzero(level >= least)
            breaks = np.flatnonzero(np.diff(loud) > _GAP / step)
            starts, ends = loud[np.r_[0, breaks + 1]], loud[np.r_[breaks, len(loud) - 1]] + 1
            best = int(np.argmax(ends - starts))
            first[i], last[i] = starts[best], ends[best]
        kept = (last - first) * step >= _LEAST
        n_long = np.maximum(_FULL * own, 0.4 * levels.shape[2])
        fills = last - first >= n_long
        return cls(levels[kept], target[kept], first[kept], last[kept], fills[kept])

    def draw(self, rng: np.random.Generator, label: int, rows: NDArray[np.bool_]) -> int:
        """A clip of a class among some."""
        return int(rng.choice(np.flatnonzero(rows & (self.target == label))))


class _Mixed(NamedTuple):
    """Windows: levels (n, 1, mel, frame), the share of sound in each frame, the class or -1."""

    x: Levels
    active: Levels
    target: NDArray[np.int64]


def learn_events(
    outcome: TrainedModel, data: TrainingData, *, seed: int, device: str | torch.device = "cpu"
) -> str:
    """Give a trained model its event layer, if it can have one.

    Parameters
    ----------
    outcome : TrainedModel
        Its model gets the layer. Clips with pseudo-labels of the last round are used too.
    data : TrainingData
        The training data of the model.
    seed : int
    device : str or torch.device
        The device of the encoder.

    Returns
    -------
    str
        A message: the number of clips, or why there is no event layer.
    """
    model = outcome.model
    try:
        layer = new_event_layer(model)
    except ModelError as error:
        return str(error)
    rows, target = data.labelled, data.target[data.labelled]
    for found in outcome.pseudo_labels[-1:]:
        rows = np.concatenate([rows, found.rows])
        target = np.concatenate([target, found.shares.argmax(axis=1)])
    rng = generator(seed, "event layer")
    most = min(MOST_CLIPS, MOST_NUMBERS // int(np.prod(model.mel.shape)))
    if len(rows) > most:
        mixed = rng.permutation(len(rows))
        turn = pd.Series(target[mixed]).groupby(target[mixed]).cumcount()  # classes alike
        kept = np.sort(mixed[np.argsort(turn.to_numpy(), kind="stable")[:most]])
        rows, target = rows[kept], target[kept]
    levels = np.concatenate(list(feature_parts(data.features, rows)))[:, 0]
    quiet = np.isin(target, [i for i, name in enumerate(model.classes) if name in BACKGROUND])
    sounds = _Sounds.of(levels[~quiet], target[~quiet], model.mel)
    if len(np.unique(sounds.target)) < 2:
        return (
            f"'{model.name}' has no event layer, so times of events come from windows: fewer "
            f"than two classes have a sound of at least {_LEAST:g} s"
        )
    place = choose_device(device)
    move_to_device(model, place)
    _solve(model, layer.to(place), _Mixer(model.mel, sounds, levels[quiet], rng))
    model.event_layer = layer
    model.cpu().eval()
    return f"the event layer was trained on {len(sounds.target)} clips, mixed into noise"


def _solve(model: SoundModel, layer: EventLayer, mixer: _Mixer) -> None:
    """Solve for the three linear layers, one after the other."""
    n_classes, rng = len(model.classes), mixer.rng
    over, codes, windows, active, target = [], [], [], [], []
    for part in mixer.mixed(max(N_MIXED, _LEAST_A_CLASS * n_classes)):
        inputs, code, window = _heard(model, layer, part.x)
        over.append(inputs)
        codes.append(code)
        windows.append(window)
        active.append(part.active)
        target.append(part.target)
    points = torch.cat(over)
    n = points.shape[1]
    truth = torch.from_numpy(np.concatenate(active))
    at_points = nn.functional.adaptive_avg_pool1d(truth[:, None], n)[:, 0].numpy() > 0.5
    x = layer.around(points).numpy().reshape(n * len(points), -1)
    chosen = rng.permutation(len(x))[:_N_POINTS]
    _put(layer.active, x[chosen], at_points.reshape(-1, 1)[chosen], len(chosen), several=True)

    code, labels = torch.cat(codes), np.concatenate(target)
    with evaluating(layer):
        heard = layer.cpu().activity(points)
        x = layer.pooled(code, heard).numpy()
    inside = nn.functional.adaptive_avg_pool1d(truth[:, None], code.shape[2])[:, 0].numpy() > 0.5
    which, frame = np.nonzero(inside & (labels >= 0)[:, None])
    chosen = rng.permutation(len(which))[:_N_FRAMES]
    which, frame = which[chosen], frame[chosen]
    _put(layer.named, x[which, frame], one_hot(labels[which], n_classes), _WEIGHT)

    if not mixer.sounds.fills.any():  # nothing goes on through a window
        nn.init.zeros_(layer.steady.weight)
        with torch.no_grad():
            layer.steady.bias.copy_(torch.tensor([-ABSENT] * n_classes + [0.0]))
        return
    filled, answers = [], []
    for part in mixer.filled(max(N_FILLED, _LEAST_A_CLASS * n_classes)):
        filled.append(_heard(model, layer, part.x, whole_only=True)[2])
        answers.append(np.where(part.target < 0, n_classes, part.target))
    begun = torch.cat(windows)[:N_FILLED]
    x = torch.cat([*filled, begun]).numpy()
    answer = np.concatenate([*answers, np.full(len(begun), n_classes)])
    none = answer == n_classes
    weights = np.where(none, _WEIGHT_NONE / none.sum(), _WEIGHT_STEADY / max(1, (~none).sum()))
    _put(layer.steady, x, one_hot(answer, n_classes + 1), weights)


def _heard(
    model: SoundModel, layer: EventLayer, x: Levels, *, whole_only: bool = False
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The inputs of the three layers for some windows, on the CPU: points, code, embedding."""
    place = next(model.parameters()).device
    with evaluating(model):
        window = torch.from_numpy(x).to(place)
        embedding = model.embed(window).cpu()
        if whole_only:
            return embedding, embedding, embedding
        over, cleaned, _ = layer.to(place).split(window)
        code = model.encoder(model.frontend.standardize(cleaned)).mean(dim=2)
        return over.cpu(), code.cpu(), embedding


def _put(
    layer: nn.Module,
    x: NDArray[Any],
    shares: NDArray[Any],
    weight: float | Floats,
    *,
    several: bool = False,
) -> None:
    """Solve for a linear layer; ``weight`` is one weight for all rows, or one per row."""
    weights = weight if isinstance(weight, np.ndarray) else np.full(len(x), weight / len(x))
    scale = StandardScaler()
    line = ClassLine.learn(scale.fit_transform(x.astype(np.float64)), shares, weights, several)
    line.put_into(layer, scale)


class _Mixer:
    """Windows of sounds in background.

    Parameters
    ----------
    mel : MelOptions
    sounds : _Sounds
    backgrounds : ndarray of float32, shape (n, mel, frame)
        Levels of clips with background only, if there are any.
    rng : numpy.random.Generator
    """

    def __init__(
        self, mel: MelOptions, sounds: _Sounds, backgrounds: Levels, rng: np.random.Generator
    ) -> None:
        self.mel, self.sounds, self.backgrounds, self.rng = mel, sounds, backgrounds, rng
        extractor = make_extractor(mel)
        noise = np.stack(
            [
                features_of_wave(
                    (0.1 * rng.standard_normal(mel.n_samples)).astype(np.float32), mel, extractor
                )[0]
                for _ in range(_N_NOISE)
            ]
        )
        # White noise, flat over mel: it has the flutter of each band.
        self.noise = noise - noise.mean(axis=(0, 2))[:, None]
        total = _decibel(power_of_levels(sounds.levels).sum(axis=1))
        quiet = total < total.max(axis=1, keepdims=True) - _QUIET_DB
        quiet &= total > mel.quietest_db + _AUDIBLE_DB
        self.spectra = [
            _decibel(power_of_levels(one[:, frames]).mean(axis=1))
            for one, frames in zip(sounds.levels, quiet, strict=True)
            if frames.sum() >= 8
        ]

    def background(self) -> Levels:
        """Background of a window at an arbitrary level, shape (mel, frame)."""
        rng, n = self.rng, self.mel.n_frames
        if len(self.backgrounds) and rng.random() < 0.5:
            own: Levels = self.backgrounds[rng.integers(len(self.backgrounds))]
            return own
        has_own = len(self.spectra) and rng.random() < 0.5
        spectrum = self.spectra[rng.integers(len(self.spectra))] if has_own else self.spectrum()
        noise = np.roll(self.noise[rng.integers(_N_NOISE)], rng.integers(n), axis=1)
        return np.asarray(noise + spectrum[:, None], np.float32)

    def spectrum(self) -> Floats:
        """A random smooth spectrum in dB: a slope with some peaks."""
        rng, place = self.rng, np.linspace(0.0, 1.0, self.mel.n_mels)
        found = rng.uniform(-50.0, 12.0) * place
        for _ in range(3):
            waves = rng.uniform(0.3, 3.0) * place + rng.random()
            found += rng.uniform(0.0, 5.0) * np.cos(2 * np.pi * waves)
        return found

    def mixed(self, n: int) -> Iterator[_Mixed]:
        """Windows in which a sound begins and ends, all classes in turn; some have no sound."""
        every = np.ones(len(self.sounds.target), np.bool_)
        labels = np.unique(self.sounds.target)
        for numbers in _parts(n):
            without = self.rng.random(len(numbers)) < _RARE
            chosen = np.where(without, -1, labels[numbers % len(labels)])
            yield self._stacked(chosen, every, whole=False)

    def filled(self, n: int) -> Iterator[_Mixed]:
        """Windows filled by a sound, all classes in turn, and as many with background only."""
        labels = np.unique(self.sounds.target[self.sounds.fills])
        for numbers in _parts(n):
            chosen = np.where(numbers % 2, -1, labels[numbers // 2 % len(labels)])
            yield self._stacked(chosen, self.sounds.fills, whole=True)

    def _stacked(
        self, labels: NDArray[np.int64], rows: NDArray[np.bool_], *, whole: bool
    ) -> _Mixed:
        windows = [self._window(label, rows, whole=whole) for label in labels.tolist()]
        x, active = zip(*windows, strict=True)
        return _Mixed(np.stack(x)[:, None], np.stack(active), labels)

    def _window(self, label: int, rows: NDArray[np.bool_], *, whole: bool) -> tuple[Levels, Levels]:
        """A window of a class, or of background only (-1): its levels, and its audible frames."""
        rng, sounds, n = self.rng, self.sounds, self.mel.n_frames
        power, active = power_of_levels(self.background()), np.zeros(n, np.float32)
        row = int(rng.integers(len(sounds.target))) if label < 0 else sounds.draw(rng, label, rows)
        sound = sounds.levels[row, :, sounds.first[row] : sounds.last[row]]
        level = _loudness(power_of_levels(sound)) + rng.uniform(*GAIN_DB)
        if label < 0:  # background alone, as loud as beside a sound
            gain = level - rng.uniform(*SNR_DB) - _loudness(power)
            return self._level(power * 10 ** (gain / 10)), active
        if whole:
            sound = np.roll(np.tile(sound, -(-n // sound.shape[1]))[:, :n], rng.integers(n), 1)
            at = 0
        else:
            length = sound.shape[1]
            if length > 0.8 * n:  # it goes on and on: a part of it
                length = min(length, int(rng.uniform(0.1, 1.2) * n))
                skip = int(rng.integers(sound.shape[1] - length + 1))
                sound = sound[:, skip : skip + length]
            half = length // 2
            at = int(rng.integers(-min(half, n // 4), max(1, n - half)))
        first, last = max(0, at), min(n, at + sound.shape[1])
        part = power_of_levels(sound[:, first - at : last - at])
        gain = level - rng.uniform(*SNR_DB) - _loudness(power)
        is_silent = not whole and rng.random() < _RARE  # as clips are that were cut out
        power *= 0.0 if is_silent else 10 ** (gain / 10)
        power[:, first:last] += part * 10 ** ((level - _loudness(part)) / 10)
        active[first:last] = 1.0
        return self._level(power), active

    def _level(self, power: Levels) -> Levels:
        return np.maximum(_decibel(power), self.mel.quietest_db).astype(np.float32)


def _parts(n: int) -> Iterator[NDArray[np.int64]]:
    """The numbers from 0 to n, some at a time."""
    for begin in range(0, n, _BATCH):
        yield np.arange(begin, min(begin + _BATCH, n))


def power_of_levels(levels: Levels) -> Levels:
    """Powers of levels in dB, same shape."""
    return power_of(torch.from_numpy(np.ascontiguousarray(levels, np.float32))).numpy()


def _decibel(power: NDArray[Any]) -> Levels:
    return np.asarray(10.0 * np.log10(np.maximum(power, 1e-12)), np.float32)


def _loudness(power: Levels) -> float:
    """Mean level over time of all bands together, dB."""
    return float(_decibel(power.sum(axis=0).mean()))
