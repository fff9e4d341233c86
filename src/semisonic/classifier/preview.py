"""``data preview``: every augmentation of a real clip, to look at and to listen to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from semisonic.audio.read import read
from semisonic.audio.resample import fit_length
from semisonic.audio.write import write
from semisonic.classifier.run_files import stamp
from semisonic.classifier.use_options import PreviewOptions
from semisonic.core.errors import AudioError, DataError, OptionError
from semisonic.core.files import write_json
from semisonic.core.options import check
from semisonic.core.progress import track
from semisonic.core.seeds import derive, generator
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.outputs import check_folder
from semisonic.evaluation.plots.sounds import side_by_side
from semisonic.evaluation.report.blocks import Player
from semisonic.evaluation.report.page import Page
from semisonic.features.augment.base import Augmentation, WaveAugmentation, band_widths
from semisonic.features.augment.chain import Chain, augmenter
from semisonic.features.augment.class_wise import ClassWise, piczak_limits
from semisonic.features.augment.frequency import (
    BandMask,
    PitchShift,
    ResizedCrop,
    TimeMask,
    WavePitchShift,
)
from semisonic.features.augment.mixing import BetweenClass, Mixup, PairMixing
from semisonic.features.augment.noise import (
    Background,
    BandGain,
    Gain,
    PinkNoise,
    WaveBackground,
    WaveGain,
    WavePinkNoise,
    WaveWhiteNoise,
    WhiteNoise,
)
from semisonic.features.augment.time import (
    TimeCrop,
    TimeShift,
    TimeStretch,
    WaveSpeed,
    WaveTimeShift,
    WaveTimeStretch,
)
from semisonic.features.filterbank import band_edges_hz
from semisonic.features.inversion import mel_to_wave
from semisonic.features.logmel import LogMel, hann
from semisonic.features.options import AugmentOptions, MelOptions, adapted_to, preset

# Random numbers of an augmentation in words.


Say = Callable[[float], str]


def in_words(drawn: dict[str, Tensor], seconds_per_step: float) -> str:
    """What was drawn for the first row.

    Parameters
    ----------
    drawn : mapping of str to Tensor
        As ``draw`` of an augmentation gives them.
    seconds_per_step : float
        Of a frame, or of a sample.
    """
    said: dict[str, Say] = {
        "shift": lambda v: f"{v * seconds_per_step:+.2f} s",
        "factor": lambda v: f"{v:.2f} times as fast",
        "semitones": lambda v: f"{v:+.1f} semitones",
        "gain_db": lambda v: f"{v:+.1f} dB",
        "snr_db": lambda v: f"{v:.1f} dB above it",
        "cut": lambda v: f"{v * seconds_per_step:.1f} s",
        "cut_bands": lambda v: f"{v:.1f} bands cut away",
    }
    parts = [say(float(drawn[name].flatten()[0])) for name, say in said.items() if name in drawn]
    if (points := drawn.get("point_db")) is not None:
        parts.append(", ".join(f"{v:+.0f}" for v in points[0].tolist()) + " dB, low to high")
    return ", ".join(parts).replace("-", "−")


# What changed features sound like.
#
# Where cell stays cell (gains, masks), the change is a gain in dB for each cell, and the sound's
# own spectrum is multiplied by it. A shift is done to the samples. For all else the sound is
# found again from the bands; where time and pitch stay, with the phases of the clip to begin
# with.


THROUGH_SPECTRUM = "the change was made to the sound's own spectrum"
BY_SHIFT = "the same shift of the samples"
BY_CUT = "the same part of the samples"
BY_INVERSION = "found again from the mel bands (Griffin-Lim), which roughens any sound a little"


def through_spectrum(wave: Tensor, before: Tensor, after: Tensor, mel: MelOptions) -> Tensor:
    """A wave (time,) changed as its levels were, both (mel, frame), cell by cell."""
    triangles = LogMel(mel).filters * band_widths(mel)[:, None]  # (mel, bin)
    share = triangles / triangles.sum(0).clamp(min=1e-9)
    gain = share.T @ (after - before)  # dB, (bin, frame)
    touched = (triangles.sum(0) > 1e-9).nonzero().flatten()
    low, high = int(touched[0]), int(touched[-1])
    gain[:low], gain[high + 1 :] = gain[low], gain[high]
    window = hann(mel.n_fft).float()
    before_first = 0 if mel.center else mel.window // 2
    shifted = functional.pad(wave, (0, mel.n_fft))[before_first:]
    # Windows that hardly overlap cannot be put together again: the sound gets frames between.
    hop = mel.hop_length if mel.hop_length <= mel.n_fft // 2 else max(1, mel.n_fft // 4)
    spectrum = torch.stft(
        shifted, mel.n_fft, hop, window=window, pad_mode="constant", return_complex=True
    )
    nearest = (torch.arange(spectrum.shape[1]) * (hop / mel.hop_length)).round().long()
    changed = spectrum * 10 ** (gain[:, nearest.clamp(max=gain.shape[1] - 1)] / 20)
    found = torch.istft(changed, mel.n_fft, hop, window=window, length=len(shifted))
    return functional.pad(found, (before_first, 0))[: len(wave)]


def by_inversion(
    level: Tensor, like: Tensor, mel: MelOptions, *, same_phases: bool = False
) -> Tensor:
    """A wave (time,) that has these levels (mel, frame).

    It gets the peak of the wave it came from where the front end keeps no level.
    """
    wave = mel_to_wave(level, mel, start=like if same_phases else None)
    wave = functional.pad(wave, (0, max(0, len(like) - len(wave))))
    if mel.reference == "max" or mel.peak_normalize:
        wave = wave * (like.abs().amax() / wave.abs().amax().clamp(min=1e-9))
    return wave


# What a preview is made of.


DRAWS = 2
"""Times each augmentation is drawn."""

Wave = NDArray[np.float32]


@dataclass(frozen=True)
class Draw:
    """One random change.

    Attributes
    ----------
    level : ndarray, shape (mel, frame)
        The changed features in dB.
    wave : ndarray, shape (time,)
        What they sound like.
    drawn : str
        The random numbers in words.
    """

    level: NDArray[np.float32]
    wave: Wave
    drawn: str


@dataclass(frozen=True)
class Example:
    """An augmentation and what it made of the clip.

    Attributes
    ----------
    name : str
        For files: letters and hyphens.
    title, text : str
        What it is and what it does.
    how : str
        How the sound was made.
    draws : tuple of Draw
    """

    name: str
    title: str
    text: str
    how: str
    draws: tuple[Draw, ...]


@dataclass(frozen=True)
class PreviewClip:
    """The clip that is shown, and others to mix it with.

    Attributes
    ----------
    wave : Tensor, shape (1, time)
        Samples at the rate of ``mel``, padded to its duration.
    others : Tensor, shape (n, time)
        Other clips of the set; none when there is one only.
    label : str
        Empty without one.
    other_labels : tuple of str
    name : str
    file : Path
    mel : MelOptions
        Without deltas, which no one can see or hear.
    """

    wave: Tensor
    others: Tensor
    label: str
    other_labels: tuple[str, ...]
    name: str
    file: Path
    mel: MelOptions

    @property
    def level(self) -> Tensor:
        """Features in dB, shape (1, 1, mel, frame)."""
        return self.features(self.wave)

    def features(self, wave: Tensor) -> Tensor:
        """Features in dB, (n, 1, mel, frame), of samples (n, time)."""
        result: Tensor = LogMel(self.mel)(wave)
        return result

    def draw(self, level: Tensor, wave: Tensor, drawn: str) -> Draw:
        """A change to be shown, from features (1, 1, mel, frame) and samples (time,)."""
        return Draw(as_array(level[0, 0]), as_array(wave), drawn)


def as_array(x: Tensor) -> NDArray[np.float32]:
    """A tensor as an array of its own."""
    return x.detach().to(torch.float32).cpu().numpy().copy()


# Which clip is shown.


N_OTHERS = 4
_TRIES = 20


def choose(options: PreviewOptions) -> PreviewClip:
    """Read the clip that the options name, or one drawn, and some others of the set.

    Raises
    ------
    DataError
        When no clip can be read or all are silent.
    OptionError
        When the set has no clip of that number.
    """
    clips = load_clips(options.data)
    mel = dataclasses.replace(options.mel, deltas=False)
    order = generator(options.seed, "preview", "clip").permutation(len(clips))
    if options.clip is not None:
        if options.clip >= len(clips):
            raise OptionError(
                f"option 'clip': found {options.clip}, '{clips.name}' has rows 0 to "
                f"{len(clips) - 1}"
            )
        row, wave = options.clip, _heard(clips, options.clip, mel, options.start)
    else:
        row, wave = _first_heard(clips, order, mel, options.start)
    others, labels = _others(clips, order, row, mel)
    return PreviewClip(
        wave=torch.from_numpy(wave)[None],
        others=torch.from_numpy(np.stack(others) if others else np.zeros((0, len(wave)), "f4")),
        label=_label(clips, row),
        other_labels=tuple(labels),
        name=str(clips.ids[row]),
        file=clips.paths[row],
        mel=mel,
    )


def _first_heard(
    clips: Clips, order: np.ndarray, mel: MelOptions, start: float
) -> tuple[int, Wave]:
    reasons = []
    for row in order[:_TRIES].tolist():
        try:
            return row, _heard(clips, row, mel, start)
        except (AudioError, DataError) as error:
            reasons.append(str(error))
    raise DataError(f"no clip to show: {'; '.join(reasons[:3])}")


def _others(
    clips: Clips, order: np.ndarray, row: int, mel: MelOptions
) -> tuple[list[Wave], list[str]]:
    """Clips of other recordings, and of other classes where there are some."""
    apart = [i for i in order.tolist() if clips.group[i] != clips.group[row]]
    apart.sort(key=lambda i: clips.labels[i] == clips.labels[row])
    waves: list[Wave] = []
    labels: list[str] = []
    for i in apart[:_TRIES]:
        try:
            waves.append(_heard(clips, i, mel, 0.0))
        except (AudioError, DataError):
            continue
        labels.append(_label(clips, i))
        if len(waves) == N_OTHERS:
            break
    return waves, labels


def _heard(clips: Clips, row: int, mel: MelOptions, start: float) -> Wave:
    """Samples of a clip, cut or padded to the front end's duration."""
    begin = float(clips.start_time[row]) + start
    end = float(clips.end_time[row])
    wave, _ = read(
        clips.paths[row],
        sample_rate=mel.sample_rate,
        start_time=begin,
        end_time=None if np.isnan(end) else end,
    )
    wave = fit_length(wave, mel.n_samples)
    if float(np.abs(wave).max()) < 1e-4:
        raise DataError(
            f"{clips.paths[row]}: silent from {begin:g} to {begin + mel.duration:g} s; give "
            "another --start or --clip"
        )
    return wave


