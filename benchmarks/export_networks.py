"""Every registered network and simple classifier as ONNX: does the file say what the model says?

    python benchmarks/export_networks.py -o benchmarks/results/export_networks.json

Networks have drawn weights and the smallest front end of use to them; simple classifiers are fitted
to synthetic sounds. The file's scores of three sounds are compared with the model's. A network that
stands in the result file already is not done again: delete the file to do all.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from measuring import head
from semisonic.classifier.export import export
from semisonic.classifier.scoring import score_rows
from semisonic.classifier.windows import features_of_wave
from semisonic.core.errors import SemisonicError
from semisonic.core.files import read_json, write_json
from semisonic.core.seeds import generator
from semisonic.features.frontend import make_extractor
from semisonic.features.options import MelOptions
from semisonic.models.registry import names
from semisonic.models.sound_model import SoundModel, build

CLASSES = ("a", "b", "c")
MEL = MelOptions(sample_rate=8000, duration=0.5, n_fft=256, hop_length=64, n_mels=32)
PICZAK = MelOptions(sample_rate=22050, n_fft=1024, hop_length=512, n_mels=60, deltas=True)


def front_end(name: str) -> MelOptions:
    """The smallest front end of use to a network."""
    if name.startswith("piczak"):
        n_samples = 51200 if name == "piczak-long" else 20480
        return replace(PICZAK, duration=n_samples / PICZAK.sample_rate)
    if name in ("cnn2", "cnn3"):
        return replace(MEL, n_fft=512, hop_length=30, n_mels=64)
    if name in names(waves=True):
        return MelOptions(sample_rate=8000, duration=0.75, input="wave")
    return replace(MEL, hop_length=32) if name == "yamnet" else MEL


def sounds(mel: MelOptions, n: int) -> NDArray[np.float32]:
    """Noise of several levels and tones of several pitches, one a row."""
    rng, time_s = generator(0, "sounds to export by"), np.arange(mel.n_samples) / mel.sample_rate
    tones = [np.sin(2 * np.pi * rng.uniform(200, 3000) * time_s) for _ in range(n)]
    return np.stack([0.3 * rng.random() * (t + rng.normal(0, 0.3, len(t))) for t in tones]).astype(
        np.float32
    )


def features(mel: MelOptions, waves: NDArray[np.float32]) -> NDArray[np.float32]:
    """As prediction makes them."""
    extractor = make_extractor(mel)
    return np.stack([features_of_wave(wave, mel, extractor) for wave in waves])


def made(name: str) -> SoundModel:
    """A model whose scores differ between sounds."""
    mel = front_end(name)
    model = build(name, mel, CLASSES)
    numbers = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if key.endswith("running_mean"):
                value.copy_(0.1 * torch.randn(value.shape, generator=numbers))
            elif key.endswith("running_var"):
                value.copy_(0.5 + torch.rand(value.shape, generator=numbers))
    model.frontend.standardize.fit(features(mel, sounds(mel, 8)))
    return model.eval()


def tried(name: str) -> dict[str, Any]:
    """What becomes of one network."""
    begun = time.perf_counter()
    model = made(name)
    waves = sounds(model.mel, 3)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "m.onnx"
        try:
            result = export(model, file)
        except SemisonicError as error:
            return {"exported": False, "error": str(error)}
        session = onnxruntime.InferenceSession(file)
        found = session.run(["scores"], {"audio": waves})[0]
        size = file.stat().st_size / 1e6
    ours = score_rows(model, features(model.mel, waves), np.arange(3))
    return {
        "exported": True,
        "one_length": not result.any_length,
        "megabytes": round(size, 2),
        "largest_difference": float(f"{np.abs(found - ours).max():.1e}"),
        "seconds": round(time.perf_counter() - begun),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    done = read_json(options.output)["networks"] if options.output.is_file() else {}
    for name in names():
        if name in done:
            continue
        done[name] = tried(name)
        print(name, done[name], flush=True)
        shown = "python benchmarks/export_networks.py -o benchmarks/results/export_networks.json"
        write_json(
            options.output,
            {
                **head(shown, 1),
                "not_exported": [n for n, row in done.items() if not row["exported"]],
                "networks": dict(sorted(done.items())),
            },
        )


if __name__ == "__main__":
    main()
