"""``data preview``: look at every augmentation of a real clip, and listen to it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from semisonic import audio
from semisonic.base.files import write_json
from semisonic.base.options import check
from semisonic.base.progress import track
from semisonic.data.outputs import check_folder
from semisonic.features import MelOptions
from semisonic.features.augment import AugmentOptions, suited
from semisonic.inference.previewing.choosing import choose
from semisonic.inference.previewing.example import Clip, Example, as_array
from semisonic.inference.previewing.options import PreviewOptions
from semisonic.inference.previewing.pairs import pair_examples
from semisonic.inference.previewing.spectrogram import named_set, spectrogram_examples
from semisonic.inference.previewing.waves import wave_examples
from semisonic.inference.verbs.preview_page import write_page
from semisonic.inference.verbs.runs import stamp

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
    result = suited(options, mel)
    changed = [
        f"{field.name} {getattr(result, field.name):g}"
        for field in dataclasses.fields(options)
        if getattr(result, field.name) != getattr(options, field.name)
    ]
    return result, f"changed to fit the front end: {', '.join(changed)}" if changed else ""


def _write_sounds(folder: Path, clip: Clip, examples: list[Example]) -> tuple[Path, ...]:
    waves = {"original": as_array(clip.wave[0])}
    for example in examples:
        for k, draw in enumerate(example.draws, 1):
            waves[f"{example.name}-{k}"] = draw.wave
    written = []
    for name, wave in waves.items():
        path = folder / "sounds" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, wave, clip.mel.sample_rate, overload="scale")
        written.append(path)
    return tuple(written)