def _label(clips: Clips, row: int) -> str:
    return ", ".join(clips.labels[row])


# Augmentations of spectrograms, each drawn and made audible.


_TEXTS: dict[type, tuple[str, str]] = {
    TimeShift: ("Time shift", "The clip begins somewhere else; what leaves comes in again."),
    TimeStretch: (
        "Stretch",
        "Faster or slower at the same pitch. What a faster clip leaves free is "
        "filled by going round, or by silence where the clip is padded with it.",
    ),
    PitchShift: ("Pitch shift", "Higher or lower at the same speed, along the mel axis."),
    ResizedCrop: ("Resized crop", "A window in time and frequency, stretched over the whole."),
    BandGain: ("Band gain", "Another microphone or room: a smooth gain over frequency."),
    Gain: ("Gain", "Nearer or farther."),
    Background: ("Background", "Another clip of the set beneath this one."),
    WhiteNoise: ("White noise", "Hiss, equal in every hertz, at a true ratio over the clip."),
    PinkNoise: ("Pink noise", "Rush, equal in every octave, at a true ratio over the clip."),
    TimeMask: ("Time masks", "Stretches of time hold the clip's mean level."),
    BandMask: ("Band masks", "Ranges of bands hold the clip's mean level."),
    TimeCrop: ("Time crop", "A part of the clip that holds sound, for training on shorter parts."),
}
_CELL_BY_CELL = (Gain, BandGain, TimeMask, BandMask)
_PHASES_STAY = (WhiteNoise, PinkNoise, Background)
_CROP = 0.4  # of the clip


