"""Augmentation of levels and by other sounds: gain, gain over frequency, noise, background."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from semisonic.core.errors import DataError, OptionError
from semisonic.core.seeds import torch_generator
from semisonic.features.augment.base import (
    Augmentation,
    Drawn,
    PowerScale,
    band_widths,
    check_at_least,
    check_range,
    frame_power,
    full_precision,
    random_integers,
    require_loudness,
    silent_rows,
    uniform,
)
from semisonic.features.logmel import LogMel
from semisonic.features.options import LOG_MEL, WAVE, MelOptions


class Gain(Augmentation):
    """Make each clip louder or quieter by a random amount.

    Silence stays silence, and nothing is clipped.

    Parameters
    ----------
    mel : MelOptions
        With ``reference="max"`` or ``peak_normalize`` a level change cannot be seen, which is
        an error.
    max_db : float
        Largest change, up or down, in dB.
    probability : float
        Share of rows that are changed.

    Raises
    ------
    OptionError
        When the front end takes the level away.
    """

    kinds = (LOG_MEL, WAVE)

    def __init__(self, mel: MelOptions, max_db: float, probability: float = 1.0) -> None:
        super().__init__(mel, probability)
        self.max_db = check_at_least(max_db, 0.0, self.named("max_db"), "dB")
        require_loudness(mel, "Gain")

    def draw(self, x: Tensor) -> Drawn:
        """``gain_db``: one number for each row."""
        return {"gain_db": uniform(x, -self.max_db, self.max_db)}

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips at their new levels."""
        return self.levels.amplify(x, drawn["gain_db"][:, None, None, None])

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips at their new levels."""
        return x * 10 ** (drawn["gain_db"][:, None] / 20)


def smooth_weights(n_points: int, n_bands: int) -> Tensor:
    """How much of each control point a band takes, shape (n_points, n_bands).

    Points are equally spaced over the bands, with one at each end. Between two points the
    weights follow a raised cosine and sum to one, so a curve never leaves the range of its
    points.
    """
    position = torch.linspace(0, n_points - 1, n_bands, dtype=torch.float64)
    distance = (position[None] - torch.arange(n_points)[:, None]).abs().clamp(max=1.0)
    return (0.5 + 0.5 * torch.cos(torch.pi * distance)).float()


class BandGain(Augmentation):
    """Give each clip a random smooth equaliser curve: another microphone, room or distance.

    Parameters
    ----------
    mel : MelOptions
    max_db : float
        Largest gain of a control point, up or down, in dB.
    n_points : int
        Control points over all bands, at least 2; more make a rougher curve.
    probability : float
        Share of rows that are changed.
    """

    weights: Tensor

    def __init__(
        self, mel: MelOptions, max_db: float, n_points: int = 5, probability: float = 1.0
    ) -> None:
        super().__init__(mel, probability)
        self.max_db = check_at_least(max_db, 0.0, self.named("max_db"), "dB")
        if not 2 <= n_points <= mel.n_mels:
            raise OptionError(
                f"{self.named('n_points')}: found {n_points}, expected 2 to {mel.n_mels}, the "
                "number of bands"
            )
        self.n_points = n_points
        self.register_buffer("weights", smooth_weights(n_points, mel.n_mels), persistent=False)

    def draw(self, x: Tensor) -> Drawn:
        """``point_db``: the gain of each control point, (batch, n_points)."""
        return {"point_db": uniform(x, -self.max_db, self.max_db, self.n_points)}

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips through their equalisers; silence stays silence."""
        curve = (drawn["point_db"][:, :, None] * self.weights).sum(1)  # (batch, mel)
        return self.levels.amplify(x, curve[:, None, :, None])


PINK_FROM_HZ = 20.0
"""Pink noise has nothing below this: nobody hears it, and 1/f has no end."""

SLOPES = {"white": 0.0, "pink": 1.0}
"""The power falls as frequency to minus this: pink by 3 dB an octave."""


