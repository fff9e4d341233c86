"""From recordings to scores on one core, and how soon the first answer comes.

    python benchmarks/prediction_speed.py --data path/to/esc10 -o runs/bench/prediction_speed.json

The network is ``small`` with random weights: speed does not depend on them. Alternatives: plain
PyTorch behind librosa, the exported file run by onnxruntime behind our reader, a scikit-learn
pipeline on MFCC of librosa. The start of the command is processor time of whole processes.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

import alternatives
import limits
import material
import measuring
from measuring import Row
from semisonic.audio.read import read
from semisonic.classifier.export import export
from semisonic.classifier.export_graph import onnx_runner
from semisonic.classifier.scoring import score_clips
from semisonic.data.clips import Clips
from semisonic.features.options import MelOptions
from semisonic.models.model_file import save
from semisonic.models.sound_model import SoundModel, build

PART, MEL = "prediction", MelOptions()
STARTS = {
    "semisonic --help": ["-m", "semisonic", "--help"],
    "semisonic predict, one clip": ["-m", "semisonic", "predict"],
    "import torch alone": ["-c", "import torch"],
}
CHILD = (
    "import resource, subprocess, sys;"
    "subprocess.run([sys.executable, *sys.argv[1:]], check=True, capture_output=True);"
    "u = resource.getrusage(resource.RUSAGE_CHILDREN); print(u.ru_utime + u.ru_stime)"
)


def network() -> SoundModel:
    return build("small", MEL, [f"class {i}" for i in range(10)], seed=0).eval()


class PlainPyTorch:
    """librosa, ``torch.stft`` and the network as it was built, a clip at a time."""

    def __init__(self) -> None:
        self.model, self.mel = network(), alternatives.PlainMel(MEL)

    @torch.inference_mode()
    def __call__(self, files: list[Path]) -> None:
        for path in files:
            wave = torch.from_numpy(alternatives.librosa_wave(path, MEL))
            self.model.from_features(self.mel(wave[None])[None]).softmax(1)


def predict(model: SoundModel, clips: Clips) -> None:
    for _ in score_clips(model, clips, workers=1):
        pass


def by_onnx(run: object, files: list[Path]) -> None:
    for path in files:
        wave, _ = read(path, sample_rate=MEL.sample_rate)
        padded = np.pad(wave, (0, max(0, MEL.n_samples - len(wave))))
        run(padded[None, : MEL.n_samples])  # type: ignore[operator]


def start_seconds(arguments: list[str]) -> float:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def cold_start(model: Path, recording: Path) -> list[Row]:
    rows = []
    for name, arguments in STARTS.items():
        more = [str(model), str(recording), "-q"] if arguments[-1] == "predict" else []
        seconds = statistics.median(start_seconds([*arguments, *more]) for _ in range(3))
        rows.append(Row("cold start", name, "s", seconds))
    return rows


def measure(data: Path | None) -> list[Row]:
    rows, model, plain, pipeline = [], network(), PlainPyTorch(), alternatives.classical()
    with TemporaryDirectory() as place, material.clips(data, ("wav", "ogg")) as tables:
        saved, exported = Path(place, "model.zip"), Path(place, "model.onnx")
        save(saved, model)
        export(saved, exported)
        with measuring.one_core():
            run = onnx_runner(exported)
        for kind, clips in tables.items():
            files = list(clips.paths)
            times = measuring.take_turns(
                {
                    "ours": lambda clips=clips: predict(model, clips),
                    "librosa and plain PyTorch": lambda files=files: plain(files),
                    "our reader, onnxruntime": lambda files=files: by_onnx(run, files),
                    "librosa MFCC, scikit-learn": lambda files=files: pipeline.predict_proba(
                        np.stack([alternatives.statistics_of(path, MEL) for path in files])
                    ),
                },
                5,
            )
            found = measuring.compare(
                PART,
                f"from {kind}",
                times,
                ours="ours",
                n=len(files),
                against=tuple(times)[1:],
                limit=("decoding alone", limits.decoding(files)),
            )
            real_time = material.SECONDS / (found[0].ours / measuring.MILLI)
            rows += [*found, Row(PART, f"from {kind}, speed", "x real time", real_time)]
        rows += cold_start(saved, next(iter(tables["ogg"].paths)))
    return rows


if __name__ == "__main__":
    measuring.main(__doc__, measure)
