"""``encoder get``, and what starts from such an encoder: told apart from 'from scratch'."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_sounds import write_kinds

from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.encoders import get_encoder
from semisonic.classifier.evaluate import evaluate
from semisonic.classifier.info import info
from semisonic.classifier.model_file import open_encoder
from semisonic.classifier.options import EvaluateOptions, TrainOptions
from semisonic.classifier.train import train
from semisonic.classifier.training import network_of
from semisonic.core.errors import OptionError
from semisonic.core.files import read_json
from semisonic.features.options import MelOptions
from semisonic.models.model_file import read_about
from semisonic.models.networks.general import MOBILE_MEL
from semisonic.models.published import PUBLISHED
from semisonic.models.registry import create

APART = "not from scratch"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder out of a file with the published names of mn04, and random weights."""
    folder = tmp_path_factory.mktemp("general")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = create("mn04", MOBILE_MEL.shape).encoder.state_dict()
    named = {}
    for ours, value in state.items():
        _, number, _, rest = ours.split(".", 3)
        first, _, behind = rest.partition(".")
        if behind.startswith("fc"):
            rest = f"{first}.conc_se_layers.0.{behind}"
        named[f"features.{number}.{'' if number in ('0', '16') else 'block.'}{rest}"] = value
    for name, shape in PUBLISHED["mn04"].class_layers.items():
        named[name] = torch.zeros(shape)
    torch.save(named, folder / "mn04.pt")
    result = get_encoder("mn04", str(folder / "mn04.pt"), duration=0.5)
    for words in ("EfficientAT", "AudioSet", "MIT", "not from scratch", "0.5 s at 32000 Hz"):
        assert words in result.summary()
    return result.encoder


def test_a_model_that_starts_from_it_says_so_wherever_it_is_shown(
    encoder: Path, kinds: Path, others: Path, pool: Path, tmp_path: Path
) -> None:
    options = TrainOptions(data=kinds, output=tmp_path / "run", encoder=encoder, device="cpu")
    made = train(replace(options, unlabelled=pool, near_copies=False))
    assert made.job.config.method == "probe"
    assert made.outcome.model.name == "mn04"
    assert "published general encoder" in made.summary()
    assert APART in made.summary()
    assert made.outcome.pseudo_labels
    story = read_about(made.model)["about"]["published"]
    assert story == read_about(encoder)["about"]["published"]
    measured = evaluate(
        EvaluateOptions(tmp_path / "run", others, tmp_path / "test", bootstrap=100, device="cpu")
    )
    assert APART in measured.summary()
    assert APART in measured.report.read_text(encoding="utf-8")
    assert read_json(tmp_path / "test" / "metrics.json")["published_weights"] == story
    for path in (encoder, made.model):
        assert APART in info(str(path)).summary()
    classifier = SoundClassifier(encoder=encoder, method="probe", device="cpu").fit(kinds)
    classifier.save(tmp_path / "classifier")
    assert read_about(tmp_path / "classifier")["about"]["published"] == story
    # What starts from that model still starts from those weights.
    options = replace(options, encoder=tmp_path / "run", method="probe")
    again = train(replace(options, output=tmp_path / "again"))
    assert read_about(again.model)["about"]["published"] == story


def test_a_model_from_scratch_says_nothing_of_the_kind(
    trained: Path, others: Path, tmp_path: Path
) -> None:
    measured = evaluate(
        EvaluateOptions(trained, others, tmp_path / "test", bootstrap=100, device="cpu")
    )
    assert not measured.warnings
    assert APART not in measured.summary()
    assert "published_weights" not in read_json(tmp_path / "test" / "metrics.json")


def test_the_length_of_clips_is_free_and_the_front_end_is_not(encoder: Path) -> None:
    start = open_encoder(encoder)
    assert network_of("small", MelOptions(), start)[1].duration == 0.5
    name, mel = network_of("small", MelOptions(duration=2.0), start)
    assert name == "mn04"
    assert mel == replace(MOBILE_MEL, duration=2.0)
    with pytest.raises(OptionError, match="n_mels"):
        network_of("small", MelOptions(n_mels=40), start)


@pytest.fixture(scope="module")
def yamnet_file() -> Path:
    """The published weights, where somebody has put them."""
    name = os.environ.get("SEMISONIC_YAMNET", "")
    if not Path(name).is_file():
        pytest.skip("no weights of YAMNet here; set SEMISONIC_YAMNET to a file of them")
    return Path(name)


def test_the_real_yamnet_tells_kinds_of_sound_apart(yamnet_file: Path, tmp_path: Path) -> None:
    encoder = get_encoder("yamnet", str(yamnet_file), duration=1.0).encoder
    kinds = write_kinds(tmp_path / "kinds", 4)
    result = train(TrainOptions(data=kinds, output=tmp_path / "run", encoder=encoder, device="cpu"))
    new = write_kinds(tmp_path / "new", 4, first=50)
    score = evaluate(
        EvaluateOptions(tmp_path / "run", new, tmp_path / "test", bootstrap=100, device="cpu")
    )
    assert score.metrics["accuracy"] == 1.0
    assert np.isfinite(result.outcome.history[-1]["loss"])
