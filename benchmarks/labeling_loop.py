"""How fast a classifier grows with answers, by what is asked: a simulated annotator.

python benchmarks/labeling_loop.py path/to/esc10 --folds 1 2 -o benchmarks/results/x.json

The pool is all folds but one, without labels; the test fold is heard by nobody before the end.
One encoder a fold learns made-up sounds and then to tell the clips of the pool apart; after each
batch of answers a class layer is solved for.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from semisonic.data import Clips, load_clips, make_folds
from semisonic.data.labels.text import write_csv
from semisonic.inference import PretrainOptions, pretrain
from semisonic.inference.methods.advice import PRETRAIN
from semisonic.inference.synthetic import SYNTH
from semisonic.labeling import EmbeddingIndex, embed


def index_of(clips: Clips, fold: int, folder: Path) -> EmbeddingIndex:
    """All clips as vectors of an encoder that heard the pool of a fold."""
    place = folder / f"{clips.name}-{fold}"
    pool = clips[clips.fold != fold]
    table = place / "pool.csv"
    place.mkdir(parents=True, exist_ok=True)
    rows = (
        [str(path.resolve()), group] for path, group in zip(pool.paths, pool.group, strict=True)
    )
    write_csv(table, ["file", "group"], rows)
    made = pretrain(
        PretrainOptions(
            data=table, output=place / "encoder", encoder=Path(SYNTH), objective="simclr",
            cache=folder / "cache", fit=PRETRAIN, workers=1, device="cpu",
        )
    )  # fmt: skip
    return embed(made.encoder, clips, place / "index", per="clip", workers=1, device="cpu")


def folded(path: Path) -> Clips:
    """A labelled set with folds by recording; its own where it has some."""
    clips = load_clips(path)
    return clips if clips.folds else clips.with_columns(fold=make_folds(clips, 5, seed=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--folds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cache", type=Path, default=Path("runs/labeling_loop"))
    options = parser.parse_args()
    clips = folded(options.data)
    for fold in options.folds:
        print(index_of(clips, fold, options.cache))


if __name__ == "__main__":
    main()
