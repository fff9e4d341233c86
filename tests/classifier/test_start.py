"""The encoder that the package brings, and what a training starts from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from semisonic.classifier import start
from semisonic.core.errors import ModelError
from semisonic.features.options import MelOptions
from semisonic.models.model_file import load_encoder, read_about

MEL = MelOptions()


@pytest.fixture(autouse=True)
def not_yet_checked() -> None:
    start.shipped_file.cache_clear()


def test_the_default_network_has_its_start_at_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SEMISONIC_CACHE", str(tmp_path))
    file = start.synthetic_file("small", MEL)
    assert file.stat().st_size < 1_500_000
    assert start.synthetic_file("small", replace(MEL, duration=2.0)) == file
    assert not list(tmp_path.iterdir())  # nothing was made
    about = read_about(file)["about"]
    assert about["command"].startswith("python benchmarks/start_encoder.py")
    assert len(about["commit"]) >= 7


@pytest.mark.parametrize(
    ("model", "mel", "kind"),
    [
        ("tiny", MEL, "global"),
        ("small", replace(MEL, n_mels=32), "global"),
        ("small", MEL, "mel"),
    ],
)
def test_another_network_or_front_end_makes_its_own(model, mel, kind) -> None:
    assert start.other_than_shipped(model, mel, kind)


def test_it_tells_sounds_apart_better_than_random_weights() -> None:
    """Noise, clicks and tones of one loudness: the nearest other clip is of the same kind."""
    rng, seconds = np.random.default_rng(0), np.arange(110250) / 22050
    kinds = [
        lambda: rng.normal(size=len(seconds)),
        lambda: np.sin(2 * np.pi * rng.uniform(300, 900) * seconds),
        lambda: (rng.random(len(seconds)) < 2e-4) * 30.0,
        lambda: rng.normal(size=len(seconds)) * (np.sin(2 * np.pi * 6 * seconds) > 0),
    ]
    waves = torch.from_numpy(np.stack([one() for one in kinds for _ in range(4)])).float()
    encoder = load_encoder(start.shipped_file())
    with torch.no_grad():
        code = encoder.encode(encoder.frontend(0.05 * waves)).flatten(1, 2).mean(dim=2)
    code = torch.nn.functional.normalize(code - code.mean(dim=0), dim=1)
    nearest = (code @ code.T).fill_diagonal_(-1).argmax(dim=1)
    assert torch.equal(nearest // 4, torch.arange(16) // 4)


def test_a_damaged_file_is_refused(tmp_path, monkeypatch) -> None:
    data = bytearray(start.shipped_file().read_bytes())
    data[-1] ^= 1
    (tmp_path / start.SHIPPED).write_bytes(data)
    start.shipped_file.cache_clear()
    monkeypatch.setattr(start, "files", lambda _: tmp_path)
    with pytest.raises(ModelError, match=r"of this release; install"):
        start.shipped_file()
