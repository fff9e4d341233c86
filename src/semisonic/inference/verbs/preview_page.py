"""The page of ``data preview``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from semisonic.evaluation.plots import side_by_side
from semisonic.evaluation.report.blocks import Player
from semisonic.evaluation.report.page import Page
from semisonic.features.filterbank import band_edges_hz
from semisonic.inference.previewing.example import Clip, Example, as_array

_INTRODUCTIONS = {
    "Spectrograms": "Changes of the features, made anew for each clip of each batch in training. "
    "Each was drawn twice.",
    "Named sets": "What one step of training sees.",
    "Pairs": "Two clips become one, and so do their labels. In training the shares are drawn.",
    "Samples": "The same done to the sound itself, before the features. Slower, and truer.",
}


def write_page(
    folder: Path, clip: Clip, parts: Mapping[str, Sequence[Example]], remarks: Sequence[str]
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


def _show(page: Page, clip: Clip, example: Example) -> None:
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
