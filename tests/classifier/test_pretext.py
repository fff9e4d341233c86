"""Pre-training by each of the objectives."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_sounds import KINDS, MEL, NOTATION, PLAIN, QUICK_PRETRAIN, sound
from training_rows import pretrain_rows

from semisonic.classifier import pretraining
from semisonic.classifier.config import OBJECTIVES, WITHOUT_DECODER, PretextOptions, TrainConfig
from semisonic.classifier.prepare import prepare_waves
from semisonic.classifier.pretraining import PretrainOutcome, build_view
from semisonic.core.errors import ModelError, OptionError
from semisonic.data.clips import Clips
from semisonic.features.options import MelOptions
from semisonic.models.pretrained import AutoEncoder
from semisonic.training.options import FitOptions

SMALL_VIEWS = PretextOptions(view_share=0.6)
PRETEXT = {
    "denoising": PretextOptions(noise_db=4.0),
    "layer-wise": PretextOptions(layer_epochs=2),
    "simclr": SMALL_VIEWS,
}
LEARN = FitOptions(epochs=8, learning_rate=5e-3, **PLAIN)


def sounds(mel: MelOptions) -> np.ndarray:
    waves = [sound(KINDS[i % 3], i) for i in range(30)]
    clips = Clips.from_rows(".", [{"file": f"{i:02d}"} for i in range(30)])
    return np.asarray(prepare_waves(clips, waves, mel).features)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return sounds(MEL)


def run(
    features: np.ndarray,
    objective: str,
    fit: FitOptions = QUICK_PRETRAIN,
    *,
    mel: MelOptions = MEL,
    model: str = NOTATION,
    decoder: str = "auto",
    seed: int = 0,
    folder: Path | None = None,
    pretext: PretextOptions | None = None,
) -> PretrainOutcome:
    settings = TrainConfig(
        model,
        decoder=decoder,
        pretrain=fit,
        objective=objective,
        pretext=pretext or PRETEXT.get(objective, PretextOptions()),
    )
    rows = np.arange(30)
    return pretrain_rows(
        features, rows[:22], rows[22:], settings, mel=mel, seed=seed, folder=folder
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_each_objective_learns(features: np.ndarray, objective: str) -> None:
    outcome = run(features, objective, LEARN)
    column = [row["val_loss"] for row in outcome.history]
    assert outcome.error == pytest.approx(min(column), rel=1e-4)
    first = outcome.layers[0].history[0]["val_loss"] if outcome.layers else column[0]
    # Views are random: a contrastive loss falls slowly.
    assert outcome.error < (0.98 if objective == "simclr" else 0.9) * first
    assert not outcome.spread.is_collapsed
    assert {unit.n_units for unit in outcome.dead_units} == {8}
    assert isinstance(outcome.network, AutoEncoder) == (objective not in WITHOUT_DECODER)
    assert math.isnan(outcome.error_db2) == (objective in WITHOUT_DECODER)
    assert ("val_rank" in outcome.history[0]) == (objective in WITHOUT_DECODER)
    assert not outcome.network.training


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_features_of_two_channels(objective: str) -> None:
    mel = replace(MEL, deltas=True)
    outcome = run(sounds(mel), objective, replace(QUICK_PRETRAIN, epochs=1), mel=mel)
    assert outcome.network.encoder.in_channels == 2
    assert math.isfinite(outcome.error)


@pytest.mark.parametrize("objective", ["denoising", "simclr"])
def test_the_default_network_can_be_trained(features: np.ndarray, objective: str) -> None:
    one = replace(QUICK_PRETRAIN, epochs=1)
    outcome = run(features, objective, one, model="small")
    assert outcome.network.name == "small"


class Stop(Exception):
    pass


@pytest.mark.parametrize(
    ("objective", "stop_at"),
    [("denoising", 2), ("simclr", 2), ("layer-wise", 1), ("layer-wise", 6)],
)
def test_an_interrupted_pre_training_ends_with_the_same_weights(
    features: np.ndarray,
    objective: str,
    stop_at: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fit = replace(QUICK_PRETRAIN, epochs=3, checkpoint_interval=0.0)
    whole = run(features, objective, fit)
    calls: list[int] = []
    measure = pretraining.held_out_terms

    def stopping(*arguments: object) -> dict[str, float]:
        calls.append(1)
        if len(calls) == stop_at:
            raise Stop
        return measure(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pretraining, "held_out_terms", stopping)
    with pytest.raises(Stop):
        run(features, objective, fit, folder=tmp_path)
    monkeypatch.setattr(pretraining, "held_out_terms", measure)
    again = run(features, objective, fit, folder=tmp_path)
    a, b = whole.network.state_dict(), again.network.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert again.error == whole.error
    assert len(again.layers) == len(whole.layers) == (2 if objective == "layer-wise" else 0)


def test_layers_are_trained_before_the_whole(features: np.ndarray) -> None:
    found = run(features, "layer-wise", pretext=PretextOptions(layer_epochs=2))
    assert [len(layer.history) for layer in found.layers] == [2, 2]
    assert found.error != run(features, "reconstruction").error
    with pytest.raises(ModelError, match="unet"):
        run(features, "layer-wise", decoder="unet")


@pytest.mark.parametrize(
    ("objective", "pretext"),
    [
        ("reconstruction", PretextOptions(noise_db=3.0)),
        ("simclr", PretextOptions(cell_dropout=0.5)),
        ("layer-wise", PretextOptions(view_share=0.4)),
        ("denoising", PretextOptions(views="weak")),
    ],
)
def test_an_option_of_another_objective_is_refused(
    features: np.ndarray, objective: str, pretext: PretextOptions
) -> None:
    with pytest.raises(OptionError, match=f"'{objective}' does not read it"):
        run(features, objective, pretext=pretext)


@pytest.mark.parametrize("change", [{"views": "none"}, {"view_share": 1.0}], ids=str)
def test_every_part_of_simclr_can_be_changed(
    features: np.ndarray, change: dict[str, object]
) -> None:
    one = replace(QUICK_PRETRAIN, epochs=1)
    usual = run(features, "simclr", one).network.state_dict()
    changed = run(features, "simclr", one, pretext=replace(SMALL_VIEWS, **change))  # type: ignore[arg-type]
    name = "encoder.stages.0.conv.weight"
    assert not torch.equal(usual[name], changed.network.state_dict()[name])


def test_with_everything_off_a_view_is_the_clip(
    features: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BACKGROUND", "CROPPED_BANDS"):
        monkeypatch.setattr(pretraining, name, 0.0)
    off = PretextOptions(views="none", view_share=1.0)
    x = torch.from_numpy(features[:4].astype(np.float32))
    assert torch.equal(build_view(off, MEL)(x), x)
    cut = build_view(replace(off, view_share=0.5), MEL)(x)
    assert cut.shape == (4, 1, 16, MEL.count_frames(2000))