def coloured_noise(
    n_rows: int,
    n_samples: int,
    sample_rate: int,
    colour: str,
    *,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Gaussian noise of mean square one (on the long run), shape (n_rows, n_samples).

    Parameters
    ----------
    colour : {"white", "pink"}
    generator : torch.Generator, optional
        Torch's global one of the device by default.

    Returns
    -------
    Tensor, shape (n_rows, n_samples)
    """
    white = torch.randn(n_rows, n_samples, device=device, generator=generator)
    slope = SLOPES[colour]
    if slope == 0.0:
        return white
    hz = torch.fft.rfftfreq(n_samples, 1.0 / sample_rate, device=device)
    amplitude = hz.clamp(min=PINK_FROM_HZ).pow(-slope / 2) * (hz >= PINK_FROM_HZ)
    amplitude = amplitude / amplitude.square().mean().sqrt()
    noise: Tensor = torch.fft.irfft(torch.fft.rfft(white) * amplitude, n=n_samples)
    return noise


def add_at_snr(x: Tensor, noise: Tensor, snr_db: Tensor) -> Tensor:
    """Sums, (batch, time), in which signal and noise have exactly the ratio asked for.

    Where either is silent, the signal comes back as it is.

    Parameters
    ----------
    x, noise : Tensor, shape (batch, time)
    snr_db : Tensor, shape (batch,)

    Returns
    -------
    Tensor, same shape

    Examples
    --------
    >>> x = torch.ones(1, 4)
    >>> add_at_snr(x, -x, torch.tensor([20.0]))
    tensor([[0.9000, 0.9000, 0.9000, 0.9000]])
    """
    signal = x.square().mean(1)
    level = noise.square().mean(1)
    ratio = signal / level.clamp(min=1e-20) * 10 ** (snr_db / -10)
    scale = torch.where(level > 0, ratio, torch.zeros_like(ratio)).sqrt()
    return torch.addcmul(x, noise, scale[:, None])


class AddAtSnr(nn.Module):
    """Adds energies so that signal and noise have a given ratio of powers.

    Powers are means over the whole clip, padding included, of all frequencies that the bands
    reach, which is what the samples' mean squares would give. The phases of two sounds that
    have nothing to do with each other cancel on average, so energies add.
    """

    widths: Tensor

    def __init__(self, levels: PowerScale) -> None:
        super().__init__()
        self.levels = levels
        self.register_buffer("widths", band_widths(levels.mel), persistent=False)

    def forward(self, x: Tensor, noise: Tensor, snr_db: Tensor, noise_power: Tensor) -> Tensor:
        """Levels of the sum.

        Parameters
        ----------
        x : Tensor, shape (batch, 1, mel, frame)
            Levels in dB.
        noise : Tensor, same shape
            Energies, on any scale.
        snr_db : Tensor, shape (batch,)
        noise_power : Tensor, shape (batch,)
            Mean power of the noise; nothing is added where it is 0.

        Returns
        -------
        Tensor, same shape
            Clips of silence stay silent: they have no signal to be held against.
        """
        energy = self.levels.power(x)
        ratio = self.mean_power(energy) / noise_power.clamp(min=1e-30) * 10 ** (snr_db / -10)
        possible = ~silent_rows(x) & (noise_power > 0)
        factor = torch.where(possible, ratio, torch.zeros_like(ratio))
        return self.levels.from_power(energy.addcmul_(noise, factor[:, None, None, None]))

    def mean_power(self, energy: Tensor) -> Tensor:
        """Mean power of each clip, shape (batch,), of energies (batch, 1, mel, frame)."""
        return frame_power(energy, self.widths).mean(1)


BANK_DURATION = 30.0
"""Seconds of noise kept, more for long clips."""


class _Noise(Augmentation):
    """Add noise of a colour at a true signal-to-noise ratio.

    Beneath levels the noise is real: half a minute of samples went through the front end's own
    filter bank once, and each clip gets another part of it. So its mean spectrum, its fluctuation
    (the chi-square distribution of each band, wide in low bands and narrow in high ones) and the
    likeness of neighbouring frames are those of noise in a recording, at the price of a copy.

    Where seed studies asked for 10 to 17 dB and got 3 to 7 (the ratio was converted twice), here
    the ratio of what is added to the clip that it is added to is exact.
    """

    kinds = (LOG_MEL, WAVE)
    colour = "white"
    bank: Tensor
    bank_power: Tensor

    def __init__(
        self, mel: MelOptions, min_snr_db: float, max_snr_db: float, probability: float = 1.0
    ) -> None:
        super().__init__(mel, probability)
        name = f"{type(self).__name__}, options 'min_snr_db', 'max_snr_db'"
        self.min_snr_db, self.max_snr_db = check_range(min_snr_db, max_snr_db, name, "dB")
        if self.is_wave:
            return
        self.add = AddAtSnr(self.levels)
        bank = noise_energies(mel, self.colour)
        self.register_buffer("bank", bank, persistent=False)  # (mel, frame)
        with full_precision(bank):
            power = frame_power(bank[None, None], self.add.widths)[0]
        self.register_buffer("bank_power", power, persistent=False)  # (frame,)

    def draw(self, x: Tensor) -> Drawn:
        """``snr_db``; of waveforms ``noise``, else ``start``: where in the bank, as a share."""
        if self.is_wave:
            shape, rate = (len(x), x.shape[1]), self.mel.sample_rate
            noise = coloured_noise(*shape, rate, self.colour, device=x.device)
            return {"snr_db": uniform(x, self.min_snr_db, self.max_snr_db), "noise": noise}
        return {
            "snr_db": uniform(x, self.min_snr_db, self.max_snr_db),
            "start": uniform(x, 0.0, 1.0),
        }

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The noisy clips."""
        n_kept = self.bank.shape[1]
        frame = torch.arange(x.shape[3], device=x.device)
        start = (drawn["start"] * n_kept).long()
        index = (start[:, None] + frame).remainder(n_kept)  # (batch, frame)
        noise = self.bank[:, index].transpose(0, 1)[:, None]  # (batch, 1, mel, frame)
        noisy: Tensor = self.add(x, noise, drawn["snr_db"], self.bank_power[index].mean(1))
        return noisy

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The noisy clips."""
        return add_at_snr(x, drawn["noise"], drawn["snr_db"])


class WhiteNoise(_Noise):
    """Add white noise, of equal power in every hertz, at a random ratio.

    Parameters
    ----------
    mel : MelOptions
    min_snr_db, max_snr_db : float
        Range of the signal-to-noise ratio over the whole clip, in dB. Clips of silence stay
        as they are.
    probability : float
        Share of rows that are changed.
    """

    colour = "white"


class PinkNoise(_Noise):
    """Add pink noise, of equal power in every octave, at a random ratio.

    Parameters
    ----------
    mel, min_snr_db, max_snr_db, probability
        As for :class:`WhiteNoise`.
    """

    colour = "pink"


def noise_energies(mel: MelOptions, colour: str) -> Tensor:
    """Energies (mel, frame) of noise of mean square one; the same at each call.

    Parameters
    ----------
    mel : MelOptions
    colour : {"white", "pink"}

    Returns
    -------
    Tensor, shape (mel, frame)
    """
    duration = max(BANK_DURATION, 4 * mel.duration)
    neutral = dataclasses.replace(
        mel, duration=duration, reference="one", top_db=None, peak_normalize=False, deltas=False
    )
    generator = torch_generator(0, "noise bank", colour)
    wave = coloured_noise(1, neutral.n_samples, mel.sample_rate, colour, generator=generator)
    level: Tensor = LogMel(neutral)(wave)
    return torch.exp(level[0, 0] * (torch.tensor(10.0).log() / 10))


class Background(Augmentation):
    """Add another clip beneath each clip, as in real places.

    Paper: Salamon and Bello 2017, "Deep convolutional neural networks and data augmentation for
    environmental sound classification", who mixed in recordings of streets.

    Where we differ: the background is another clip of the batch, or of a bank that is given, at
    a ratio in dB over the clip; it starts at a random place and goes round. The label stays, so
    ratios much below 10 dB teach wrong things when the background has classes of its own; for
    equal shares see ``Mixup`` and ``BetweenClass``.

    Parameters
    ----------
    mel : MelOptions
    min_snr_db, max_snr_db : float
        Range of the ratio of the clip's power to the background's, in dB. Where either is
        silent, the clip stays as it is.
    bank : Tensor, shape (n, channel, mel, frame) or (n, time), optional
        Features of background sounds, of any length; by default the other clips of the batch.
        A batch of one clip then stays as it is.
    probability : float
        Share of rows that are changed.
    """

    kinds = (LOG_MEL, WAVE)
    bank: Tensor | None

    def __init__(
        self,
        mel: MelOptions,
        min_snr_db: float,
        max_snr_db: float,
        bank: Tensor | None = None,
        probability: float = 1.0,
    ) -> None:
        super().__init__(mel, probability)
        name = "Background, options 'min_snr_db', 'max_snr_db'"
        self.min_snr_db, self.max_snr_db = check_range(min_snr_db, max_snr_db, name, "dB")
        if bank is not None:
            self.check(bank)
            if not len(bank):
                raise DataError("Background: found a bank without clips, expected at least one")
            bank = bank.flatten(1).float() if self.is_wave else bank[:, :1].float()
        self.register_buffer("bank", bank, persistent=False)
        if not self.is_wave:
            self.add = AddAtSnr(self.levels)

    def draw(self, x: Tensor) -> Drawn:
        """``snr_db``; ``other``: which clip; ``start``: where in it, as a share of it."""
        if self.bank is None:
            step = random_integers(x, 1, max(1, len(x) - 1))
            other = (torch.arange(len(x), device=x.device) + step).remainder(len(x))
        else:
            other = random_integers(x, 0, len(self.bank) - 1)
        return {
            "snr_db": uniform(x, self.min_snr_db, self.max_snr_db),
            "other": other,
            "start": uniform(x, 0.0, 1.0),
        }

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips above their backgrounds."""
        if self.bank is None and len(x) == 1:
            return x
        source, index = self._place(x, drawn)
        row = drawn["other"][:, None]
        level = source[row, 0, :, index].transpose(1, 2)[:, None]  # (batch, 1, mel, frame)
        energy = self.levels.power(level)
        power = self.add.mean_power(energy).masked_fill(silent_rows(level), 0.0)
        mixed: Tensor = self.add(x, energy, drawn["snr_db"], power)
        return mixed

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips above their backgrounds."""
        if self.bank is None and len(x) == 1:
            return x
        source, index = self._place(x, drawn)
        return add_at_snr(x, source[drawn["other"][:, None], index], drawn["snr_db"])

    def _place(self, x: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        """The clips to choose from, and which frames or samples of one, (batch, n)."""
        source = x if self.bank is None else self.bank
        n_kept = source.shape[-1]
        start = (drawn["start"] * n_kept).long()[:, None]
        return source, (start + torch.arange(x.shape[-1], device=x.device)).remainder(n_kept)
