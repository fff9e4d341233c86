"""Make the encoder that the package brings: one that has learned to name synthetic sounds.

    python benchmarks/start_encoder.py -o src/semisonic/models/start.encoder

912 kinds of sounds (16 versions of each of 32 named sounds, and 400 that are drawn), 40 clips of
each, every clip in a room of its own: 20 minutes of one core. Then ``small`` learns, from views
of half a clip's length, which kind it is and which family that kind is a version of: 20 minutes. No
recording is in it. The weights are kept as bfloat16. An interrupted making goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from measuring import head
from semisonic.classifier.config import PretextOptions
from semisonic.classifier.pretrain import build_view
from semisonic.core.files import content_hash
from semisonic.core.progress import bar
from semisonic.data.batches import Stream
from semisonic.data.options import SynthOptions
from semisonic.data.synth.kinds import FAMILIES, Kind, list_kinds, render_kind
from semisonic.features.logmel import LogMel
from semisonic.features.options import MelOptions
from semisonic.learning.contrastive import pooled
from semisonic.learning.objective import BatchLike, Objective, full_precision, targets_of
from semisonic.models.model_file import save_encoder
from semisonic.models.pretrained import PretrainedEncoder, build_encoder
from semisonic.models.weights import initialise
from semisonic.training.loop import fit
from semisonic.training.options import FitOptions

MEL = MelOptions()
SOUNDS = SynthOptions(duration=MEL.duration, sample_rate=MEL.sample_rate, snr_db=18.0, seed=7)
VERSIONS, DRAWN, CLIPS = 16, 400, 40
FAMILY_WEIGHT = 0.5
STATISTICS_CLIPS = 4000
FIT = FitOptions(
    steps=12_000,
    epoch_steps=500,
    batch_size=64,
    optimizer="adamw",
    learning_rate=3e-3,
    weight_decay=0.01,
    schedule="onecycle",
    ema_decay=0.998,
    precision="bf16",
    restore_best=False,
)


class Naming(Objective):
    """Cross-entropy of naming the kind of a view of a clip, and half of that of its family."""

    streams = ("labelled",)

    def __init__(self, network: PretrainedEncoder, n_kinds: int, seed: int) -> None:
        super().__init__()
        self.encoder, self.standardize = network.encoder, network.frontend.standardize
        self.view = build_view(PretextOptions(), MEL)
        self.n_kinds, self.dropout = n_kinds, nn.Dropout(0.2)
        self.head = nn.Linear(network.encoder.out_channels, n_kinds + len(FAMILIES))
        initialise(self.head, seed, "head.")

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of a batch, and the share of its kinds that were named right."""
        batch = batches["labelled"]
        kind, family = targets_of(batch, "labelled").split((self.n_kinds, len(FAMILIES)), dim=1)
        with torch.no_grad(), full_precision(batch.x):
            x = self.standardize(self.view(batch.x))
        scores = self.head(self.dropout(pooled(self.encoder(x)).float()))
        of_kind, of_family = scores.split((self.n_kinds, len(FAMILIES)), dim=1)
        entropy = nn.functional.cross_entropy
        return {
            "loss": entropy(of_kind, kind) + FAMILY_WEIGHT * entropy(of_family, family),
            "accuracy": (of_kind.argmax(1) == kind.argmax(1)).float().mean(),
        }


def features_of(kind: Kind, clips: int) -> np.ndarray:
    """Log-mel of all clips of a kind, float16, shape (clip, 1, mel, frame)."""
    torch.set_num_threads(1)
    waves = np.stack([render_kind(SOUNDS, kind, i) for i in range(clips)])
    with torch.no_grad():
        return LogMel(MEL)(torch.from_numpy(waves)).numpy().astype(np.float16)


def rendered(kinds: list[Kind], clips: int, file: Path, workers: int) -> np.ndarray:
    """Features of all kinds, kind after kind; made once, then read from the file."""
    if not file.is_file():
        part = file.with_suffix(".part.npy")
        shape = (len(kinds) * clips, *MEL.shape)
        table = np.lib.format.open_memmap(part, "w+", np.float16, shape)
        work = partial(features_of, clips=clips)
        with ProcessPoolExecutor(workers) as pool, bar(len(kinds), "kinds", "kind") as shown:
            for i, found in enumerate(pool.map(work, kinds)):
                table[i * clips : (i + 1) * clips] = found
                shown.update(1)
        table.flush()
        part.rename(file)
    return np.load(file, mmap_mode="r")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument(
        "--working", type=Path, default=Path("runs/start"), help="kept between runs"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=FIT.steps)
    parser.add_argument("--render-only", action="store_true")
    options = parser.parse_args()
    options.working.mkdir(parents=True, exist_ok=True)
    kinds = list_kinds(VERSIONS, DRAWN)
    features = rendered(kinds, CLIPS, options.working / "kinds.npy", options.workers)
    if options.render_only:
        return
    number = np.repeat(np.arange(len(kinds)), CLIPS)
    family = np.array([FAMILIES.index(kind.family) for kind in kinds])[number]
    target = np.zeros((len(number), len(kinds) + len(FAMILIES)), np.float32)
    target[np.arange(len(number)), number] = 1.0
    target[np.arange(len(number)), len(kinds) + family] = 1.0
    network = build_encoder("small", MEL, seed=0)
    some = np.linspace(0, len(features) - 1, STATISTICS_CLIPS).astype(np.int64)
    network.frontend.standardize.fit([np.asarray(features[some], np.float32)])
    torch.set_num_threads(1)
    rows = np.arange(len(features))
    stream = Stream(features, rows, batch_size=FIT.batch_size, seed=0, target=target)
    objective = Naming(network, len(kinds), seed=0)
    result = fit(
        objective,
        {"labelled": stream},
        replace(FIT, steps=options.steps),
        seed=0,
        folder=options.working / f"training-{options.steps}",
        label="start",
    )
    about = {
        **head("python benchmarks/start_encoder.py -o FILE", [SOUNDS.seed, 0]),
        "kinds": len(kinds),
        "clips": len(features),
        "steps": result.n_steps,
        "precision": result.precision,
        "accuracy": round(result.history[-1]["accuracy"], 4),
    }
    save_encoder(options.output, network.eval(), about=about, bf16=True)
    print(
        f"{options.output}: {options.output.stat().st_size:,} bytes, {content_hash(options.output)}"
    )


if __name__ == "__main__":
    main()
