"""Finding events in a recording of minutes, against a plain loop over windows.

python benchmarks/detection_speed.py -o runs/bench/detection_speed.json
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import librosa
import soundfile as sf
import torch

import alternatives
import limits
import material
import measuring
from measuring import Row
from semisonic.classifier.detection.detect import run_detect
from semisonic.classifier.options import EventOptions
from semisonic.features.options import MelOptions
from semisonic.models.model_file import save
from semisonic.models.sound_model import SoundModel, build

PART, MEL, MINUTES = "detection", MelOptions(), 10
HOP = 1.25  # s, what detect takes by itself


@torch.inference_mode()
def plain(model: SoundModel, path: Path) -> None:
    """Decode all, cut windows, librosa's features, the network, a window at a time."""
    wave, _ = librosa.load(path, sr=MEL.sample_rate)
    step = round(HOP * MEL.sample_rate)
    for start in range(0, len(wave) - MEL.n_samples + 1, step):
        features = alternatives.librosa_mel(wave[start : start + MEL.n_samples], MEL)
        model.from_features(torch.from_numpy(features)[None, None]).softmax(1)


def measure(data: Path | None) -> list[Row]:
    del data  # a long recording is made up
    model = build("small", MEL, [f"class {i}" for i in range(10)], seed=0).eval()
    with TemporaryDirectory() as place:
        folder, long = Path(place), Path(place, "long.wav")
        save(folder / "model.zip", model)
        sf.write(long, material.noise(60 * MINUTES * material.RATE), material.RATE)
        number = iter(range(1000))

        def detect() -> None:
            run_detect(
                folder / "model.zip",
                (long,),
                folder / f"run-{next(number)}",
                EventOptions(threshold="0.9"),
                device="cpu",
                workers=1,
            )

        times = measuring.take_turns(
            {
                "ours": detect,
                "librosa and plain PyTorch": lambda: plain(model, long),
            },
            5,
        )
        return measuring.compare(
            PART,
            "windows of 5 s every 1.25 s, wav",
            times,
            ours="ours",
            n=MINUTES,
            against=("librosa and plain PyTorch",),
            unit="ms a minute",
            limit=("decoding alone", limits.decoding([long])),
        )


if __name__ == "__main__":
    measuring.main(__doc__, measure)