def spectrogram_examples(
    clip: PreviewClip, options: AugmentOptions, seed: int
) -> Iterator[Example]:
    """Each augmentation that the options turn on, and a crop, alone."""
    chain = augmenter(options, clip.mel)
    steps = [cast(Augmentation, step) for step in chain.steps] if isinstance(chain, Chain) else []
    shortest = clip.mel.min_samples / clip.mel.sample_rate
    crop = TimeCrop(clip.mel, max(_CROP * clip.mel.duration, shortest))
    for step in (*steps, crop):
        if isinstance(step, Background):
            if not len(clip.others):
                continue
            step.bank = clip.features(clip.others)
        title, text = _TEXTS[type(step)]
        name = title.lower().replace(" ", "-")
        draws = []
        for k in range(DRAWS):
            torch.manual_seed(derive(seed, "preview", name, k))
            draws.append(clip.draw(*_changed(clip.mel, step, clip.level, clip.wave[0])))
        yield Example(name, title, text, _how(step), tuple(draws))


def named_set(clip: PreviewClip, name: str, seed: int) -> Example:
    """One of the named sets as a whole: its steps one after another."""
    chain = augmenter(preset(name, clip.mel), clip.mel)
    steps = [cast(Augmentation, step) for step in cast(Chain, chain).steps]
    draws = []
    for k in range(DRAWS):
        torch.manual_seed(derive(seed, "preview", name, k))
        level, wave = clip.level, clip.wave[0]
        for step in steps:
            level, wave, _ = _changed(clip.mel, step, level, wave)
        draws.append(clip.draw(level, wave, f"draw {k + 1}"))
    text = f"What training with the set '{name}' does to a clip, all at once."
    ways = dict.fromkeys(_how(step) for step in steps)
    return Example(f"set-{name}", name.capitalize(), text, "; ".join(ways), tuple(draws))


