"""Kinds of sounds by the hundred: what the encoder of the package learned from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semisonic.data.options import SynthOptions
from semisonic.data.synth.kinds import FAMILIES, NAMED, Kind, list_kinds, render_kind
from semisonic.features.logmel import LogMel
from semisonic.features.options import MelOptions

OPTIONS = SynthOptions(duration=2.0, sample_rate=16000, seed=7)
MEL = MelOptions(sample_rate=16000, duration=2.0)


def test_each_named_sound_has_its_versions_and_drawn_ones_follow() -> None:
    kinds = list_kinds(2, 3)
    assert len(set(kinds)) == len(kinds) == 2 * len(NAMED) + 3
    assert {kind.family for kind in kinds} == set(FAMILIES)


@pytest.mark.parametrize("kind", [*list_kinds(1, 0)[::5], *(Kind("drawn", i) for i in range(12))])
def test_a_clip_is_a_sound_and_always_the_same(kind: Kind) -> None:
    first, again, other = (render_kind(OPTIONS, kind, clip) for clip in (0, 0, 1))
    assert first.shape == (32000,)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert 1e-3 < np.abs(first).max() <= 0.9701
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_clips_of_a_kind_sound_more_alike_than_those_of_others() -> None:
    kinds = [Kind("drawn", i) for i in range(10)]
    waves = np.stack([render_kind(OPTIONS, kind, clip) for kind in kinds for clip in range(4)])
    x = LogMel(MEL)(torch.from_numpy(waves)).mean(dim=3)[:, 0].numpy()  # (clip, mel)
    x = x - x.mean(axis=1, keepdims=True)  # the level says nothing
    distance = np.linalg.norm(x[:, None] - x[None], axis=2)
    own = np.repeat(np.arange(10), 4)
    same = own[:, None] == own[None]
    np.fill_diagonal(distance, np.nan)
    assert np.nanmean(distance[same]) < 0.8 * np.nanmean(distance[~same])
