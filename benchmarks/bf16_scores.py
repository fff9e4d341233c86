"""How much scores change when a model is computed in bfloat16.

    python benchmarks/bf16_scores.py path/to/model.zip path/to/esc10 -o FILE

The answer of a clip is the class with the highest score.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from measuring import record, rounded
from semisonic.classifier.scoring import score_clips
from semisonic.core.files import write_json
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.models.model_file import load
from semisonic.models.sound_model import SoundModel


def scores(model: SoundModel, clips: Clips, *, bf16: bool) -> NDArray[np.float64]:
    """Mean scores of each clip, shape (clip, class)."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        found = [one.mean for one in score_clips(model, clips, workers=1) if not one.reason]
    return np.stack(found).astype(np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    model, clips = load(options.model).eval(), load_clips(options.data)
    plain, small = (scores(model, clips, bf16=bf16) for bf16 in (False, True))
    change = np.abs(plain - small).max(axis=1)
    found = {
        "clips": len(plain),
        "largest_change": rounded(float(change.max()), 2),
        "median_change_of_a_clip": rounded(float(np.median(change)), 2),
        "other_answers": int((plain.argmax(axis=1) != small.argmax(axis=1)).sum()),
    }
    print(found)
    if options.output is not None:
        write_json(options.output, {**record(data=options.data.name), **found})


if __name__ == "__main__":
    main()