def _changed(
    mel: MelOptions, step: Augmentation, level: Tensor, wave: Tensor
) -> tuple[Tensor, Tensor, str]:
    """Levels (1, 1, mel, frame), samples (time,) and the numbers drawn, after one step."""
    drawn = step.draw(level)
    after = step.change(level, drawn)
    words = in_words(drawn, mel.hop_length / mel.sample_rate)
    if isinstance(step, TimeShift):
        return after, wave.roll(int(drawn["shift"]) * mel.hop_length), words
    if isinstance(step, TimeCrop):
        first = int(drawn["start"]) * mel.hop_length
        part = wave[first : first + round(step.duration * mel.sample_rate)]
        return after, part, f"from {first / mel.sample_rate:.2f} s"
    if isinstance(step, _CELL_BY_CELL):
        return after, through_spectrum(wave, level[0, 0], after[0, 0], mel), words
    kept = isinstance(step, _PHASES_STAY)
    return after, by_inversion(after[0, 0], wave, mel, same_phases=kept), words


def _how(step: Augmentation) -> str:
    if isinstance(step, TimeShift):
        return BY_SHIFT
    if isinstance(step, TimeCrop):
        return BY_CUT
    return THROUGH_SPECTRUM if isinstance(step, _CELL_BY_CELL) else BY_INVERSION


# Augmentations of samples, each drawn; their sound is what they make.


_ITSELF = "the changed samples themselves"
_DIRECT = Callable[[Tensor], tuple[Tensor, str]]


def wave_examples(clip: PreviewClip, options: AugmentOptions, seed: int) -> Iterator[Example]:
    """Each augmentation of samples, at the strengths of the options."""
    for name, title, text, module in _modules(clip, options):
        yield _example(clip, f"wave-{name}", title, text, _direct(clip, module), seed)
    limits = piczak_limits([clip.label])
    if limits:
        bend = ClassWise(clip.mel.sample_rate, [clip.label], limits)
        number = torch.tensor([0])
        found = limits[clip.label]
        text = (
            f"Piczak's limits for '{clip.label}': {found.min_semitones:+g} to "
            f"{found.max_semitones:+g} semitones, {found.min_factor:g} to {found.max_factor:g} "
            f"times as fast, up to {found.max_delay:g} s of silence in front."
        )
        yield _example(
            clip,
            "wave-class-wise",
            "Limits by class",
            text,
            lambda x: (bend(x, number), ""),
            seed,
        )


def _example(
    clip: PreviewClip, name: str, title: str, text: str, change: _DIRECT, seed: int
) -> Example:
    draws = []
    for k in range(DRAWS):
        torch.manual_seed(derive(seed, "preview", name, k))
        changed, words = change(clip.wave)
        draws.append(clip.draw(clip.features(changed), changed[0], words))
    return Example(name, title, text, _ITSELF, tuple(draws))


def _direct(clip: PreviewClip, module: WaveAugmentation) -> _DIRECT:
    def change(x: Tensor) -> tuple[Tensor, str]:
        drawn = module.draw(x)
        return module.change(x, drawn), in_words(drawn, 1 / clip.mel.sample_rate)

    return change


def _modules(
    clip: PreviewClip, o: AugmentOptions
) -> Iterator[tuple[str, str, str, WaveAugmentation]]:
    rate = clip.mel.sample_rate
    stretched = (o.stretch_min, o.stretch_max) != (1.0, 1.0)
    snr = o.snr_min_db, o.snr_max_db
    if o.time_shift:
        yield "shift", "Time shift", "Samples round the end.", WaveTimeShift(rate, o.time_shift)
    if stretched:
        yield (
            "speed",
            "Speed",
            "Like a tape: pitch and tempo go together.",
            WaveSpeed(rate, o.stretch_min, o.stretch_max),
        )
        yield (
            "stretch",
            "Stretch",
            "Phase vocoder: tempo alone.",
            WaveTimeStretch(rate, o.stretch_min, o.stretch_max),
        )
    if o.pitch:
        yield (
            "pitch",
            "Pitch shift",
            "Phase vocoder and another speed: pitch alone.",
            WavePitchShift(rate, o.pitch),
        )
    if o.gain_db:
        yield "gain", "Gain", "Nearer or farther.", WaveGain(rate, o.gain_db)
    if o.background and len(clip.others):
        yield (
            "background",
            "Background",
            "Another clip of the set beneath this one.",
            WaveBackground(rate, *snr, clip.others),
        )
    if o.white_noise:
        yield "white-noise", "White noise", "Hiss.", WaveWhiteNoise(rate, *snr)
    if o.pink_noise:
        yield "pink-noise", "Pink noise", "Rush.", WavePinkNoise(rate, *snr)


# Mixtures of the clip with another one.


SHARES = (0.75, 0.5)
"""How much of a mixture is the clip itself; in training it is drawn."""


def pair_examples(clip: PreviewClip, seed: int) -> Iterator[Example]:
    """Each way to mix two clips; none without another clip."""
    if not len(clip.others):
        return
    ways: dict[str, tuple[str, PairMixing]] = {
        "Mixup": (
            "Decibels of two clips are blended, and their labels.",
            Mixup(clip.mel, 1.0),
        ),
        "Mixup of energies": (
            "Energies are blended instead, and the louder clip covers the other.",
            Mixup(clip.mel, 1.0, "power"),
        ),
        "Between-class mixing": (
            "Two sounds are added so that each has its share of what is heard.",
            BetweenClass(clip.mel),
        ),
    }
    level, others = clip.level, clip.features(clip.others)
    for title, (text, module) in ways.items():
        draws = []
        name = title.lower().replace(" ", "-")
        for k, share in enumerate(SHARES):
            torch.manual_seed(derive(seed, "preview", name, k))
            row = int(torch.randint(len(others), ()))
            mixed = module.mix(level, others[row : row + 1], torch.tensor([share]))
            wave = by_inversion(mixed[0, 0], clip.wave[0], clip.mel)
            own = clip.label or "this clip"
            other = clip.other_labels[row] or "another clip"
            words = f"{100 * share:.0f} % {own}, the rest {other}"
            draws.append(clip.draw(mixed, wave, words))
        yield Example(name, title, text, BY_INVERSION, tuple(draws))


# The page of ``data preview``.


_INTRODUCTIONS = {
    "Spectrograms": "Changes of the features, made anew for each clip of each batch in training. "
    "Each was drawn twice.",
    "Named sets": "What one step of training sees.",
    "Pairs": "Two clips become one, and so do their labels. In training the shares are drawn.",
    "Samples": "The same done to the sound itself, before the features. Slower, and truer.",
}


def write_page(
    folder: Path, clip: PreviewClip, parts: Mapping[str, Sequence[Example]], remarks: Sequence[str]
) -> Path:
    """Write ``report.html`` with its figures into a folder."""
    mel = clip.mel
    page = Page(
        f"Augmentations of '{clip.name}'",
        f"{clip.label or 'without a label'}; {mel.duration:g} s at {mel.sample_rate} Hz, "
        f"{mel.n_mels} mel bands of {mel.n_frames} frames",
    )
    page.verdict("Would you still give it the same label?", "If not, it is too strong for you.")
    page.players([Player(as_array(clip.wave[0]), mel.sample_rate, "original", clip.label)])
    for remark in remarks:
        page.warning(f"{remark[:1].upper()}{remark[1:]}.")
    for title, examples in parts.items():
        if not examples:
            continue
        page.section(title)
        page.text(_INTRODUCTIONS[title])
        for example in examples:
            _show(page, clip, example)
    return page.write(folder)


def _show(page: Page, clip: PreviewClip, example: Example) -> None:
    mel = clip.mel
    page.heading(example.title)
    panels = {"original": as_array(clip.level[0, 0])}
    for k, draw in enumerate(example.draws, 1):
        name = draw.drawn or f"draw {k}"
        panels[f"{name}, again" if name in panels else name] = draw.level
    page.figure(
        side_by_side(panels, mel.hop_length / mel.sample_rate, band_edges_hz(mel)[1:-1]),
        f"{example.text} Sound: {example.how}.",
        name=example.name,
    )
    waves = [as_array(clip.wave[0]), *(draw.wave for draw in example.draws)]
    page.players(
        Player(wave, mel.sample_rate, name) for name, wave in zip(panels, waves, strict=True)
    )


# ``data preview``: look at every augmentation of a real clip, and listen to it.


ABOUT = "preview.json"
SETS = ("weak", "strong")


@dataclass(frozen=True)
class PreviewResult:
    """What ``preview`` wrote.

    Attributes
    ----------
    clip : str
        The clip that was shown.
    page : Path
        The HTML page; pictures are in ``figures`` beside it.
    sounds : tuple of Path
        One WAV file a draw, and the original.
    remarks : tuple of str
        What could not be shown, and why.
    """

    clip: str
    page: Path
    sounds: tuple[Path, ...]
    remarks: tuple[str, ...] = ()

    def summary(self) -> str:
        """For a terminal."""
        lines = [
            f"clip: {self.clip}",
            f"{len(self.sounds)} sounds in {self.sounds[0].parent}",
            f"page: {self.page}",
        ]
        return "\n".join([*lines, *self.remarks])


def preview(options: PreviewOptions) -> PreviewResult:
    """Draw each augmentation on a clip, and write page, pictures and sounds.

    Raises
    ------
    DataError
        When there is no clip to show.
    OptionError
        When an augmentation cannot work with the front end, or the folder holds something else.
    """
    check(options)
    check_folder(options.output, "a preview", {ABOUT})
    clip = choose(options)
    augment, remark = fitted(options.augment, clip.mel)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        makers = {
            "Spectrograms": spectrogram_examples(clip, augment, options.seed),
            "Named sets": (named_set(clip, name, options.seed) for name in SETS),
            "Pairs": pair_examples(clip, options.seed),
            "Samples": wave_examples(clip, augment, options.seed),
        }
        found = {name: list(track(make, name.lower(), "example")) for name, make in makers.items()}
    write_json(options.output / ABOUT, stamp("data preview", options))
    sounds = _write_sounds(options.output, clip, [e for part in found.values() for e in part])
    remarks = [remark] * bool(remark)
    if not len(clip.others):
        remarks.append("mixing and backgrounds need another clip: name a folder or a table")
    page = write_page(options.output, clip, found, remarks)
    return PreviewResult(clip.name, page, sounds, tuple(remarks))


def fitted(options: AugmentOptions, mel: MelOptions) -> tuple[AugmentOptions, str]:
    """The options as far as they suit a front end, and what had to be changed."""
    result = adapted_to(options, mel)
    changed = [
        f"{field.name} {getattr(result, field.name):g}"
        for field in dataclasses.fields(options)
        if getattr(result, field.name) != getattr(options, field.name)
    ]
    return result, f"changed to fit the front end: {', '.join(changed)}" if changed else ""


def _write_sounds(folder: Path, clip: PreviewClip, examples: list[Example]) -> tuple[Path, ...]:
    waves = {"original": as_array(clip.wave[0])}
    for example in examples:
        for k, draw in enumerate(example.draws, 1):
            waves[f"{example.name}-{k}"] = draw.wave
    written = []
    for name, wave in waves.items():
        path = folder / "sounds" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, wave, clip.mel.sample_rate, overload="scale")
        written.append(path)
    return tuple(written)
